import CarouselCore

/// One row of `carousel summary`.
public struct LayerSummary: Codable, Sendable {
    public var name: String
    /// Shape of what the layer hands on, with letters for what a batch decides.
    public var output: String
    public var parameters: Int
    /// Bytes of the layer's activations and their gradients at the given batch and length.
    public var activationBytes: Int
    public var plan: String?
}

/// A model's layers, sizes and memory.
public struct ModelSummary: Codable, Sendable {
    public var layers: [LayerSummary]
    public var parameters: Int
    /// Weights, gradients and moments.
    public var parameterBytes: Int
    public var activationBytes: Int
}

extension SequenceClassifier {
    /// Forward and backward on sizes alone.
    private func rehearse(_ shape: BatchShape) throws {
        let batch = try batch(of: shape, in: BatchWorkspace(backend: backend)), context = PassContext(mode: .training)
        guard let dLogits = try loss(try forward(batch, context), batch, gradient: true).dLogits else { return }
        try backward(dLogits, context)
    }

    /// Layers, shapes, parameters, memory for `batch` sequences of `steps` steps with as many different tokens as
    /// there can be, and the backend's plans.
    /// - Parameter moments: flat buffers of the optimizer (2 for Adam).
    public func summary(batch: Int, steps: Int, moments: Int) throws -> ModelSummary {
        let scalar = backend.scalarType.byteCount
        // What the layers ask for is seen in a rehearsed pass, not computed beside it.
        let rehearsed = try SequenceClassifier(configuration, input: input, classes: classes, seed: 0, on: backend.makePlanner())
        try rehearsed.rehearse(BatchShape(lengths: [Int](repeating: steps, count: batch), distinct: input.distinct(ofRows: batch * steps)))
        var isSequence = true
        var rows: [LayerSummary] = []
        for (number, layer) in layers.enumerated() {
            if number < configuration.layers.count {
                switch configuration.layers[number] {
                case .recurrent(_, let c): isSequence = c.output == .sequences
                case .pooling: isSequence = false
                default: break
                }
            }
            rows.append(LayerSummary(
                name: layer.name, output: isSequence ? "[T, B, \(layer.outputWidth)]" : "[B, \(layer.outputWidth)]",
                parameters: layer.parameters.reduce(0) { $0 + store.parameters[$1].shape.count },
                activationBytes: rehearsed.layers[number].activationBytes,
                plan: layer.plan(batch: batch)))
        }
        return ModelSummary(layers: rows, parameters: store.parameterCount,
                            parameterBytes: store.count * scalar * (2 + moments),
                            activationBytes: rows.reduce(0) { $0 + $1.activationBytes })
    }
}
