import CarouselCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension ReferenceBackend {
    public func squaredNorm(of x: Tensor, into sum: Tensor, accumulate: Bool) throws {
        try Requirements.check(sum.count == 1, "squared norm", ["x": x, "sum": sum])
        let source = try doubles(x), target = try doubles(sum)
        target[0] = (accumulate ? target[0] : 0) + dot(source, source, x.count)
    }

    public func clipByNorm(_ x: Tensor, squaredNorm: Tensor, maximum: Double, variant: OptimizerVariant) throws {
        try Requirements.check(squaredNorm.count == 1, "clip by norm", ["x": x, "squaredNorm": squaredNorm])
        let values = try doubles(x)
        let norm = try doubles(squaredNorm)[0].squareRoot()
        let factor = switch variant {
        case .pytorch: min(1, maximum / (norm + 1e-6))
        case .keras: norm > maximum ? maximum / norm : 1
        }
        for i in 0..<x.count { values[i] *= factor }
    }

    public func scale(_ x: Tensor, by factor: Tensor) throws {
        try Requirements.check(factor.count == 1, "scale", ["x": x, "factor": factor])
        let values = try doubles(x), factor = try doubles(factor)[0]
        for i in 0..<x.count { values[i] *= factor }
    }

    public func adjustLossScale(_ step: LossScaleStep) throws {
        try Requirements.lossScale(step)
        let state = try doubles(step.state), fault = try doubles(step.fault), skip = try doubles(step.skip), rule = step.rule
        skip[0] = 1
        guard fault[0] == 0 else { return }
        if try doubles(step.squaredNorm)[0].isFinite {
            skip[0] = 0
            state[2] += 1
            if state[2] == Double(rule.growthInterval) { (state[0], state[2]) = (min(2 * state[0], rule.largest), 0) }
        } else if state[0] > rule.smallest {
            (state[0], state[2]) = (state[0] / 2, 0)
        } else {
            (fault[0], state[2]) = (1, 0)
        }
        state[1] = 1 / state[0]
    }

    public func clipByValue(_ x: Tensor, limit: Double) throws {
        let values = try doubles(x)
        for i in 0..<x.count { values[i] = min(max(values[i], -limit), limit) }
    }

    public func sgd(_ step: SGDStep, weights: Tensor, gradients: Tensor, velocity: Tensor?) throws {
        let fits = weights.count == gradients.count && (step.momentum == 0 || velocity?.count == weights.count)
        try Requirements.check(fits, "sgd", ["weights": weights, "gradients": gradients, "velocity": velocity])
        guard try isSound(step.fault) else { return }
        let w = try doubles(weights), gradient = try doubles(gradients), velocities = try doubles(velocity)
        let lr = step.learningRate, mu = step.momentum
        for i in 0..<weights.count {
            let g = gradient[i] + step.weightDecay * w[i]
            guard mu != 0, let v = velocities else {
                w[i] -= lr * g
                continue
            }
            switch step.variant {
            case .pytorch:
                v[i] = step.step == 1 ? g : mu * v[i] + g
                w[i] -= lr * (step.nesterov ? g + mu * v[i] : v[i])
            case .keras:
                v[i] = mu * v[i] - lr * g
                w[i] += step.nesterov ? mu * v[i] - lr * g : v[i]
            }
        }
    }

    public func adam(_ step: AdamStep, weights: Tensor, gradients: Tensor, m: Tensor, v: Tensor) throws {
        let fits = weights.count == gradients.count && weights.count == m.count && weights.count == v.count
        try Requirements.check(fits, "adam", ["weights": weights, "gradients": gradients, "m": m, "v": v])
        guard try isSound(step.fault) else { return }
        let w = try doubles(weights), g = try doubles(gradients), first = try doubles(m), second = try doubles(v)
        let factors = Self.factors(step)
        for i in 0..<weights.count { Self.update(step, factors, gradient: g[i], &w[i], &first[i], &second[i]) }
    }

    /// What of a step does not depend on the element.
    private static func factors(_ step: AdamStep) -> (rate: Double, decay: Double, root: Double) {
        let lr = step.learningRate
        let correction1 = 1 - pow(step.beta1, Double(step.step))
        let correction2 = 1 - pow(step.beta2, Double(step.step))
        return switch step.variant {
        case .pytorch: (lr / correction1, lr * step.weightDecay, correction2.squareRoot())
        case .keras: (lr * correction2.squareRoot() / correction1, lr * step.weightDecay, 1)
        }
    }

    private static func update(_ step: AdamStep, _ factors: (rate: Double, decay: Double, root: Double), gradient g: Double,
                               _ w: inout Double, _ m: inout Double, _ v: inout Double) {
        w -= factors.decay * w
        m = step.beta1 * m + (1 - step.beta1) * g
        v = step.beta2 * v + (1 - step.beta2) * g * g
        w -= factors.rate * m / (v.squareRoot() / factors.root + step.epsilon)
    }

    public func record(_ event: AdamEvent, as number: Int, in history: AdamHistory, fault: Tensor?) throws {
        try Requirements.event(number, history)
        guard try isSound(fault) else { return }
        let values = try doubles(history.events) + (number - 1) * AdamHistory.width
        switch event {
        case .step(let step):
            let factors = Self.factors(step)
            (values[0], values[1], values[2], values[3]) = (factors.rate, factors.decay, factors.root, 0)
        case .average(let decay): (values[3], values[4], values[5]) = (1, decay, 1 - decay)
        }
        try integers(history.last).pointee = Int32(number)
    }

    /// Every event of every row, without a shortcut.
    public func adamRows(_ pass: AdamRowsPass) throws {
        try Requirements.adamRows(pass)
        let table = pass.table, width = table.weights.shape[1], step = pass.step
        let w = try doubles(table.weights), m = try doubles(table.m), v = try doubles(table.v), mean = try doubles(table.average)
        let events = try doubles(table.history.events), marks = try integers(table.history.marks)
        let last = try integers(table.history.last), rows = try integers(pass.rows)
        let gradients = try isSound(step.fault) ? doubles(pass.gradients) : nil
        for index in 0..<(pass.rows?.count ?? table.history.marks.count) {
            let row = rows.map { Int($0[index]) } ?? index
            for i in row * width ..< (row + 1) * width {
                for event in stride(from: Int(marks[row]), to: Int(last.pointee), by: 1) {
                    let values = events + event * AdamHistory.width
                    if values[3] != 0 {
                        if let mean { mean[i] = values[4] * mean[i] + values[5] * w[i] }
                    } else {
                        Self.update(step, (values[0], values[1], values[2]), gradient: 0, &w[i], &m[i], &v[i])
                    }
                }
                if let gradients {
                    Self.update(step, Self.factors(step), gradient: gradients[index * width + i - row * width], &w[i], &m[i], &v[i])
                }
            }
            marks[row] = pass.rows == nil ? 0 : gradients != nil ? Int32(pass.number) : max(marks[row], last.pointee)
        }
        if pass.rows == nil { last.pointee = 0 }
    }

    public func rmsprop(_ step: RMSpropStep, weights: Tensor, gradients: Tensor, v: Tensor, momentum: Tensor?) throws {
        let fits = weights.count == gradients.count && weights.count == v.count
            && (step.momentum == 0 || momentum?.count == weights.count)
        try Requirements.check(fits, "rmsprop", ["weights": weights, "gradients": gradients, "v": v, "momentum": momentum])
        guard try isSound(step.fault) else { return }
        let w = try doubles(weights), g = try doubles(gradients), second = try doubles(v), buffer = try doubles(momentum)
        let lr = step.learningRate, mu = step.momentum
        for i in 0..<weights.count {
            second[i] = step.rho * second[i] + (1 - step.rho) * g[i] * g[i]
            let d = switch step.variant {
            case .pytorch: g[i] / (second[i].squareRoot() + step.epsilon)
            case .keras: g[i] / (second[i] + step.epsilon).squareRoot()
            }
            guard mu != 0, let b = buffer else {
                w[i] -= lr * d
                continue
            }
            switch step.variant {
            case .pytorch:
                b[i] = mu * b[i] + d
                w[i] -= lr * b[i]
            case .keras:
                b[i] = mu * b[i] + lr * d
                w[i] -= b[i]
            }
        }
    }

    private func isSound(_ fault: Tensor?) throws -> Bool { try fault.map { try doubles($0)[0] == 0 } ?? true }

    public func average(_ weights: Tensor, into average: Tensor, decay: Double) throws {
        try Requirements.check(weights.count == average.count, "average", ["weights": weights, "average": average])
        let w = try doubles(weights), mean = try doubles(average)
        for i in 0..<weights.count { mean[i] = decay * mean[i] + (1 - decay) * w[i] }
    }
}
