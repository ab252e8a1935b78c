import CarouselCore

/// A batch on a device.
public struct DeviceBatch {
    public let layout: PackedLayout
    public let value: LayerValue
    /// [B] int32; nil without labels.
    public let labels: Tensor?
    /// [B]; nil = all 1.
    public let weights: Tensor?
    /// Σ of the weights, B without.
    public let weightSum: Double

    init(layout: PackedLayout, value: LayerValue, labels: Tensor?, weights: Tensor?, weightSum: Double) {
        self.layout = layout
        self.value = value
        self.labels = labels
        self.weights = weights
        self.weightSum = weightSum
    }

    /// - Parameter reversed: whether a layer reads the tokens backwards.
    public init(_ batch: SequenceBatch, reversed: Bool, on backend: any Backend) throws {
        layout = try PackedLayout(batch.layout, on: backend)
        switch batch.input {
        case .tokens(let lists):
            var backwards: RowIndex?
            if reversed {
                let references = batch.layout.reversedRows.map { lists.distinct[Int(lists.positions[Int($0)])] }
                backwards = try RowIndex(RowIndexLists(references), on: backend)
            }
            value = .tokens(try RowIndex(lists, on: backend), reversed: backwards, layout: layout)
        case .features(let values, let width):
            let x = try backend.makeTensor(values, shape: [batch.layout.rows, width])
            value = .sequence(SequenceValue(.dense(x), layout: layout))
        }
        labels = batch.labels.isEmpty ? nil : try backend.makeTensor(batch.labels, shape: [batch.batchSize])
        weights = batch.weights.isEmpty ? nil : try backend.makeTensor(batch.weights, shape: [batch.batchSize])
        weightSum = batch.weights.isEmpty ? Double(batch.batchSize) : batch.weights.reduce(0) { $0 + Double($1) }
    }
}
