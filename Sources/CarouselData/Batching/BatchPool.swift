import CarouselCore
import Foundation

/// Makes batches in the memory of earlier ones.
///
/// A batch that is lent out comes back when two more have been lent: the layers of a model hold the batch of the last step
/// until they see the next. Whoever keeps a copy for longer keeps its values; only the memory is then made anew.
///
/// `@unchecked`: every access happens under `lock`.
public final class BatchPool: @unchecked Sendable {
    private let lock = NSLock()
    private var spare: [SequenceBatch] = []
    private var lent: [SequenceBatch] = []
    private var scratches: [SequenceBatch.Scratch] = []

    /// Without any batch yet.
    public init() {
        lent.reserveCapacity(3)
        spare.reserveCapacity(8)
    }

    /// The rows at `indices` as one batch.
    /// - Parameters:
    ///   - weights: one weight per row of the whole set, or nil.
    ///   - reversed: whether the model reads tokens backwards.
    public func batch(_ indices: [Int], of data: EncodedDataSet, weights: [Float]? = nil, reversed: Bool = false) -> SequenceBatch {
        var (batch, scratch) = lock.withLock {
            (spare.isEmpty ? SequenceBatch() : spare.removeFirst(), scratches.popLast() ?? SequenceBatch.Scratch())
        }
        data.change(&batch, to: indices, weights: weights, reversed: reversed, with: &scratch)
        lock.withLock { scratches.append(scratch) }
        return batch
    }

    /// Notes a batch that is about to be worked on.
    public func lend(_ batch: SequenceBatch) {
        lock.withLock {
            lent.append(batch)
            if lent.count > 2 { spare.append(lent.removeFirst()) }
        }
    }
}
