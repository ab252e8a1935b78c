import CarouselCore

/// Adds up how long each phase of a step takes, waiting for the device at both ends of each: what one phase leaves queued is
/// not counted for the next.
///
/// `@unchecked`: used by one thread only.
final class PhaseClock: SpanObserver, @unchecked Sendable {
    private let backend: any Backend
    private let counter: (any AllocationCounting)?
    private var started: [(time: Int, processor: Int, calls: Int)] = []
    private(set) var seconds: [Span: Double] = [:]
    /// Seconds that all threads together used a processor.
    private(set) var processor: [Span: Double] = [:]
    /// Allocations of this thread.
    private(set) var allocations: [Span: Int] = [:]
    /// Phases as they first ended.
    private(set) var order: [Span] = []
    /// The first error of the device.
    private(set) var problem: (any Error)?

    init(_ backend: any Backend, counting counter: (any AllocationCounting)? = nil) {
        self.backend = backend
        self.counter = counter
    }

    func begin(_ span: Span) {
        settle()
        started.append((0, 0, 0))
        // Last, so that nothing of this clock is counted.
        started[started.count - 1] = (HostClock.nanoseconds, HostClock.processorNanoseconds, counter?.current().calls ?? 0)
    }

    func end(_ span: Span) {
        let calls = counter?.current().calls ?? 0
        settle()
        let now = HostClock.nanoseconds, processorNow = HostClock.processorNanoseconds
        guard let start = started.popLast() else { return }
        if seconds[span] == nil { order.append(span) }
        seconds[span, default: 0] += Double(now - start.time) * 1e-9
        processor[span, default: 0] += Double(processorNow - start.processor) * 1e-9
        allocations[span, default: 0] += calls - start.calls
    }

    /// Forgets times and counts, not the order.
    func reset() {
        for span in order {
            seconds[span] = 0
            processor[span] = 0
            allocations[span] = 0
        }
    }

    private func settle() {
        do { try backend.finish() } catch { problem = problem ?? error }
    }
}
