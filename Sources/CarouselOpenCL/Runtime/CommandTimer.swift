import CarouselCore
import COpenCL

/// Collects the events of a profiling queue and, once they are finished, tells when their commands ran.
///
/// The device's clock has a zero of its own. A command's QUEUED time is taken inside the call that queues it, so the call with
/// the narrowest window on the host's clock tells how far the clocks are apart; every collection looks anew, since clocks drift.
final class CommandTimer {
    /// A command that may still be running.
    private struct Pending {
        var command: DeviceCommand
        var event: cl_event
        /// The host's clock before and after the call that queued it.
        var called: ClosedRange<Int>
    }

    private let context: OpenCLContext
    private let queue: Int
    private let record: ([DeviceCommand]) -> Void
    private var pending: [Pending] = []
    /// The end of the last command: commands of a queue in order cannot overlap, whatever the clocks say.
    private var lastEnd = 0

    /// Events held at most before the queue has to be finished: each takes memory of the driver.
    static let mostPending = 2048

    /// - Parameter queue: as `DeviceCommand.queue`.
    init(_ context: OpenCLContext, queue: Int, record: @escaping ([DeviceCommand]) -> Void) {
        self.context = context
        self.queue = queue
        self.record = record
    }

    deinit { for entry in pending { _ = context.cl.clReleaseEvent(entry.event) } }

    /// Whether the queue should be finished before more is queued.
    var isFull: Bool { pending.count >= Self.mostPending }

    /// Queues a command and keeps its event.
    /// - Parameter enqueue: the call, with the place for the event; its result is returned.
    func enqueue(_ name: String, workItems: [Int] = [], groupSize: [Int] = [], bytes: Int? = nil,
                 _ enqueue: (UnsafeMutablePointer<cl_event?>) -> cl_int) -> cl_int {
        var event: cl_event?
        let before = HostClock.nanoseconds
        let code = enqueue(&event)
        let after = max(before, HostClock.nanoseconds)
        if code == CL_SUCCESS, let event {
            let command = DeviceCommand(name: name, workItems: workItems, groupSize: groupSize, bytes: bytes, queue: queue,
                                        queued: 0, submitted: 0, started: 0, ended: 0)
            pending.append(Pending(command: command, event: event, called: before...after))
        }
        return code
    }

    /// Hands on what is pending. Call when everything queued is done.
    func collect() throws {
        guard !pending.isEmpty else { return }
        let finished = pending
        pending = []
        defer { for entry in finished { _ = context.cl.clReleaseEvent(entry.event) } }
        var commands = try finished.map { entry in
            var command = entry.command
            command.queued = try time(of: entry.event, CL_PROFILING_COMMAND_QUEUED)
            command.submitted = try time(of: entry.event, CL_PROFILING_COMMAND_SUBMIT)
            command.started = try time(of: entry.event, CL_PROFILING_COMMAND_START)
            command.ended = try time(of: entry.event, CL_PROFILING_COMMAND_END)
            return command
        }
        // A blocking call returns long after it queued its command; the narrowest window is that of a launch.
        let narrowest = finished.indices.min { finished[$0].called.count < finished[$1].called.count } ?? 0
        let called = finished[narrowest].called
        let shift = (called.lowerBound + called.upperBound) / 2 - commands[narrowest].queued
        for i in commands.indices {
            commands[i].queued += shift
            commands[i].submitted += shift
            commands[i].started = max(commands[i].started + shift, lastEnd)
            commands[i].ended = max(commands[i].ended + shift, commands[i].started)
            lastEnd = commands[i].ended
        }
        record(commands)
    }

    private func time(of event: cl_event, _ moment: Int32) throws -> Int {
        var value: cl_ulong = 0
        let code = context.cl.clGetEventProfilingInfo(event, cl_profiling_info(moment), MemoryLayout<cl_ulong>.size, &value, nil)
        try OpenCLError.check(code, "clGetEventProfilingInfo")
        return Int(truncatingIfNeeded: value)
    }
}

extension OpenCLBackend: CommandRecording {
    /// Kernels, reads and writes; queues are exchanged for such with profiling, or back.
    public func recordCommands(_ record: (([DeviceCommand]) -> Void)?) throws {
        guard holdsValues else { return }
        try lanes.recordCommands(record)
    }
}
