import CarouselCore
import COpenCL

/// Where a pool's memory comes from: the device, or nowhere when only sizes are counted.
struct BufferSource {
    /// A buffer of so many bytes, or nil and OpenCL's code.
    let allocate: (Int) -> (cl_mem?, cl_int)
    let release: (cl_mem) -> Void
    /// Waits until released buffers are really free: the device keeps those that queued commands use.
    let settle: () throws -> Void

    /// - Parameter settle: waits for everything queued.
    static func device(_ context: OpenCLContext, settle: @escaping () throws -> Void) -> BufferSource {
        BufferSource(allocate: { bytes in
            var code: cl_int = 0
            let handle = context.cl.clCreateBuffer(context.handle, cl_mem_flags(CL_MEM_READ_WRITE), bytes, nil, &code)
            return (code == CL_SUCCESS ? handle : nil, code)
        }, release: { _ = context.cl.clReleaseMemObject($0) }, settle: settle)
    }

    /// For a planner: handles that no call to OpenCL may see.
    static var counted: BufferSource {
        BufferSource(allocate: { _ in (cl_mem(bitPattern: 1), CL_SUCCESS) }, release: { _ in }, settle: {})
    }
}

/// Makes device buffers and keeps released ones for reuse: a training step asks for the same scratch sizes
/// again and again. A lane runs in order, so a buffer can be handed out while commands that used it for its former owner
/// are still queued, as long as the next owner's come after them (`LaneOrder`).
///
/// Released buffers are kept only as far as the buffers in use were ever large together, those that a lane had to leave to
/// another included: what the pool keeps never makes a training need more memory than its largest step does anyway, so that
/// step is the plan.
final class BufferPool {
    private let source: BufferSource
    private let order: LaneOrder
    private let largestAllocation: Int
    /// Without, every buffer is new and exactly as large as asked for.
    let reuses: Bool
    /// Released buffers, oldest first.
    private var free: [Kept] = []
    /// Bytes of all buffers, those kept for reuse included.
    private(set) var allocatedBytes = 0
    /// Largest value of `allocatedBytes`.
    private(set) var peakBytes = 0
    /// Largest buffer asked for.
    private(set) var largestBuffer = 0
    /// Bytes the live buffers were asked for, and the largest value of that; a buffer taken from the kept ones may be larger.
    private var wantedBytes = 0
    private var peakWantedBytes = 0
    /// Buffers the device has made so far.
    private(set) var madeCount = 0

    /// Buffers kept beyond this many are returned to the device, oldest first.
    private static let keptBuffers = 64

    private struct Kept {
        let handle: cl_mem
        let capacity: Int
        /// Its last command in each lane.
        let used: LaneTimes
    }

    /// - Parameters:
    ///   - largestAllocation: bytes the device allows in one buffer; 0 = unknown.
    ///   - order: of the commands that use the buffers.
    init(source: BufferSource, largestAllocation: Int, reuses: Bool, order: LaneOrder = LaneOrder()) {
        self.source = source
        self.order = order
        self.reuses = reuses
        self.largestAllocation = largestAllocation
    }

    deinit { trim(to: 0) }

    /// Memory for `count` elements with undefined contents; at least one element is allocated.
    /// - Throws: `outOfMemory` when the device has none left even after the kept buffers were given back.
    func make(count: Int, type: ElementType) throws -> OpenCLBuffer {
        let (product, overflow) = max(count, 1).multipliedReportingOverflow(by: type.byteCount)
        guard count >= 0, !overflow else {
            throw CarouselError(.outOfMemory, "cannot allocate \(count) elements of \(type.rawValue)")
        }
        largestBuffer = max(largestBuffer, product)
        if largestAllocation > 0, product > largestAllocation {
            throw CarouselError(.outOfMemory, "cannot allocate \(product) bytes: the device allows at most "
                + "\(largestAllocation) bytes in one buffer", hint: "a smaller batch or model")
        }
        let rounded = reuses ? Self.rounded(product) : product
        let bytes = largestAllocation > 0 ? min(rounded, largestAllocation) : rounded
        let (handle, capacity) = try takeFree(bytes).map { ($0.handle, $0.capacity) } ?? (allocate(bytes), bytes)
        wantedBytes += bytes
        peakWantedBytes = max(peakWantedBytes, wantedBytes)
        return OpenCLBuffer(count: count, type: type, memory: self, handle: handle, capacity: capacity, wanted: bytes)
    }

    private func allocate(_ bytes: Int) throws -> cl_mem {
        // What another lane may still use is as good as in use: giving it back would make room only later.
        let busy = free.reduce(0) { $0 + (order.isAfter($1.used) ? 0 : $1.capacity) }
        let limit = max(peakWantedBytes, wantedBytes + busy + bytes)
        while allocatedBytes + bytes > limit, let oldest = free.firstIndex(where: { order.isAfter($0.used) }) {
            giveBack(free.remove(at: oldest))
        }
        var (handle, code) = source.allocate(bytes)
        if handle == nil {
            // The driver may be out of memory earlier than its figures say.
            trim(to: 0)
            try source.settle()
            (handle, code) = source.allocate(bytes)
        }
        guard let handle else {
            throw CarouselError(.outOfMemory, "cannot allocate \(bytes) bytes on the device; \(allocatedBytes) bytes "
                + "are in use (clCreateBuffer: \(OpenCLError.name(of: code)))", hint: "a smaller batch or model")
        }
        madeCount += 1
        peakWantedBytes = limit
        allocatedBytes += bytes
        peakBytes = max(peakBytes, allocatedBytes)
        return handle
    }

    /// Takes a buffer back when its owner is gone.
    /// - Parameter used: its last command in each lane.
    func recycle(_ handle: cl_mem, capacity: Int, wanted: Int, used: LaneTimes) {
        wantedBytes -= wanted
        free.append(Kept(handle: handle, capacity: capacity, used: used))
        guard reuses else { return trim(to: 0) }
        if free.count > Self.keptBuffers { trim(to: Self.keptBuffers * 3 / 4) }
    }

    /// The smallest released buffer that holds `bytes`, is not wastefully large and is the current lane's to use.
    private func takeFree(_ bytes: Int) -> Kept? {
        var best: Int?
        for (i, entry) in free.enumerated() where entry.capacity >= bytes && entry.capacity <= bytes + bytes / 2 {
            if best == nil || entry.capacity < free[best!].capacity, order.isAfter(entry.used) { best = i }
        }
        return best.map { free.remove(at: $0) }
    }

    /// A command of the current lane uses a buffer of this pool.
    func note(_ number: UInt64, in buffer: OpenCLBuffer) { buffer.used[order.current] = number }

    /// Gives kept buffers back to the device, oldest first, until `count` are left.
    func trim(to count: Int) {
        let excess = max(0, free.count - max(count, 0))
        for entry in free.prefix(excess) { giveBack(entry) }
        free.removeFirst(excess)
    }

    private func giveBack(_ entry: Kept) {
        source.release(entry.handle)
        allocatedBytes -= entry.capacity
    }

    /// Rounds up to eight sizes per power of two, so that ragged batches find buffers to reuse.
    static func rounded(_ bytes: Int) -> Int {
        guard bytes > 256 else { return 256 }
        let step = 1 << max(8, Int.bitWidth - bytes.leadingZeroBitCount - 4)
        guard bytes <= Int.max - step else { return bytes }
        return (bytes + step - 1) / step * step
    }
}
