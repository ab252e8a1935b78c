import CarouselCore
import COpenCL

/// Host memory for writes that nobody waits for: what is written is copied here, and the device fetches it when its turn comes.
///
/// The memory is the driver's own and stays mapped, so that a GPU reads it without another copy in between. Where the driver
/// has none to give, ordinary memory does as well.
final class StagingArea {
    private struct Block {
        let bytes: Int
        let base: UnsafeMutableRawPointer
        /// nil = ordinary memory.
        let buffer: cl_mem?
    }

    private let context: OpenCLContext
    private var blocks: [Block] = []
    /// The block that is being filled, and how far.
    private var place = 0
    private var used = 0

    /// Blocks double until they are large: a queue that writes little takes little.
    private static let smallestBlock = 64 << 10
    private static let largeBlock = 4 << 20
    /// Blocks in use at once hold no more than this.
    private static let mostBytes = 64 << 20
    /// Blocks beyond this are given back when nothing is in use.
    private static let keptBytes = 16 << 20
    /// Writes start at multiples of this.
    private static let alignment = 256

    init(_ context: OpenCLContext) { self.context = context }

    private var allBytes: Int { blocks.reduce(0) { $0 + $1.bytes } }

    /// Bytes of a new block that holds `bytes`.
    private func newBlock(_ bytes: Int) -> Int { max(bytes, Self.smallestBlock, min(allBytes, Self.largeBlock)) }

    /// Whether so many bytes more have to wait until what is here was fetched.
    func isFull(for bytes: Int) -> Bool {
        !blocks.dropFirst(place).contains { room(in: $0) >= bytes } && allBytes + newBlock(bytes) > Self.mostBytes && allBytes > 0
    }

    private func room(in block: Block) -> Int { block.bytes - (block.base == blocks[place].base ? used : 0) }

    /// A copy of `count` bytes that stays until `reset`.
    /// - Parameter queue: any of the context; a new block is mapped there, behind what it has to do.
    func copy(_ bytes: UnsafeRawPointer, count: Int, queue: cl_command_queue) -> UnsafeRawPointer {
        while place < blocks.count, room(in: blocks[place]) < count { (place, used) = (place + 1, 0) }
        if place == blocks.count { blocks.append(makeBlock(newBlock(count), queue)) }
        let target = blocks[place].base + used
        target.copyMemory(from: bytes, byteCount: count)
        used = min(blocks[place].bytes, (used + count + Self.alignment - 1) / Self.alignment * Self.alignment)
        return UnsafeRawPointer(target)
    }

    private func makeBlock(_ bytes: Int, _ queue: cl_command_queue) -> Block {
        let cl = context.cl
        var code: cl_int = 0
        let flags = cl_mem_flags(CL_MEM_READ_ONLY | CL_MEM_ALLOC_HOST_PTR)
        if let buffer = cl.clCreateBuffer(context.handle, flags, bytes, nil, &code) {
            if let base = cl.clEnqueueMapBuffer(queue, buffer, cl_bool(CL_TRUE), cl_map_flags(CL_MAP_WRITE), 0, bytes, 0, nil, nil, &code) {
                return Block(bytes: bytes, base: base, buffer: buffer)
            }
            _ = cl.clReleaseMemObject(buffer)
        }
        return Block(bytes: bytes, base: .allocate(byteCount: bytes, alignment: Self.alignment), buffer: nil)
    }

    /// Everything was fetched.
    func reset(queue: cl_command_queue) {
        (place, used) = (0, 0)
        while blocks.count > 1, allBytes > Self.keptBytes { release(blocks.removeLast(), queue) }
    }

    /// Gives all memory back; nothing may be in use.
    func removeAll(queue: cl_command_queue) {
        while let block = blocks.popLast() { release(block, queue) }
    }

    private func release(_ block: Block, _ queue: cl_command_queue) {
        guard let buffer = block.buffer else { return block.base.deallocate() }
        _ = context.cl.clEnqueueUnmapMemObject(queue, buffer, block.base, 0, nil, nil)
        _ = context.cl.clReleaseMemObject(buffer)
    }
}
