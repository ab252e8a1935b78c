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
    private var isCleared = false
    /// Launches whose outcome the host has not seen.
    private var isPending = false

    init(refused: Bool = false) { self.refused = refused }

    /// The mark for a launch.
    func mark(on backend: OpenCLBackend) throws -> Tensor {
        let tensor = try mark ?? backend.makeTensor(shape: [1], type: .int32)
        mark = tensor
        if backend.holdsValues {
            if !isCleared { try backend.clear(tensor) }
            isCleared = true
            isPending = true
        }
        return tensor
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
            try queue.read(buffer(of: mark), at: mark.offset * mark.type.byteCount, into: bytes)  // sync point
        }
        if isNew { notice("\(info.selector) (\(info.name)): \(Self.meetingsFailed)") }
    }
}
