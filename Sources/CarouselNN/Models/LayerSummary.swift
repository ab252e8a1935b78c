import CarouselCore

/// One row of `carousel summary`.
public struct LayerSummary: Codable, Sendable {
    public var name: String
    /// Shape of what the layer hands on, with letters for what a batch decides.
    public var output: String
    public var parameters: Int
    /// Bytes kept for the backward pass at the given batch and length.
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
    /// Layers, shapes, parameters, memory for `batch` sequences of `steps` steps, and the backend's plans.
    /// - Parameter moments: flat buffers of the optimizer (2 for Adam).
    public func summary(batch: Int, steps: Int, moments: Int) -> ModelSummary {
        let scalar = backend.scalarType.byteCount
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
                activationBytes: layer.activationCount(rows: batch * steps, batch: batch) * scalar,
                plan: layer.plan(batch: batch)))
        }
        return ModelSummary(layers: rows, parameters: store.parameterCount,
                            parameterBytes: store.count * scalar * (2 + moments),
                            activationBytes: rows.reduce(0) { $0 + $1.activationBytes })
    }
}
