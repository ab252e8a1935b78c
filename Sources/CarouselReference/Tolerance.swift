import CarouselCore

/// How far a float32 device may be from the Double reference, as a relative error of a whole tensor
/// (`ComparedTensor.error`). Each number has its reason in Documentation/Numerics.md.
public enum Tolerance {
    /// Integers, masks, copies: the same numbers.
    public static let exact = 0.0
    /// One or two roundings per element.
    public static let elementwise = 4e-7
    /// An own exp or tanh: a few units in the last place of a result up to 1.
    public static let activation = 1e-6
    /// Cross entropy: an exponential, a sum over the classes and a logarithm.
    public static let loss = 2e-6
    /// Optimizer updates: a square root, a division and a few roundings.
    public static let optimizer = 1e-6
    /// Rows that go through so many events: each multiplies the moments by β, which float32 rounds once.
    public static func rows(events: Int) -> Double { optimizer + 1.2e-7 * Double(events) }
    /// Squared norms: a tree of positive terms.
    public static let norm = 2e-6
    /// One layer over one sequence, forward and backward: the goal of the house. In lower precision a state that differs by
    /// a rounding of float32 may round to the other neighbour as an operand, which is off by two unit roundoffs, times a weight.
    public static func recurrent(_ precision: Precision) -> Double { precision == .float32 ? 1e-5 : precision.unitRoundoff }
    /// The gradients of such a layer where the backend keeps what it likes (`RecurrentActivations.isOpaque`): the gradients of
    /// the gates may be rounded before they are summed, which is one unit roundoff, and the sum as an operand once more to the
    /// other neighbour, which is two.
    public static func opaqueRecurrent(_ precision: Precision) -> Double {
        precision == .float32 ? recurrent(precision) : 3 * precision.unitRoundoff
    }

    /// Sums of `depth` terms of both signs: errors grow with √depth.
    public static func sum(depth: Int) -> Double { 1e-6 + 2.5e-7 * Double(depth).squareRoot() }
}
