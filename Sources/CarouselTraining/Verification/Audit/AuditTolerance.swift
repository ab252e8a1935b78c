import CarouselCore
import CarouselReference

/// What an audit allows. Each number has its reason, and what was measured, in Documentation/Numerics.md.
enum AuditTolerance {
    /// Logits and losses of a whole model whose roundings are not amplified.
    static let output = 1e-5

    /// Gradients, which are sums over `rows` packed rows: the roundings of terms that cancel grow with √rows.
    static func gradient(rows: Int) -> Double { 2e-5 * max(1, Double(rows) / 256).squareRoot() }

    /// Losses and gradient norms over several training steps.
    static let steps = 2e-5
    /// ‖error‖ / ‖change‖ of the parameters after several training steps.
    static let parameters = 1e-3
    /// Norm, clipped gradients and moments from the same gradients.
    static let elementwise = 2e-6
    /// The change of a parameter from the same gradients and moments.
    static let update = 4e-6
    /// Rounding of a stored float32, twice half a unit in the last place.
    static let storage = 0x1p-23
    /// Finite differences against the gradients of the reference.
    static let differences = 1e-6

    /// `base` for products of lower precision, where a number that differs by a rounding of float32 may round to the other
    /// neighbour, and behind a backward pass a gradient twice (`Tolerance.opaqueRecurrent`); and for numbers that were recorded in
    /// full precision.
    /// - Parameter isCompact: whether the device keeps what it needs for its way back in fewer bits.
    static func rounded(_ base: Double, _ kind: AuditTensor.Kind, _ precision: Precision, isCompact: Bool, isRecorded: Bool) -> Double {
        if precision == .float32 { return base }
        if isRecorded { return max(base, recorded(precision)) }
        return base + (isCompact && (kind == .gradient || kind == .steps) ? Tolerance.opaqueRecurrent(precision) : precision.unitRoundoff)
    }

    /// A device of lower precision beside what nobody rounded.
    static func recorded(_ precision: Precision) -> Double { 8 * precision.unitRoundoff }

    /// Two implementations in double precision, as for the other recorded cases.
    static let exact = 1e-8

    /// Half a unit in the last place of a float32, relative: what the weights of the noisy reference are moved by, at most.
    static let noise = 0x1p-24
    /// Noisy references; the one that moves a tensor most counts.
    static let noiseDraws = 2
    /// A tensor may be this many times as far as the noisy reference.
    static let noiseFactor = 32.0
    /// Where noise alone would allow more than this, nothing can be decided.
    static let ceiling = 1e-2
    /// Smallest scale a gradient is judged by, relative to the largest gradient of the model.
    static let gradientFloor = 1e-3
    /// Distance that arguments keep from kinks.
    static let kinkDistance = 2e-6

    /// The tolerance of a tensor which noise moves by `sensitivity`.
    static func widened(_ base: Double, sensitivity: Double) -> Double {
        max(base, min(noiseFactor * sensitivity, max(ceiling, base)))
    }

    static func verdict(_ error: Double, base: Double, sensitivity: Double) -> AuditTensor.Verdict {
        if error <= widened(base, sensitivity: sensitivity) { return .passed }
        return error.isFinite && noiseFactor * sensitivity > max(ceiling, base) ? .undecided : .failed
    }
}
