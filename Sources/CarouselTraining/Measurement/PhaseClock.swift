import CarouselCore

/// Adds up how long each phase of a step takes, waiting for the device at both ends of each: what one phase leaves queued is
/// not counted for the next.
///
/// `@unchecked`: used by one thread only.
final class PhaseClock: SpanObserver, @unchecked Sendable {
    private let backend: any Backend
    private var started: [Int] = []
    private(set) var seconds: [Span: Double] = [:]
    /// Phases as they first ended.
    private(set) var order: [Span] = []
    /// The first error of the device.
    private(set) var problem: (any Error)?

    init(_ backend: any Backend) { self.backend = backend }

    func begin(_ span: Span) {
        settle()
        started.append(HostClock.nanoseconds)
    }

    func end(_ span: Span) {
        settle()
        guard let start = started.popLast() else { return }
        if seconds[span] == nil { order.append(span) }
        seconds[span, default: 0] += Double(HostClock.nanoseconds - start) * 1e-9
    }

    /// Forgets times, not the order.
    func reset() {
        for span in seconds.keys { seconds[span] = 0 }
    }

    private func settle() {
        do { try backend.finish() } catch { problem = problem ?? error }
    }
}
