import CVector
import CarouselCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Factors that do not depend on the element are computed in Double and rounded once.
extension CPUBackend {
    /// Sums of 16,384 elements in float32, added in order in Double.
    public func squaredNorm(of x: Tensor, into sum: Tensor, accumulate: Bool) throws {
        try Requirements.check(sum.count == 1, "squared norm", ["x": x, "sum": sum])
        let result = try floats(sum)
        let partial = try scratch(.kernel, count: cvSquaredNormScratch(x.count))
        let norm = try cvSquaredNorm(context, x.count, floats(x), partial)
        guard holdsValues else { return }
        result.pointee = accumulate ? result.pointee + norm : norm
    }

    /// The factor is computed in Double from the squared norm in float32.
    public func clipByNorm(_ x: Tensor, squaredNorm: Tensor, maximum: Double, variant: OptimizerVariant) throws {
        try Requirements.check(squaredNorm.count == 1, "clip by norm", ["x": x, "squaredNorm": squaredNorm])
        guard holdsValues else { return }
        let norm = try Double(floats(squaredNorm).pointee).squareRoot()
        // Not min(), which would hide a norm that is not a number.
        let factor: Double
        switch variant {
        case .pytorch:
            let ratio = maximum / (norm + 1e-6)
            factor = ratio > 1 ? 1 : ratio
        case .keras:
            factor = norm > maximum ? maximum / norm : 1
        }
        if factor != 1 { try cvScale(context, x.count, Float(factor), floats(x)) }
    }

    public func scale(_ x: Tensor, by factor: Tensor) throws {
        try Requirements.check(factor.count == 1, "scale", ["x": x, "factor": factor])
        guard holdsValues else { return }
        try cvScale(context, x.count, floats(factor).pointee, floats(x))
    }

    public func adjustLossScale(_ step: LossScaleStep) throws {
        try Requirements.lossScale(step)
        guard holdsValues else { return }
        let state = try floats(step.state), fault = try floats(step.fault), skip = try floats(step.skip), rule = step.rule
        skip[0] = 1
        guard fault[0] == 0 else { return }
        if try floats(step.squaredNorm)[0].isFinite {
            skip[0] = 0
            state[2] += 1
            if state[2] == Float(rule.growthInterval) { (state[0], state[2]) = (min(2 * state[0], Float(rule.largest)), 0) }
        } else if state[0] > Float(rule.smallest) {
            (state[0], state[2]) = (state[0] / 2, 0)
        } else {
            (fault[0], state[2]) = (1, 0)
        }
        state[1] = 1 / state[0]
    }

    /// Values that are not numbers stay so.
    public func clipByValue(_ x: Tensor, limit: Double) throws {
        try cvClip(context, x.count, Float(limit), floats(x))
    }

    /// One pass over the arrays; see `SGDStep` for the formulas.
    public func sgd(_ step: SGDStep, weights: Tensor, gradients: Tensor, velocity: Tensor?) throws {
        try Requirements.check(
            weights.count == gradients.count && (velocity == nil || velocity!.count == weights.count)
                && (step.momentum == 0 || velocity != nil),
            "SGD", ["weights": weights, "gradients": gradients, "velocity": velocity])
        guard try isSound(step.fault) else { return }
        var values = cvSGD(rate: Float(step.learningRate), momentum: Float(step.momentum),
                           weightDecay: Float(step.weightDecay), nesterov: step.nesterov, keras: step.variant == .keras,
                           first: step.step == 1)
        try cvSGDStep(context, &values, weights.count, floats(weights), floats(gradients),
                      step.momentum == 0 ? nil : floats(velocity))
    }

    /// One pass over the arrays; see `AdamStep` for the formulas.
    public func adam(_ step: AdamStep, weights: Tensor, gradients: Tensor, m: Tensor, v: Tensor) throws {
        try Requirements.check(weights.count == gradients.count && weights.count == m.count && weights.count == v.count,
                               "Adam", ["weights": weights, "gradients": gradients, "m": m, "v": v])
        guard try isSound(step.fault) else { return }
        var values = Self.factors(step)
        try cvAdamStep(context, &values, weights.count, floats(weights), floats(gradients), floats(m), floats(v))
    }

    private static func factors(_ step: AdamStep) -> cvAdam {
        let correction1 = 1 - pow(step.beta1, Double(step.step))
        let correction2 = (1 - pow(step.beta2, Double(step.step))).squareRoot()
        let rate: Double, rootScale: Double
        switch step.variant {
        case .pytorch: (rate, rootScale) = (step.learningRate / correction1, 1 / correction2)
        case .keras: (rate, rootScale) = (step.learningRate * correction2 / correction1, 1)
        }
        return cvAdam(rate: Float(rate), beta1: Float(step.beta1), oneMinusBeta1: Float(1 - step.beta1),
                      beta2: Float(step.beta2), oneMinusBeta2: Float(1 - step.beta2), epsilon: Float(step.epsilon),
                      decay: Float(step.learningRate * step.weightDecay), rootScale: Float(rootScale))
    }

    /// Stores the factors as `cvAdamEvent`.
    public func record(_ event: AdamEvent, as number: Int, in history: AdamHistory, fault: Tensor?) throws {
        try Requirements.event(number, history)
        guard holdsValues, try isSound(fault) else { return }
        var values = cvAdamEvent()
        switch event {
        case .step(let step):
            let factors = Self.factors(step)
            (values.rate, values.decay, values.rootScale) = (factors.rate, factors.decay, factors.rootScale)
        case .average(let decay): (values.averageDecay, values.complement, values.isAverage) = (Float(decay), Float(1 - decay), 1)
        }
        try floats(history.events).withMemoryRebound(to: cvAdamEvent.self, capacity: number) { $0[number - 1] = values }
        try integers(history.last).pointee = Int32(number)
    }

    /// A thread takes some rows through all their events in registers.
    public func adamRows(_ pass: AdamRowsPass) throws {
        try Requirements.adamRows(pass)
        guard holdsValues else { return }
        let table = pass.table, history = table.history, events = try floats(history.events)
        let last = try integers(history.last), marks = try integers(history.marks)
        let isStep = try pass.gradients != nil && isSound(pass.step.fault)
        try events.withMemoryRebound(to: cvAdamEvent.self, capacity: history.events.shape[0]) { events in
            var values = cvAdamRows(step: Self.factors(pass.step), events: events, last: last.pointee, number: Int32(pass.number),
                                    calmFrom: Int32(pass.calmFrom), decays: pass.step.decays, marks: marks,
                                    rows: try integers(pass.rows), gradients: isStep ? try floats(pass.gradients) : nil,
                                    w: try floats(table.weights), m: try floats(table.m), v: try floats(table.v),
                                    average: try floats(table.average))
            cvAdamRowsStep(context, &values, pass.rows?.count ?? history.marks.count, table.weights.shape[1])
        }
        guard pass.rows == nil else { return }
        for row in 0..<history.marks.count { marks[row] = 0 }
        last.pointee = 0
    }

    /// One pass over the arrays; see `RMSpropStep` for the formulas.
    public func rmsprop(_ step: RMSpropStep, weights: Tensor, gradients: Tensor, v: Tensor, momentum: Tensor?) throws {
        try Requirements.check(
            weights.count == gradients.count && weights.count == v.count
                && (momentum == nil || momentum!.count == weights.count) && (step.momentum == 0 || momentum != nil),
            "RMSprop", ["weights": weights, "gradients": gradients, "v": v, "momentum": momentum])
        guard try isSound(step.fault) else { return }
        var values = cvRMSprop(rate: Float(step.learningRate), rho: Float(step.rho), oneMinusRho: Float(1 - step.rho),
                               momentum: Float(step.momentum), epsilon: Float(step.epsilon), keras: step.variant == .keras)
        try cvRMSpropStep(context, &values, weights.count, floats(weights), floats(gradients), floats(v),
                          step.momentum == 0 ? nil : floats(momentum))
    }

    private func isSound(_ fault: Tensor?) throws -> Bool {
        guard holdsValues, let fault else { return true }
        return try floats(fault).pointee == 0
    }

    /// One pass over the arrays.
    public func average(_ weights: Tensor, into average: Tensor, decay: Double) throws {
        try Requirements.check(weights.count == average.count, "average", ["weights": weights, "average": average])
        try cvAverage(context, weights.count, Float(decay), Float(1 - decay), floats(weights), floats(average))
    }
}
