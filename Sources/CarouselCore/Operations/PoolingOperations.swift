/// How a sequence becomes one vector.
public enum Pooling: String, Sendable, Codable, CaseIterable { case mean, max }

/// Reductions over the true length of each sequence.
public protocol PoolingOperations {
    /// y [B, F] (out): mean or maximum over the steps of each sequence of x [N, F]; 0 for length 0.
    /// argmax [B, F] int32 (out, for `.max`): the packed row of the maximum (the earliest of equals), −1 for length 0.
    func pool(_ pooling: Pooling, _ x: Tensor, layout: PackedLayout, into y: Tensor, argmax: Tensor?) throws

    /// dx [N, F] (+=) from dy [B, F].
    func poolBackward(_ pooling: Pooling, dy: Tensor, layout: PackedLayout, argmax: Tensor?, into dx: Tensor) throws
}
