import CVector
import CarouselCore

extension Activation {
    /// The number the C loops know it by.
    var code: Int32 {
        switch self {
        case .linear: Int32(cvLinear)
        case .tanh: Int32(cvTanh)
        case .sigmoid: Int32(cvSigmoid)
        case .relu: Int32(cvReLU)
        case .hardSigmoid: Int32(cvHardSigmoid)
        }
    }
}

extension CPUBackend {
    /// Sets every element of a float32 tensor, in pieces of 16,384 on all threads.
    public func fill(_ tensor: Tensor, with value: Double) throws {
        try cvFill(context, tensor.count, Float(value), floats(tensor))
    }

    /// A plain copy moves bytes; scaling and accumulating round once per operation.
    public func copyColumns(_ source: Tensor, from sourceColumn: Int, to target: Tensor, at targetColumn: Int, width: Int,
                            scale: Double, accumulate: Bool) throws {
        try Requirements.check(
            source.shape.rank == 2 && target.shape.rank == 2 && source.shape[0] == target.shape[0] && width >= 0
                && sourceColumn >= 0 && sourceColumn + width <= source.shape[1]
                && targetColumn >= 0 && targetColumn + width <= target.shape[1],
            "copy of \(width) columns from \(sourceColumn) to \(targetColumn)", ["source": source, "target": target])
        try cvCopyColumns(context, source.shape[0], width, Float(scale), floats(source) + sourceColumn, source.shape[1],
                          floats(target) + targetColumn, target.shape[1], accumulate)
    }

    /// Element by element; c may not overlap a or b unless it is one of them.
    public func multiply(_ a: Tensor, _ b: Tensor, into c: Tensor, accumulate: Bool) throws {
        try Requirements.check(a.count == b.count && a.count == c.count, "element-wise product", ["a": a, "b": b, "c": c])
        try cvMultiplyElements(context, a.count, floats(a), floats(b), floats(c), accumulate)
    }

    /// Own polynomials for exp and tanh, within 4 units in the last place.
    public func activate(_ activation: Activation, _ x: Tensor, into y: Tensor) throws {
        try Requirements.check(x.count == y.count, "activation", ["x": x, "y": y])
        try cvActivate(context, activation.code, x.count, floats(x), floats(y))
    }

    /// One factor per element, from the result y.
    public func activateBackward(_ activation: Activation, y: Tensor, dy: Tensor, into dx: Tensor) throws {
        try Requirements.check(y.count == dy.count && y.count == dx.count, "activation backward",
                               ["y": y, "dy": dy, "dx": dx])
        try cvActivateBackward(context, activation.code, y.count, floats(y), floats(dy), floats(dx))
    }

    /// Ten rounds of Philox per element, 16 elements at a time; no state.
    public func dropout(_ x: Tensor, into y: Tensor, mask: DropoutMask) throws {
        try Requirements.check(x.shape.rank == 2 && x.count == y.count && (mask.rows == nil || mask.rows!.count == x.shape[0])
                                   && mask.rate >= 0 && mask.rate < 1,
                               "dropout at rate \(mask.rate)", ["x": x, "y": y, "rows": mask.rows])
        try cvDropout(context, x.shape[0], x.shape[1], floats(x), floats(y), integers(mask.rows), mask.key, mask.threshold,
                      Float(1 / (1 - mask.rate)))
    }
}
