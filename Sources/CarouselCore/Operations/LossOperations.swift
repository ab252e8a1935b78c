/// Cross entropy from logits, with its gradient.
public struct CrossEntropy {
    public enum Kind: String, Sendable, Codable {
        /// logits [B, C], labels 0 ..< C.
        case softmax
        /// logits [B, 1], labels 0 or 1.
        case sigmoid
    }

    public var kind: Kind
    public var logits: Tensor
    /// [B] int32
    public var labels: Tensor
    /// [B] weight of each row; nil = 1.
    public var weights: Tensor?
    /// ε: the target is (1 − ε)·onehot + ε/C (softmax), (1 − ε)·label + ε/2 (sigmoid); Szegedy et al. 2016.
    public var labelSmoothing: Double
    /// Factor of the gradient, usually 1 / Σ weights.
    public var scale: Double
    /// [B] out: weight · loss of each row, not scaled.
    public var losses: Tensor
    /// out: scale · weight · (p − target), shape of `logits`; nil = not wanted.
    public var dLogits: Tensor?

    public init(_ kind: Kind, logits: Tensor, labels: Tensor, weights: Tensor? = nil, labelSmoothing: Double = 0,
                scale: Double, losses: Tensor, dLogits: Tensor?) {
        self.kind = kind
        self.logits = logits
        self.labels = labels
        self.weights = weights
        self.labelSmoothing = labelSmoothing
        self.scale = scale
        self.losses = losses
        self.dLogits = dLogits
    }
}

public protocol LossOperations {
    /// Stable for any finite logits: log Σ exp is taken after subtracting the maximum; the sigmoid form is
    /// max(x, 0) − x·y + log(1 + exp(−|x|)).
    func crossEntropy(_ loss: CrossEntropy) throws
}
