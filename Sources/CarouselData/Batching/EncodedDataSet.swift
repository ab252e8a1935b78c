import CarouselCore

/// Sequences ready for batching.
public enum EncodedSequences: Sendable {
    /// Token numbers of each text.
    case tokens([[Int32]])
    /// T × `width` values of each series, row-major.
    case features([[Float]], width: Int)
}

/// A prepared data set on the host.
public struct EncodedDataSet: Sendable {
    /// One sequence per row.
    public let sequences: EncodedSequences
    /// One class number per row, or empty.
    public let labels: [Int32]
    /// Steps of each row.
    public let lengths: [Int]

    /// Number of rows.
    public var count: Int { lengths.count }

    /// - Throws: `badData` when there are labels but not one for each row.
    public init(sequences: EncodedSequences, labels: [Int32] = []) throws {
        self.sequences = sequences
        self.labels = labels
        switch sequences {
        case .tokens(let rows): lengths = rows.map(\.count)
        case .features(let rows, let width):
            guard width > 0 else { throw CarouselError(.badData, "the series have no channels") }
            lengths = rows.map { $0.count / width }
        }
        guard labels.isEmpty || labels.count == lengths.count else {
            throw CarouselError(.badData, "\(labels.count) labels for \(lengths.count) rows")
        }
    }

    /// Texts and labels through the preparation and class names of a model.
    /// - Throws: `badData` for labels unknown to `labels`.
    public init(_ data: TextDataSet, preparation: TextPreparation, labels: LabelSet? = nil) throws {
        try self.init(sequences: .tokens(preparation.encode(all: data.texts)),
                      labels: labels?.encode(.text(data)) ?? [])
    }

    /// Series and labels through the preparation and class names of a model.
    /// - Throws: `badData` for unknown labels or another number of channels.
    public init(_ data: SeriesDataSet, preparation: SeriesPreparation, labels: LabelSet? = nil) throws {
        try self.init(sequences: .features(preparation.apply(data), width: data.width),
                      labels: labels?.encode(.series(data)) ?? [])
    }

    /// The rows at `indices` as one batch.
    /// - Parameter weights: one weight per row of the whole set (for example from class weights), or nil.
    public func batch(_ indices: [Int], weights: [Float]? = nil) -> SequenceBatch {
        var batch = SequenceBatch(), scratch = SequenceBatch.Scratch()
        change(&batch, to: indices, weights: weights, with: &scratch)
        return batch
    }

    /// The same in the memory of an earlier batch.
    /// - Parameter reversed: whether the model reads tokens backwards.
    public func change(_ batch: inout SequenceBatch, to indices: [Int], weights: [Float]? = nil, reversed: Bool = false,
                       with scratch: inout SequenceBatch.Scratch) {
        switch sequences {
        case .tokens(let rows):
            batch.change(to: indices, ofTokens: rows, labels: labels, weights: weights ?? [], reversed: reversed, with: &scratch)
        case .features(let rows, let width):
            batch.change(to: indices, ofFeatures: rows, width: width, labels: labels, weights: weights ?? [], with: &scratch)
        }
    }
}
