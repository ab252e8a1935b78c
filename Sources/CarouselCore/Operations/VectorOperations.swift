/// Element-wise functions of layers and gates. Every derivative is a function of the *result*.
public enum Activation: String, Sendable, Codable, CaseIterable {
    case linear
    case tanh
    case sigmoid
    case relu
    /// relu6(x + 3) / 6, as in Keras 3.
    case hardSigmoid = "hard_sigmoid"
}

/// Element-wise operations and moves.
public protocol VectorOperations {
    /// `tensor` (scalar type) = value.
    func fill(_ tensor: Tensor, with value: Double) throws

    /// target[m, targetColumn + j] (=, or += if `accumulate`) scale · source[m, sourceColumn + j] for j < width.
    /// source [M, ·], target [M, ·]. A whole-tensor copy is the case of full widths.
    func copyColumns(_ source: Tensor, from sourceColumn: Int, to target: Tensor, at targetColumn: Int, width: Int,
                     scale: Double, accumulate: Bool) throws

    /// c (=, or += if `accumulate`) a ⊙ b. All of one count.
    func multiply(_ a: Tensor, _ b: Tensor, into c: Tensor, accumulate: Bool) throws

    /// y (out) = f(x). `x` and `y` may be the same tensor.
    func activate(_ activation: Activation, _ x: Tensor, into y: Tensor) throws

    /// dx (out) = dy ⊙ f′, with f′ from the result y. `dx` may be `dy`.
    func activateBackward(_ activation: Activation, y: Tensor, dy: Tensor, into dx: Tensor) throws

    /// y (out) = x ⊙ mask / (1 − rate); `x` and `y` may be the same tensor. Its own backward with the same mask.
    func dropout(_ x: Tensor, into y: Tensor, mask: DropoutMask) throws
}

/// Which elements a dropout keeps: a pure function of `key` and position, the same on every device.
///
/// Element (m, j) of a tensor [M, F] belongs to mask element e = r·F + j, where r is m, or `rows[m]`
/// when rows share masks (one mask per sequence for all its steps). It is kept if
/// `RandomGenerator.bits(key, e).0 >= threshold`.
public struct DropoutMask {
    /// Probability of dropping, 0 ..< 1.
    public var rate: Double
    public var key: UInt32
    /// [M] int32 mask row of each row, or nil.
    public var rows: Tensor?

    /// ⌊rate · 2³²⌋.
    public var threshold: UInt32 { UInt32(min(rate * 0x1p32, 0xFFFF_FFFF)) }

    public init(rate: Double, key: UInt32, rows: Tensor? = nil) {
        self.rate = rate
        self.key = key
        self.rows = rows
    }
}
