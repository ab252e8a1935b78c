import CarouselCore
import Foundation

extension OpenCLBackend {
    public func squaredNorm(of x: Tensor, into sum: Tensor, accumulate: Bool) throws {
        try Requirements.check(sum.count == 1, "squared norm", ["x": x, "sum": sum])
        guard x.count > 0 else {
            if !accumulate { try fill(sum, with: 0) }
            return
        }
        var source = x, count = x.count, square = true
        while true {
            // gpu: each pass is a sum of `width` interleaved chains; cpu: of consecutive chunks.
            let chunk = 1 << 14
            let width = family == .cpu ? (count + chunk - 1) / chunk
                : count > 1 << 18 ? 1 << 14 : count > 1 << 10 ? 1 << 7 : 1
            let last = width == 1
            let target = last ? sum : try makeTensor(shape: [width])
            let output: [KernelArgument] = [.flag(square), .tensor(target), .flag(last && accumulate)]
            switch family {
            case .gpu:
                try launch(.reduceStrided, count: width, [.tensor(source), .count(count), .int(width)] + output)
            case .cpu:
                try launch(.reduceChunks, global: (width, 1, 1), [.tensor(source), .count(count), .int(chunk)] + output)
            }
            if last { return }
            source = target
            count = width
            square = false
        }
    }

    public func clipByNorm(_ x: Tensor, squaredNorm: Tensor, maximum: Double, variant: OptimizerVariant) throws {
        try Requirements.check(squaredNorm.count == 1, "clip by norm", ["x": x, "squaredNorm": squaredNorm])
        try launch(.clipNorm, defines(variant), count: x.count,
                   [.tensor(x), .count(x.count), .tensor(squaredNorm), .float(maximum)])
    }

    public func clipByValue(_ x: Tensor, limit: Double) throws {
        try launch(.clipValue, defines(.pytorch), count: x.count, [.tensor(x), .count(x.count), .float(limit)])
    }

    public func sgd(_ step: SGDStep, weights: Tensor, gradients: Tensor, velocity: Tensor?) throws {
        try Requirements.check(weights.count == gradients.count && (velocity == nil || velocity!.count == weights.count)
                                   && (velocity != nil || step.momentum == 0),
                               "SGD", ["weights": weights, "gradients": gradients, "velocity": velocity])
        let used = step.momentum == 0 ? nil : velocity
        try launch(.sgd, defines(step.variant), count: weights.count,
                   [.tensor(weights), .tensor(gradients), .optional(used), .count(weights.count),
                    .float(step.learningRate), .float(step.momentum), .flag(step.nesterov), .float(step.weightDecay),
                    .flag(step.step == 1), .optional(step.fault)])
    }

    public func adam(_ step: AdamStep, weights: Tensor, gradients: Tensor, m: Tensor, v: Tensor) throws {
        try Requirements.check(weights.count == gradients.count && m.count == weights.count && v.count == weights.count,
                               "Adam", ["weights": weights, "gradients": gradients, "m": m, "v": v])
        let root = (1 - pow(step.beta2, Double(step.step))).squareRoot()
        let corrected = step.learningRate / (1 - pow(step.beta1, Double(step.step)))
        let isKeras = step.variant == .keras
        try launch(.adam, defines(step.variant), count: weights.count,
                   [.tensor(weights), .tensor(gradients), .tensor(m), .tensor(v), .count(weights.count),
                    .float(isKeras ? corrected * root : corrected), .float(step.beta1), .float(step.beta2),
                    .float(1 - step.beta1), .float(1 - step.beta2), .float(step.epsilon),
                    .float(1 - step.learningRate * step.weightDecay), .float(isKeras ? 1 : root), .optional(step.fault)])
    }

    public func rmsprop(_ step: RMSpropStep, weights: Tensor, gradients: Tensor, v: Tensor, momentum: Tensor?) throws {
        try Requirements.check(weights.count == gradients.count && v.count == weights.count
                                   && (momentum == nil || momentum!.count == weights.count)
                                   && (momentum != nil || step.momentum == 0),
                               "RMSprop", ["weights": weights, "gradients": gradients, "v": v, "momentum": momentum])
        try launch(.rmsprop, defines(step.variant), count: weights.count,
                   [.tensor(weights), .tensor(gradients), .tensor(v), .optional(step.momentum == 0 ? nil : momentum),
                    .count(weights.count), .float(step.learningRate), .float(step.rho), .float(1 - step.rho),
                    .float(step.momentum), .float(step.epsilon), .optional(step.fault)])
    }

    public func average(_ weights: Tensor, into average: Tensor, decay: Double) throws {
        try Requirements.check(weights.count == average.count, "average", ["weights": weights, "average": average])
        try launch(.average, defines(.pytorch), count: weights.count,
                   [.tensor(weights), .tensor(average), .count(weights.count), .float(decay), .float(1 - decay)])
    }

    private func defines(_ variant: OptimizerVariant) -> KernelDefines { ["KERAS": variant == .keras ? 1 : 0] }
}
