import CarouselCore

/// What of a batch decides how much memory it takes.
public struct BatchShape: Sendable, Equatable {
    /// B lengths, descending.
    public var lengths: [Int]
    /// U, the different tokens of a batch of text; nil for a batch of numbers.
    public var distinct: Int?
    /// Whether its rows have weights.
    public var isWeighted: Bool

    /// - Parameter lengths: descending.
    public init(lengths: [Int], distinct: Int?, isWeighted: Bool = false) {
        self.lengths = lengths
        self.distinct = distinct
        self.isWeighted = isWeighted
    }

    /// N, the packed rows.
    public var rows: Int { lengths.reduce(0, +) }
}

extension SequenceClassifier {
    /// A batch with labels and undefined contents, as large on the device as any of this shape: for planning and reserving.
    /// - Parameter workspace: keeps the tensors, which the next batch in it replaces.
    public func batch(of shape: BatchShape, in workspace: BatchWorkspace) throws -> DeviceBatch {
        let layout = try PackedLayout(sizesOf: SequenceLayout(lengths: shape.lengths, sizesOnly: true), in: workspace.layout)
        let rows = layout.layout.rows, size = layout.layout.batchSize
        let value: LayerValue
        if let distinct = shape.distinct {
            let reversed = readsBackwards ? try RowIndex(sizesOf: rows, distinct: distinct, in: workspace.reversed) : nil
            value = .tokens(try RowIndex(sizesOf: rows, distinct: distinct, in: workspace.index), reversed: reversed, layout: layout)
        } else {
            guard case .features(let width) = input else {
                throw CarouselError(.internalError, "a batch of text needs its number of different tokens")
            }
            value = .sequence(SequenceValue(.dense(try workspace.values.tensor("x", [rows, width])), layout: layout))
        }
        return DeviceBatch(layout: layout, value: value, labels: try workspace.values.tensor("labels", [size], type: .int32),
                           weights: shape.isWeighted ? try workspace.values.tensor("weights", [size]) : nil, weightSum: Double(size))
    }
}
