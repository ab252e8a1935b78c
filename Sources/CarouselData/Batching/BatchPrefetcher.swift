import CarouselCore
import Foundation

/// Prepares the batches of an epoch on another thread while the device works on the current one.
///
/// Batches come out in the order of the plan; at most `depth` wait at any time. Used from one thread, which may keep a batch
/// as long as it likes; the memory of one it has let go of two batches later is taken for another.
/// Letting go of the object, or `cancel()`, stops the work.
public final class BatchPrefetcher {
    private let shared: Shared
    private let pool: BatchPool

    /// - Parameters:
    ///   - batches: row numbers of each batch, for example from `BatchPlan.training`.
    ///   - weights: one weight per row of the whole set, or nil.
    ///   - reversed: whether the model reads tokens backwards.
    ///   - depth: batches made ahead, at least 1.
    ///   - pool: what earlier batches left to those to come.
    ///   - observer: hears on the other thread when a batch is made.
    public init(_ data: EncodedDataSet, batches: [[Int]], weights: [Float]? = nil, reversed: Bool = false, depth: Int = 2,
                pool: BatchPool = BatchPool(), observer: (any SpanObserver)? = nil) {
        let shared = Shared(depth: max(1, depth))
        self.shared = shared
        self.pool = pool
        // The thread must not hold `self`, or letting go of the prefetcher would not stop it.
        let thread = Thread {
            for rows in batches {
                guard shared.waitForRoom() else { return }
                shared.deliver(observer.span(.preparation) { pool.batch(rows, of: data, weights: weights, reversed: reversed) })
            }
            shared.finish()
        }
        thread.name = "carousel batches"
        thread.start()
    }

    /// The next batch, waiting for it when needed; nil after the last one or after `cancel()`.
    public func next() -> SequenceBatch? {
        guard let batch = shared.take() else { return nil }
        pool.lend(batch)
        return batch
    }

    /// Stops the work; batches not yet taken are dropped.
    public func cancel() { shared.cancel() }

    /// Largest number of batches that ever waited; for tests.
    var highWater: Int { shared.highWaterMark }

    deinit { shared.cancel() }

    /// The queue between the two threads. `@unchecked`: every access happens under `condition`.
    private final class Shared: @unchecked Sendable {
        private let condition = NSCondition()
        private let depth: Int
        private var queue: [SequenceBatch] = []
        private var finished = false
        private var cancelled = false
        private var highWater = 0

        init(depth: Int) {
            self.depth = depth
            queue.reserveCapacity(depth)
        }

        private func locked<Result>(_ body: () -> Result) -> Result {
            condition.lock()
            defer { condition.unlock() }
            return body()
        }

        var highWaterMark: Int { locked { highWater } }

        /// False when cancelled.
        func waitForRoom() -> Bool {
            locked {
                while queue.count >= depth && !cancelled { condition.wait() }
                return !cancelled
            }
        }

        func deliver(_ batch: SequenceBatch) {
            locked {
                guard !cancelled else { return }
                queue.append(batch)
                highWater = max(highWater, queue.count)
                condition.broadcast()
            }
        }

        func finish() {
            locked {
                finished = true
                condition.broadcast()
            }
        }

        func take() -> SequenceBatch? {
            locked {
                while queue.isEmpty && !finished && !cancelled { condition.wait() }
                guard !queue.isEmpty, !cancelled else { return nil }
                let batch = queue.removeFirst()
                condition.broadcast()
                return batch
            }
        }

        func cancel() {
            locked {
                cancelled = true
                queue = []
                condition.broadcast()
            }
        }
    }
}
