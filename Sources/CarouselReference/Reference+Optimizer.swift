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
        let lr = step.learningRate
        let correction1 = 1 - pow(step.beta1, Double(step.step))
        let correction2 = 1 - pow(step.beta2, Double(step.step))
        for i in 0..<weights.count {
            w[i] -= lr * step.weightDecay * w[i]
            first[i] = step.beta1 * first[i] + (1 - step.beta1) * g[i]
            second[i] = step.beta2 * second[i] + (1 - step.beta2) * g[i] * g[i]
            let root = second[i].squareRoot()
            switch step.variant {
            case .pytorch: w[i] -= lr / correction1 * first[i] / (root / correction2.squareRoot() + step.epsilon)
            case .keras: w[i] -= lr * correction2.squareRoot() / correction1 * first[i] / (root + step.epsilon)
            }
        }
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
