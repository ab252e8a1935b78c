import CarouselCore

/// The scale of the loss of a training whose products round to float16: gradients below that type's smallest number would
/// be lost, so the loss is multiplied before the backward pass and the gradients are divided after it.
///
/// The scale lives on the device and follows the gradients there (`LossScaleRule`): the host need not wait to learn whether
/// a step was taken. A step that was left out counts for the optimizer's bias correction and the learning rate's schedule.
public final class LossScale {
    public let rule: LossScaleRule
    private let backend: any Backend
    /// [3] scale, 1 / scale, good steps in a row.
    private let state: Tensor
    /// [1] not 0 when the last step judged was left out.
    let skip: Tensor

    public init(_ rule: LossScaleRule = LossScaleRule(), on backend: any Backend) throws {
        self.rule = rule
        self.backend = backend
        state = try backend.makeTensor([rule.start, 1 / rule.start, 0], shape: [3])
        skip = try backend.makeTensor([0.0], shape: [1])
    }

    /// [1] the scale of the next step, on the device.
    public var value: Tensor { Tensor(buffer: state.buffer, offset: state.offset, shape: [1]) }

    /// Where the scale stands. A sync point.
    public var current: LossScaleRecord {
        get throws {
            let values = try backend.readDoubles(state)
            return LossScaleRecord(scale: values[0], goodSteps: Int(values[2]))
        }
    }

    /// Goes on from where another training stood.
    public func restore(_ record: LossScaleRecord) throws {
        try backend.write([record.scale, 1 / record.scale, Double(record.goodSteps)], to: state)
    }

    /// Multiplies the gradient the backward pass starts from.
    public func scale(_ gradient: Tensor) throws { try backend.scale(gradient, by: value) }

    /// Divides gradients.
    func unscale(_ gradients: Tensor) throws {
        try backend.scale(gradients, by: Tensor(buffer: state.buffer, offset: state.offset + 1, shape: [1]))
    }

    /// Decides about the step whose gradients have this norm, and about the next scale.
    func judge(squaredNorm: Tensor, fault: Tensor) throws {
        try backend.adjustLossScale(LossScaleStep(rule, state: state, squaredNorm: squaredNorm, fault: fault, skip: skip))
    }
}

/// A loss scale as a checkpoint keeps it.
public struct LossScaleRecord: Codable, Sendable, Equatable {
    public var scale: Double
    /// Steps in a row whose gradients were finite, since the scale last changed.
    public var goodSteps: Int

    public init(scale: Double, goodSteps: Int) {
        self.scale = scale
        self.goodSteps = goodSteps
    }
}
