/// c (=, or += if `accumulate`) op(a) · op(b) + bias.
public struct MatrixProduct {
    /// [M, K], or [K, M] if `transposeA`.
    public var a: Tensor
    public var transposeA: Bool
    /// [K, N], or [N, K] if `transposeB`.
    public var b: Tensor
    public var transposeB: Bool
    /// [N], added to every row; nil = none.
    public var bias: Tensor?
    /// [M, N], out or +=.
    public var c: Tensor
    public var accumulate: Bool

    public init(_ a: Tensor, transposeA: Bool = false, _ b: Tensor, transposeB: Bool = false, bias: Tensor? = nil,
                into c: Tensor, accumulate: Bool = false) {
        self.a = a
        self.transposeA = transposeA
        self.b = b
        self.transposeB = transposeB
        self.bias = bias
        self.c = c
        self.accumulate = accumulate
    }

    public var m: Int { transposeA ? a.shape[1] : a.shape[0] }
    public var k: Int { transposeA ? a.shape[0] : a.shape[1] }
    public var n: Int { transposeB ? b.shape[0] : b.shape[1] }
}

/// Matrix products and reductions over rows.
public protocol MatrixOperations {
    /// Accumulates in the scalar type. K = 0 gives zeros plus bias.
    func multiply(_ product: MatrixProduct) throws

    /// sums [N] (=, or += if `accumulate`) the sums over the rows of x [M, N], in a fixed order.
    func columnSums(of x: Tensor, into sums: Tensor, accumulate: Bool) throws
}
