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
    /// How many times the roundings of float32 a device may come to: its sums have many terms, a noisy reference has few draws.
    static let roundings = 32.0

    /// Noisy references; the one that moves a tensor most counts.
    static func noiseDraws(_ precision: Precision) -> Int { precision == .float32 ? 2 : 3 }

    /// A tensor may be this many times as far as the noisy reference. In lower precision the noise itself is as large as roundings
    /// may be: what it does is not in proportion to it, since an operand changes by a whole step or not at all.
    static func noiseFactor(_ precision: Precision) -> Double { precision == .float32 ? roundings : 3 }

    /// Makes operands round to the other neighbour, more of them than on a device.
    /// - Parameter isCompact: as in `rounded`; the gradients of such a device differ by whole roundings.
    static func operandNoise(_ precision: Precision, isCompact: Bool, draw: Int) -> OperandNoise? {
        guard precision != .float32 else { return nil }
        let size = roundings * noise
        return OperandNoise(size: size, gradientSize: isCompact ? precision.unitRoundoff : size, draw: draw)
    }

    /// Where noise alone would allow more than this, nothing can be decided.
    /// - Parameter isWay: of parameters over several steps. Adam moves a weight by its gradient's sign, so the ways of weights with
    ///   small gradients go apart far more than gradients, losses and norms.
    static func ceiling(_ precision: Precision, isWay: Bool) -> Double {
        if precision == .float32 { return 1e-2 }
        return isWay ? 0.25 : 32 * precision.unitRoundoff
    }

    /// Smallest scale a gradient is judged by, relative to the largest gradient of the model.
    static let gradientFloor = 1e-3
    /// Distance that arguments keep from kinks.
    static let kinkDistance = 2e-6

    /// The tolerance of a tensor for which noise asks for `noise`.
    static func widened(_ base: Double, noise: Double, ceiling: Double) -> Double { max(base, min(noise, ceiling)) }

    static func verdict(_ error: Double, base: Double, noise: Double, ceiling: Double) -> AuditTensor.Verdict {
        if error <= widened(base, noise: noise, ceiling: ceiling) { return .passed }
        return error.isFinite && noise > max(ceiling, base) ? .undecided : .failed
    }
}
