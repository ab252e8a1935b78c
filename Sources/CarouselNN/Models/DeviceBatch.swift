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

    /// - Parameters:
    ///   - reversed: whether a layer reads the tokens backwards.
    ///   - workspace: keeps the tensors, which the next batch in it replaces.
    public init(_ batch: SequenceBatch, reversed: Bool, in workspace: BatchWorkspace) throws {
        layout = try PackedLayout(batch.layout, in: workspace.layout)
        switch batch.input {
        case .tokens(let lists):
            var batch = batch
            if reversed { batch.indexReversed() }
            let backwards = try reversed ? batch.reversed.map { try RowIndex($0, in: workspace.reversed) } : nil
            value = .tokens(try RowIndex(lists, in: workspace.index), reversed: backwards, layout: layout)
        case .features(let values, let width):
            let x = try workspace.values.tensor("x", holding: values, shape: Shape(batch.layout.rows, width))
            value = .sequence(SequenceValue(.dense(x), layout: layout))
        }
        let size = batch.batchSize
        labels = batch.labels.isEmpty ? nil : try workspace.values.tensor("labels", holding: batch.labels, shape: [size])
        weights = batch.weights.isEmpty ? nil : try workspace.values.tensor("weights", holding: batch.weights, shape: [size])
        weightSum = batch.weights.isEmpty ? Double(size) : batch.weights.reduce(0) { $0 + Double($1) }
    }
}

/// The tensors of one batch, reused by the next one.
public final class BatchWorkspace {
    let layout, index, reversed, values: Workspace

    public init(backend: any Backend) {
        layout = Workspace(backend: backend)
        index = Workspace(backend: backend)
        reversed = Workspace(backend: backend)
        values = Workspace(backend: backend)
    }
}
