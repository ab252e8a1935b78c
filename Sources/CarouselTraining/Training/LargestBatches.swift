import CarouselCore
import CarouselData
import CarouselNN

/// The batches of a run that need the most memory, as shapes: the one with the most packed rows, the one with the most
/// different tokens and the one with the longest text.
struct LargestBatches {
    var training: [BatchShape]
    var evaluation: [BatchShape]

    init(training: [BatchShape], evaluation: [BatchShape]) {
        self.training = training
        self.evaluation = evaluation
    }

    /// How an embedding's table is stepped in a training with these batches.
    var rowSteps: RowSteps { training.compactMap(\.distinct).max().map { .automatic(touched: $0) } ?? .never }

    /// Rows whose batches are looked at: all epochs of usual sets. Of more, the later epochs are shuffles of the same
    /// rows and hardly differ.
    private static let lookedAt = 2_000_000

    /// - Parameter evaluated: parts that the model is evaluated on.
    init(_ settings: TrainingConfiguration, training data: EncodedDataSet, evaluated: [EncodedDataSet]) {
        let isWeighted = settings.classWeights == .balanced
        let epochs = max(1, min(settings.epochs, Self.lookedAt / max(1, data.count)))
        var finder = Finder(data)
        for epoch in 0..<epochs {
            let plan = BatchPlan.training(lengths: data.lengths, batchSize: settings.batchSize, seed: settings.seed, epoch: epoch)
            finder.look(at: plan, countsTokens: epoch == 0)
        }
        training = finder.shapes(isWeighted: isWeighted)
        evaluation = evaluated.flatMap { part in
            var finder = Finder(part)
            finder.look(at: BatchPlan.evaluation(lengths: part.lengths, batchSize: Evaluator.batchSize), countsTokens: true)
            return finder.shapes(isWeighted: false)
        }
    }

    /// Keeps the largest batches of those it is shown.
    private struct Finder {
        private let data: EncodedDataSet
        /// For each token the last batch it was seen in.
        private var seen: [Int32] = []
        private var mark: Int32 = 0
        private var longest: (batch: [Int], rows: Int)?
        private var widest: (batch: [Int], distinct: Int)?
        private var tallest: (batch: [Int], steps: Int)?

        init(_ data: EncodedDataSet) {
            self.data = data
            if case .tokens(let rows) = data.sequences {
                let highest = rows.reduce(Int32(-1)) { max($0, $1.max() ?? -1) }
                seen = [Int32](repeating: 0, count: Int(highest) + 1)
            }
        }

        mutating func look(at batches: [[Int]], countsTokens: Bool) {
            for batch in batches {
                let rows = batch.reduce(0) { $0 + data.lengths[$1] }
                if rows > longest?.rows ?? -1 { longest = (batch, rows) }
                let steps = batch.reduce(0) { max($0, data.lengths[$1]) }
                if steps > tallest?.steps ?? -1 { tallest = (batch, steps) }
                guard countsTokens, let distinct = distinct(batch) else { continue }
                if distinct > widest?.distinct ?? -1 { widest = (batch, distinct) }
            }
        }

        mutating func shapes(isWeighted: Bool) -> [BatchShape] {
            [longest?.batch, widest?.batch, tallest?.batch].compactMap { $0 }.map { batch in
                BatchShape(lengths: batch.map { data.lengths[$0] }.sorted(by: >), distinct: distinct(batch), isWeighted: isWeighted)
            }
        }

        /// Different tokens of a batch; nil for numbers.
        private mutating func distinct(_ batch: [Int]) -> Int? {
            guard case .tokens(let rows) = data.sequences else { return nil }
            mark += 1
            return seen.withUnsafeMutableBufferPointer { [mark] seen in
                var count = 0
                for row in batch {
                    for token in rows[row] where seen[Int(token)] != mark {
                        seen[Int(token)] = mark
                        count += 1
                    }
                }
                return count
            }
        }
    }
}

extension EncodedDataSet {
    /// The same rows with at most `limit` steps.
    func cut(to limit: Int, _ truncation: Truncation) throws -> EncodedDataSet {
        switch sequences {
        case .tokens(let rows):
            return try EncodedDataSet(sequences: .tokens(rows.map { truncation.cut($0, to: limit) }), labels: labels)
        case .features(let rows, let width):
            return try EncodedDataSet(sequences: .features(rows.map { Array($0.prefix(limit * width)) }, width: width), labels: labels)
        }
    }
}
