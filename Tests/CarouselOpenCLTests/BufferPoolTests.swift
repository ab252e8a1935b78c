import COpenCL
import CarouselCore
@testable import CarouselOpenCL
import Testing

/// The pool without a device: a source that counts and can run out.
@Suite struct BufferPoolTests {
    private final class Ledger {
        var limit = Int.max, used = 0, settled = 0
        /// Bytes of released buffers that commands in the queue still hold.
        var held = 0
        private var sizes: [Int] = []

        func source() -> BufferSource {
            BufferSource(allocate: { [self] bytes in
                guard used + held + bytes <= limit else { return (nil, -4) }
                used += bytes
                sizes.append(bytes)
                return (cl_mem(bitPattern: sizes.count), 0)
            }, release: { [self] handle in
                let bytes = sizes[Int(bitPattern: handle) - 1]
                used -= bytes
                held += bytes
            }, settle: { [self] in
                settled += 1
                held = 0
            })
        }
    }

    private func status(_ body: () throws -> Void) -> CarouselError? {
        do { try body() } catch { return error as? CarouselError }
        return nil
    }

    /// What is kept for reuse is given back, and commands are waited for, before an allocation fails.
    @Test func aFailedAllocationIsTriedAgain() throws {
        let ledger = Ledger(), pool = BufferPool(source: ledger.source(), largestAllocation: 0, reuses: true)
        ledger.limit = 10_000
        let kept = try pool.make(count: 512, type: .float32)
        _ = try pool.make(count: 1024, type: .float32)
        // 2048 in use, 4096 kept: this one fits only once those are free.
        let large = try pool.make(count: 1792, type: .float32)
        #expect(ledger.settled == 1 && large.capacity == 7168 && pool.allocatedBytes == 2048 + 7168)
        let error = try #require(status { _ = try pool.make(count: 1024, type: .float32) })
        #expect(error.status == .outOfMemory && error.message.contains("CL_MEM_OBJECT_ALLOCATION_FAILURE"), "\(error)")
        #expect(error.message.contains("9216 bytes"), "\(error)")
        #expect(kept.count == 512 && large.count == 1792)
    }

    /// Kept buffers never push the total beyond what buffers in use once needed together.
    @Test func keptBuffersStayInsideThePeak() throws {
        let ledger = Ledger(), pool = BufferPool(source: ledger.source(), largestAllocation: 0, reuses: true)
        let first = try [256, 512].map { try pool.make(count: $0, type: .float32) }
        withExtendedLifetime(first) {}
        let peak = 3072
        var random = SeededGenerator(seed: 3, purpose: 1)
        for _ in 0..<200 {
            let a = try pool.make(count: 1 + Int(random.uniform() * 500), type: .float32)
            #expect(pool.allocatedBytes <= peak)
            withExtendedLifetime(a) {}
        }
        #expect(pool.peakBytes <= peak && ledger.used == pool.allocatedBytes)
    }

    @Test func theLargestBufferIsKnown() throws {
        let pool = BufferPool(source: .counted, largestAllocation: 0, reuses: true)
        _ = try pool.make(count: 100, type: .float32)
        _ = try pool.make(count: 1000, type: .int32)
        #expect(pool.largestBuffer == 4000)
        let limited = BufferPool(source: .counted, largestAllocation: 2000, reuses: true)
        #expect(status { _ = try limited.make(count: 1000, type: .float32) }?.status == .outOfMemory)
    }
}
