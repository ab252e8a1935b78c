import CarouselCore
import CarouselData
import CarouselNN

/// Probabilities and losses of a whole data set.
struct Evaluation {
    /// C values for each row, in the order of the data.
    var probabilities: [[Double]]
    /// One for each row; empty without labels.
    var losses: [Double]

    /// The most probable class of each row, the first of equals.
    var predicted: [Int32] {
        probabilities.map { row in Int32(row.indices.max { (row[$0], $1) < (row[$1], $0) } ?? 0) }
    }
}

enum Evaluator {
    /// Rows per batch: enough to fill a device, small enough to fit beside a training.
    static let batchSize = 128

    /// Runs the model over `data` without keeping anything for a backward pass.
    /// - Parameters:
    ///   - workspace: for the batches; nil = one of its own.
    ///   - shouldStop: ends early with nil.
    static func run(_ model: SequenceClassifier, _ data: EncodedDataSet, in workspace: BatchWorkspace? = nil,
                    shouldStop: () -> Bool = { false }) throws -> Evaluation? {
        let workspace = workspace ?? BatchWorkspace(backend: model.backend)
        var result = Evaluation(probabilities: [[Double]](repeating: [], count: data.count),
                                losses: data.labels.isEmpty ? [] : [Double](repeating: 0, count: data.count))
        let batches = BatchPrefetcher(data, batches: BatchPlan.evaluation(lengths: data.lengths, batchSize: batchSize),
                                      reversed: model.readsBackwards)
        while let batch = batches.next() {
            if shouldStop() { return nil }
            let uploaded = try model.upload(batch, into: workspace)
            let logits = try model.forward(uploaded, PassContext(mode: .inference))
            if !batch.labels.isEmpty {
                let losses = try model.backend.readDoubles(try model.loss(logits, uploaded, gradient: false).losses)
                for (place, row) in batch.indices.enumerated() { result.losses[row] = losses[place] }
            }
            let probabilities = model.probabilities(try model.backend.readDoubles(logits)) // sync point
            for (place, row) in batch.indices.enumerated() { result.probabilities[row] = probabilities[place] }
        }
        return result
    }
}
