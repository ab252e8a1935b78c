/// How the scale of a loss follows the gradients (Micikevicius et al. 2018, section 3.2): it halves where they left the
/// range of numbers, and doubles after many steps in which they did not.
///
/// Scales are powers of two, so that scaling and unscaling round nothing.
public struct LossScaleRule: Sendable, Codable, Equatable {
    /// Of the first step.
    public var start: Double
    /// Good steps in a row before the scale doubles.
    public var growthInterval: Int
    /// The scale stays between these; gradients that leave the range at the smallest are a fault of the training.
    public var smallest: Double
    public var largest: Double

    /// - Precondition: all scales are powers of two; float32 holds every scale between them and every good step counted.
    public init(start: Double = 0x1p16, growthInterval: Int = 2000, smallest: Double = 1, largest: Double = 0x1p24) {
        self.start = start
        self.growthInterval = growthInterval
        self.smallest = smallest
        self.largest = largest
    }
}

/// What a device decides after the backward pass of a scaled loss.
///
/// - `fault` is not 0: skip = 1 and nothing else changes.
/// - `squaredNorm` is finite: skip = 0, good += 1; when good reaches the interval, scale = min(2·scale, largest), good = 0.
/// - else: skip = 1, good = 0; scale = scale / 2, or fault = 1 where it is the smallest already.
public struct LossScaleStep {
    public var rule: LossScaleRule
    /// [3] in and out: scale, 1 / scale, good steps in a row.
    public var state: Tensor
    /// [1] in: Σ g² of the unscaled gradients.
    public var squaredNorm: Tensor
    /// [1] in and out
    public var fault: Tensor
    /// [1] out: what the update of this step takes for its fault.
    public var skip: Tensor

    public init(_ rule: LossScaleRule, state: Tensor, squaredNorm: Tensor, fault: Tensor, skip: Tensor) {
        self.rule = rule
        self.state = state
        self.squaredNorm = squaredNorm
        self.fault = fault
        self.skip = skip
    }
}

extension Requirements {
    /// Single numbers, and the state of three.
    public static func lossScale(_ step: LossScaleStep) throws {
        try check(step.state.count == 3 && step.squaredNorm.count == 1 && step.fault.count == 1 && step.skip.count == 1, "loss scale",
                  ["state": step.state, "squaredNorm": step.squaredNorm, "fault": step.fault, "skip": step.skip])
    }
}
