import CarouselCore
import COpenCL
@testable import CarouselOpenCL
import Testing

/// The order of lanes, and what it means for buffers, without a device.
@Suite struct LaneTests {
    @Test func whoWaitsComesAfter() {
        let order = LaneOrder()
        for _ in 0..<3 { order.advance() }
        let first = order.times
        #expect(order.current == 0 && order.isAfter(first) && order.unseen.isEmpty)
        order.on(2) {
            #expect(order.current == 2 && !order.isAfter(first) && order.unseen == [0])
            order.wait(for: first)
            #expect(order.isAfter(first) && order.unseen.isEmpty)
            order.advance()
            // What the lane it waited for comes after, it comes after too.
            let second = order.times
            order.on(3) {
                order.wait(for: second)
                #expect(order.isAfter(first))
                order.advance()
            }
        }
        #expect(order.current == 0 && order.unseen == [2, 3])
        // Later commands of a lane were not waited for.
        order.advance()
        order.on(2) { #expect(order.unseen == [0, 3] && !order.areAllAfter(4, of: 0)) }
        order.everythingIsDone()
        for lane in 0..<LaneOrder.count { order.on(lane) { #expect(order.unseen.isEmpty && order.areAllAfter(4, of: 0)) } }
    }

    @Test func aThrowingBodyLeavesItsLane() {
        let order = LaneOrder()
        #expect(throws: CarouselError.self) { try order.on(1) { throw CarouselError(.internalError, "planted") } }
        #expect(order.current == 0)
    }

    /// Handles with numbers of their own.
    private static func source() -> BufferSource {
        nonisolated(unsafe) var made = 0
        return BufferSource(allocate: { _ in
            made += 1
            return (cl_mem(bitPattern: made), CL_SUCCESS)
        }, release: { _ in }, settle: {})
    }

    /// A buffer that a lane may still use is not handed to another one, until that comes after its last use.
    @Test func lanesKeepTheirBuffers() throws {
        let order = LaneOrder(), pool = BufferPool(source: Self.source(), largestAllocation: 0, reuses: true, order: order)
        func use() throws -> cl_mem {
            let buffer = try pool.make(count: 1000, type: .float32)
            pool.note(order.advance(), in: buffer)
            return buffer.handle
        }
        let first = try use()
        #expect(try use() == first, "in order")
        let other = try order.on(1) { try use() }
        #expect(other != first)
        #expect(try order.on(1) { try use() } == other)
        #expect(try use() == first && pool.madeCount == 2)
        // Used by both: free for neither.
        func useTwice() throws -> cl_mem {
            let shared = try pool.make(count: 5000, type: .float32)
            pool.note(order.advance(), in: shared)
            order.on(1) { pool.note(order.advance(), in: shared) }
            return shared.handle
        }
        func next() throws -> cl_mem { try pool.make(count: 5000, type: .float32).handle }
        let shared = try useTwice()
        #expect(try order.on(1, next) != shared)
        order.wait(for: order.on(1) { order.times })
        #expect(try next() == shared, "after the wait")
        #expect(try [first, other].contains(use()))
    }

    /// What had to be left to another lane counts as needed, so that the next time around it is all there.
    @Test func laterRoundsMakeNoBuffers() throws {
        let order = LaneOrder(), pool = BufferPool(source: Self.source(), largestAllocation: 0, reuses: true, order: order)
        func round() throws {
            let start = order.times
            for lane in 0..<3 {
                try order.on(lane) {
                    order.wait(for: start)
                    for count in [1000, 3000, 1000] {
                        let buffer = try pool.make(count: count, type: .float32)
                        pool.note(order.advance(), in: buffer)
                    }
                }
            }
            for lane in 1..<3 { order.wait(for: order.on(lane) { order.times }) }
        }
        for _ in 0..<2 { try round() }
        let made = pool.madeCount
        for _ in 0..<5 { try round() }
        // A lane needs one of each size.
        #expect(pool.madeCount == made && pool.peakBytes <= 3 * (4096 + 12_288), "\(made), then \(pool.madeCount); \(pool.peakBytes) bytes")
    }
}
