import CarouselCore
import Foundation

/// Whether work-groups of one launch can wait for each other on this device, as far as this run has seen.
///
/// A group that waits too long gives up; the launch behind finishes what is missing, so results stay right. The device
/// notes it, and the host looks when it reads anyway: nothing waits for that.
final class Meetings {
    /// True after a time-out: the persistent plan is not used again.
    private(set) var refused: Bool
    /// [1] int32 on the device: not 0 after a time-out.
    private var mark: Tensor?
    /// Behind what made it 0.
    private var cleared: Lanes.Mark?
    /// Launches whose outcome the host has not seen.
    private var isPending = false
    /// Launches whose groups meet and may still run, by lane and number, with how many groups wait for each other.
    private var running: [(lane: Int, number: UInt64, groups: Int)] = []

    init(refused: Bool = false) { self.refused = refused }

    /// The mark for a launch.
    func mark(on backend: OpenCLBackend) throws -> Tensor {
        let tensor = try mark ?? backend.makeTensor(shape: [1], type: .int32)
        mark = tensor
        if backend.holdsValues {
            if let cleared {
                try backend.lanes.wait(for: cleared)
            } else {
                try backend.clear(tensor)
                cleared = try backend.lanes.mark(queues: true)
            }
            isPending = true
        }
        return tensor
    }

    /// Sees to it that a launch of `groups` and those that may run beside it are resident together: where they are more than
    /// the device has compute units, the launch waits for the others. The launch follows in the current lane.
    ///
    /// Other kernels beside it end by themselves and then make room.
    func admit(groups: Int, on backend: OpenCLBackend) throws {
        let order = backend.lanes.order
        running.removeAll { order.areAllAfter($0.number, of: $0.lane) }
        let unseen = running.filter { $0.lane != order.current && $0.number > order.times[$0.lane] }
        let others = Dictionary(grouping: unseen, by: \.lane).mapValues { $0.reduce(0) { max($0, $1.groups) } }
        if others.values.reduce(groups, +) > backend.device.computeUnits {
            try backend.lanes.join(others.keys.sorted(), queues: backend.holdsValues)
        }
        running.append((order.current, order.times[order.current] + 1, groups))
    }

    /// Looks at the mark if there was a launch since; call behind a sync point.
    /// - Returns: whether this is the first time-out.
    func look(_ read: (Tensor, UnsafeMutableRawBufferPointer) throws -> Void) throws -> Bool {
        guard isPending, !refused, let mark else { return false }
        isPending = false
        var value: Int32 = 0
        try withUnsafeMutableBytes(of: &value) { try read(mark, $0) }
        refused = value != 0
        return refused
    }
}

extension OpenCLBackend {
    /// What is said once after a time-out.
    static let meetingsFailed = "the work-groups of a recurrent layer did not meet in time; its results were completed by other "
        + "means, and recurrent layers run step by step from now on"

    /// All elements 0, of whatever type.
    func clear(_ tensor: Tensor) throws {
        try launch(.fill, count: tensor.count, [.tensor(tensor), .count(tensor.count), .float(0)])
    }

    /// Behind every sync point.
    func lookAtMeetings() throws {
        let isNew = try meetings.look { mark, bytes in
            try lanes.read(buffer(of: mark), at: mark.offset * mark.type.byteCount, into: bytes)  // sync point
        }
        if isNew { notice("\(info.selector) (\(info.name)): \(Self.meetingsFailed)") }
    }
}
