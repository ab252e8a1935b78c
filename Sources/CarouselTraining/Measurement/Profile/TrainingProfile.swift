import CarouselCore
import CarouselNN
import Foundation

/// A timeline of the first steps of a training, for a trace viewer (Perfetto, chrome://tracing): the spans of the training's
/// thread and of the thread that prepares batches, and the device's commands where it records them.
///
/// `@unchecked`: what the threads share is used under `lock`; the rest belongs to the training's thread.
public final class TrainingProfile: SpanObserver, @unchecked Sendable {
    private let lock = NSLock()
    private let file: TraceFile
    private let start = HostClock.nanoseconds
    private var events: [TraceEvent] = []
    private var open: [Track: [(span: Span, start: Int)]] = [:]
    private var stepsLeft: Int
    private var isOver = false
    private var failure: (any Error)?
    /// Queues of the device, beside the first, that have a track.
    private var namedQueues: Set<Int> = []

    // Of the training's thread.
    private var model: SequenceClassifier?

    /// Where spans are shown.
    private enum Track: Int {
        case training = 1, preparation = 2
    }

    private static let hostProcess = 1, deviceProcess = 2

    /// Makes or replaces the file.
    /// - Parameters:
    ///   - steps: training steps that are recorded.
    ///   - device: what the track of its commands is called.
    /// - Throws: `cannotCreateOutput`
    public init(file path: String, steps: Int, device: DeviceInfo) throws {
        stepsLeft = steps
        file = try TraceFile(path)
        try file.add([
            Self.track("carousel", "process_name", Self.hostProcess, 0),
            Self.track("training", "thread_name", Self.hostProcess, Track.training.rawValue),
            Self.track("batch preparation", "thread_name", Self.hostProcess, Track.preparation.rawValue),
            Self.track("\(device.selector), \(device.name)", "process_name", Self.deviceProcess, 0),
            Self.track("commands", "thread_name", Self.deviceProcess, 1),
        ])
    }

    private static func track(_ name: String, _ kind: String, _ process: Int, _ thread: Int) -> TraceEvent {
        TraceEvent(name: kind, ph: "M", pid: process, tid: thread, args: ["name": .text(name)])
    }

    /// What went wrong with the file, or when the device was asked to record; the training goes on all the same. (A driver that
    /// fails to tell the times of a finished command ends the training, as any failing call to OpenCL does.)
    public var problem: (any Error)? { lock.withLock { failure } }

    // MARK: Beginning and end

    /// Listens to a model in training and its device.
    func attach(to model: SequenceClassifier) {
        guard self.model == nil, !(lock.withLock { isOver }) else { return }
        self.model = model
        model.observer = self
        attempt { try (model.backend as? any CommandRecording)?.recordCommands { [weak self] in self?.add($0) } }
    }

    /// Lets go once all steps asked for are recorded.
    func detachIfOver() {
        if lock.withLock({ isOver }) { detach() }
    }

    /// Lets go, and brings the file to the disk.
    func detach() {
        guard let model else { return }
        self.model = nil
        model.observer = nil
        attempt { try (model.backend as? any CommandRecording)?.recordCommands(nil) }
        lock.withLock { finish() }
        attempt {
            try write()
            try file.flush()
        }
    }

    /// Keeps the first error.
    private func attempt(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            lock.withLock { failure = failure ?? error }
        }
    }

    /// Ends what is still open. Under the lock.
    private func finish() {
        isOver = true
        let now = HostClock.nanoseconds
        for entry in (open[.training] ?? []).reversed() { events.append(event(entry.span, .training, entry.start, now)) }
        open = [:]
    }

    // MARK: Spans and commands

    /// From the training's thread or the one that prepares batches.
    public func begin(_ span: Span) {
        let now = HostClock.nanoseconds
        lock.withLock {
            guard !isOver else { return }
            open[track(span), default: []].append((span, now))
        }
    }

    /// From the thread that began the span.
    public func end(_ span: Span) {
        let now = HostClock.nanoseconds
        var isStep = false
        lock.withLock {
            // One that began before anybody listened has no beginning.
            guard !isOver, let entry = open[track(span)]?.last, entry.span == span else { return }
            open[track(span)]?.removeLast()
            events.append(event(span, track(span), entry.start, now))
            if case .step = span {
                isStep = true
                stepsLeft -= 1
                if stepsLeft <= 0 { finish() }
            }
        }
        if isStep { attempt(write) }
    }

    private func add(_ commands: [DeviceCommand]) {
        lock.withLock {
            for command in commands {
                if command.queue > 0, namedQueues.insert(command.queue).inserted {
                    events.append(Self.track("commands, queue \(command.queue + 1)", "thread_name", Self.deviceProcess, command.queue + 1))
                }
                var args: [String: TraceEvent.Value] = [
                    "queued_us": .number(Double(command.started - command.queued) / 1e3),
                    "submitted_us": .number(Double(command.started - command.submitted) / 1e3),
                ]
                if !command.workItems.isEmpty {
                    args["work_items"] = .list(command.workItems)
                    args["group_size"] = .list(command.groupSize)
                }
                if let bytes = command.bytes { args["bytes"] = .number(Double(bytes)) }
                events.append(TraceEvent(name: command.name, cat: command.bytes == nil ? "kernel" : "transfer", ts: microseconds(command.started),
                                         dur: Double(command.ended - command.started) / 1e3, pid: Self.deviceProcess, tid: command.queue + 1, args: args))
            }
        }
    }

    /// Hands the events over to the system.
    private func write() throws {
        let ready = lock.withLock {
            defer { events = [] }
            return events
        }
        try file.add(ready)
    }

    private func track(_ span: Span) -> Track { span == .preparation ? .preparation : .training }

    private func microseconds(_ time: Int) -> Double { Double(time - start) / 1e3 }

    private func event(_ span: Span, _ track: Track, _ begun: Int, _ ended: Int) -> TraceEvent {
        TraceEvent(name: span.name, cat: span.isOuter ? "outer" : "phase", ts: microseconds(begun), dur: Double(ended - begun) / 1e3,
                   pid: Self.hostProcess, tid: track.rawValue)
    }
}
