/// A command that a device has finished.
public struct DeviceCommand: Sendable {
    /// The kernel's name, or what kind of transfer it was.
    public var name: String
    /// Work-items along each axis; empty for a transfer.
    public var workItems: [Int]
    /// Work-items of a group along each axis; empty for a transfer.
    public var groupSize: [Int]
    /// Bytes of a transfer.
    public var bytes: Int?
    /// The device's queue it ran in: 0, 1, … Commands of one queue do not overlap.
    public var queue: Int
    /// Nanoseconds of `HostClock`: handed to the queue, sent to the device, begun, ended.
    public var queued: Int, submitted: Int, started: Int, ended: Int

    /// Times in nanoseconds of `HostClock`.
    public init(name: String, workItems: [Int], groupSize: [Int], bytes: Int?, queue: Int = 0, queued: Int, submitted: Int, started: Int,
                ended: Int) {
        self.name = name
        self.workItems = workItems
        self.groupSize = groupSize
        self.bytes = bytes
        self.queue = queue
        self.queued = queued
        self.submitted = submitted
        self.started = started
        self.ended = ended
    }
}

/// A device that can tell when each of its commands ran.
public protocol CommandRecording: Backend {
    /// Hands every command from now on to `record`, those of one queue in their order, once it is finished; nil ends that. A
    /// sync point.
    func recordCommands(_ record: (([DeviceCommand]) -> Void)?) throws
}

/// A device that can measure how fast its arithmetic is at best.
public protocol PeakMeasuring: Backend {
    /// Floating-point operations per second of fused multiply-adds on registers, on all threads, when nothing else runs.
    /// - Parameter seconds: about how long to measure.
    func measurePeak(seconds: Double) throws -> Double
    /// What is measured, for people.
    var peakMethod: String { get }
}
