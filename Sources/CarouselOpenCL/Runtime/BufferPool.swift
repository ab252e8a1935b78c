import CarouselCore
import COpenCL

/// Makes device buffers and keeps released ones for reuse: a training step asks for the same scratch sizes
/// again and again. The queue runs in order, so a buffer can be handed out while commands that used it for
/// its former owner are still queued.
final class BufferPool {
    private let context: OpenCLContext
    private let largestAllocation: Int
    /// Without, every buffer is new and exactly as large as asked for.
    let reuses: Bool
    /// Released buffers, oldest first.
    private var free: [(handle: cl_mem, capacity: Int)] = []
    private var freeBytes = 0
    private(set) var allocatedBytes = 0

    /// Buffers kept beyond this many are returned to the device, oldest first.
    private static let keptBuffers = 64

    init(context: OpenCLContext, largestAllocation: Int, reuses: Bool) {
        self.reuses = reuses
        self.context = context
        self.largestAllocation = largestAllocation
    }

    deinit { trim(to: 0) }

    /// Memory for `count` elements with undefined contents; at least one element is allocated.
    func make(count: Int, type: ElementType) throws -> OpenCLBuffer {
        let (product, overflow) = max(count, 1).multipliedReportingOverflow(by: type.byteCount)
        guard count >= 0, !overflow else {
            throw CarouselError(.outOfMemory, "cannot allocate \(count) elements of \(type.rawValue)")
        }
        let bytes = reuses ? Self.rounded(product) : product
        if let (handle, capacity) = takeFree(bytes) {
            return OpenCLBuffer(count: count, type: type, memory: self, handle: handle, capacity: capacity)
        }
        if largestAllocation > 0, product > largestAllocation {
            throw CarouselError(.outOfMemory, "cannot allocate \(product) bytes: the device allows at most "
                + "\(largestAllocation) bytes in one buffer", hint: "a smaller batch or model")
        }
        let size = largestAllocation > 0 ? min(bytes, largestAllocation) : bytes
        var code: cl_int = 0
        var handle = context.cl.clCreateBuffer(context.handle, cl_mem_flags(CL_MEM_READ_WRITE), size, nil, &code)
        if code != CL_SUCCESS, !free.isEmpty {
            trim(to: 0)
            handle = context.cl.clCreateBuffer(context.handle, cl_mem_flags(CL_MEM_READ_WRITE), size, nil, &code)
        }
        guard code == CL_SUCCESS, let handle else {
            throw CarouselError(.outOfMemory, "cannot allocate \(size) bytes on the device; \(allocatedBytes) bytes "
                + "are in use (clCreateBuffer: \(OpenCLError.name(of: code)))", hint: "a smaller batch or model")
        }
        allocatedBytes += size
        return OpenCLBuffer(count: count, type: type, memory: self, handle: handle, capacity: size)
    }

    /// Takes a buffer back when its owner is gone.
    func recycle(_ handle: cl_mem, capacity: Int) {
        free.append((handle, capacity))
        freeBytes += capacity
        guard reuses else { return trim(to: 0) }
        if free.count > Self.keptBuffers || freeBytes > (allocatedBytes - freeBytes) + (64 << 20) {
            trim(to: min(free.count - 1, Self.keptBuffers * 3 / 4))
        }
    }

    /// The smallest released buffer that holds `bytes` and is not wastefully large.
    private func takeFree(_ bytes: Int) -> (cl_mem, Int)? {
        var best: Int?
        for (i, entry) in free.enumerated() where entry.capacity >= bytes && entry.capacity <= bytes + bytes / 2 {
            if best == nil || entry.capacity < free[best!].capacity { best = i }
        }
        guard let best else { return nil }
        let entry = free.remove(at: best)
        freeBytes -= entry.capacity
        return entry
    }

    private func trim(to count: Int) {
        let excess = max(0, free.count - max(count, 0))
        for entry in free.prefix(excess) {
            _ = context.cl.clReleaseMemObject(entry.handle)
            freeBytes -= entry.capacity
            allocatedBytes -= entry.capacity
        }
        free.removeFirst(excess)
    }

    /// Rounds up to eight sizes per power of two, so that ragged batches find buffers to reuse.
    static func rounded(_ bytes: Int) -> Int {
        guard bytes > 256 else { return 256 }
        let step = 1 << max(8, Int.bitWidth - bytes.leadingZeroBitCount - 4)
        guard bytes <= Int.max - step else { return bytes }
        return (bytes + step - 1) / step * step
    }
}
