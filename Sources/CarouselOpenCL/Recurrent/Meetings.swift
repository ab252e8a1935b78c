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

    /// Compute units that groups are counted by.
    var units: Int
    /// How many groups for each compute unit are tried beyond one, most first.
    var shares: [Int]
    /// Groups of a kernel that have met, by kernel and parameters.
    private(set) var resident: [Launch: Int] = [:]

    /// A kernel with its parameters, on which registers and local memory depend.
    struct Launch: Hashable {
        let name: KernelName
        let defines: KernelDefines
    }

    /// An SM of NVIDIA's has room for four groups of 256 items with 64 registers each; a CPU runs one group on each core.
    init(_ device: OpenCLDeviceDescription, refused: Bool = false) {
        self.refused = refused
        units = device.computeUnits
        shares = device.type == .cpu ? [] : [4, 3, 2]
    }

    /// What a planner knows of the device that `other` has met.
    init(planningFor other: Meetings) {
        (refused, units, shares, resident) = (other.refused, other.units, other.shares, other.resident)
    }

    /// Notes that so many groups of a launch met.
    func note(_ groups: Int, of launch: Launch) { resident[launch] = groups }

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
    /// the device has compute units, the launch waits for the others. So a launch with several groups for each unit, which was
    /// seen to be resident alone, runs alone. The launch follows in the current lane.
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
    /// How many groups of a launch run at once, so that they can wait for each other. One for each compute unit is taken for granted;
    /// more are tried: all of them meet once, by the kernel itself with its registers and local memory (occupancy discovery: Sorensen
    /// et al., Portable inter-workgroup barrier synchronisation for GPUs, OOPSLA 2016). Asked once for each kernel, which waits for
    /// the device. Another program on the device may make it fewer: then groups wait in vain later, which is repaired.
    /// - Parameters:
    ///   - useful: groups that have something to do; no more are asked for.
    ///   - launchGroups: launches so many groups that meet once, with this patience, in three int32: failures, arrivals, a mark.
    func residentGroups(of launch: Meetings.Launch, useful: Int, _ launchGroups: (Int, Int, Tensor) throws -> Void) throws -> Int {
        if let known = meetings.resident[launch] { return known }
        guard useful > meetings.units, let most = meetings.shares.first else { return meetings.units }
        let state = try makeTensor(shape: [3], type: .int32)
        // A planner counts with what could be found.
        guard holdsValues else { return most * meetings.units }
        // Other work on the device would make it look smaller than it is.
        try lanes.finish()  // sync point
        // A failed try takes some 50 ms: a look takes up to a microsecond on a GPU, some nanoseconds on a CPU.
        let patience = device.type == .cpu ? 1 << 22 : 1 << 16
        var found = meetings.units
        for share in meetings.shares {
            let groups = share * meetings.units
            try clear(state)
            try launchGroups(groups, patience, state)
            var values = [Int32](repeating: 0, count: 3)
            try values.withUnsafeMutableBytes { try lanes.read(buffer(of: state), at: state.offset * 4, into: $0) }  // sync point
            if values[0] == 0, values[1] == groups {
                found = groups
                break
            }
        }
        meetings.note(found, of: launch)
        return found
    }

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
