import CarouselCore
import Foundation

extension OpenCLBackend {
    public func squaredNorm(of x: Tensor, into sum: Tensor, accumulate: Bool) throws {
        try Requirements.check(sum.count == 1, "squared norm", ["x": x, "sum": sum])
        guard x.count > 0 else {
            if !accumulate { try fill(sum, with: 0) }
            return
        }
        switch family {
        case .gpu:
            // More than one group has to share: interleaved chains first, so that neighbours read neighbours.
            let width = x.count > 1 << 18 ? 1 << 14 : x.count > 1 << 14 ? 1 << 11 : 0
            let source = width > 0 ? try makeTensor(shape: [width]) : x
            if width > 0 {
                try launch(.reduceStrided, tree.defines, count: width,
                           [.tensor(x), .count(x.count), .int(width), .flag(true), .tensor(source), .flag(false)])
            }
            try launch(.reduceTree, tree.defines, global: (Tree.items, 1, 1), local: (Tree.items, 1, 1),
                       [.tensor(source), .count(source.count), .flag(width == 0), .tensor(sum), .flag(accumulate)])
        case .cpu:
            try squaredNormOfChunks(x, into: sum, accumulate: accumulate)
        }
    }

    /// Sums of consecutive chunks until one is left.
    private func squaredNormOfChunks(_ x: Tensor, into sum: Tensor, accumulate: Bool) throws {
        var source = x, count = x.count, square = true
        let chunk = 1 << 14
        while true {
            let width = (count + chunk - 1) / chunk, last = width == 1
            let target = last ? sum : try makeTensor(shape: [width])
            try launch(.reduceChunks, global: (width, 1, 1),
                       [.tensor(source), .count(count), .int(chunk), .flag(square), .tensor(target), .flag(last && accumulate)])
            if last { return }
            (source, count, square) = (target, width, false)
        }
    }

    public func clipByNorm(_ x: Tensor, squaredNorm: Tensor, maximum: Double, variant: OptimizerVariant) throws {
        try Requirements.check(squaredNorm.count == 1, "clip by norm", ["x": x, "squaredNorm": squaredNorm])
        try launch(.clipNorm, defines(variant), count: x.count,
                   [.tensor(x), .count(x.count), .tensor(squaredNorm), .float(maximum)])
    }

    public func scale(_ x: Tensor, by factor: Tensor) throws {
        try Requirements.check(factor.count == 1, "scale", ["x": x, "factor": factor])
        try launch(.scale, defines(.pytorch), count: x.count, [.tensor(x), .count(x.count), .tensor(factor)])
    }

    public func adjustLossScale(_ step: LossScaleStep) throws {
        try Requirements.lossScale(step)
        let rule = step.rule
        try launch(.adjustLossScale, defines(.pytorch), global: (1, 1, 1),
                   [.tensor(step.state), .tensor(step.squaredNorm), .tensor(step.fault), .tensor(step.skip),
                    .float(Double(rule.growthInterval)), .float(rule.smallest), .float(rule.largest)])
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
        let factors = Self.factors(step)
        try launch(.adam, defines(step.variant), count: weights.count,
                   [.tensor(weights), .tensor(gradients), .tensor(m), .tensor(v), .count(weights.count), .float(factors.rate)]
                       + Self.constants(step) + [.float(factors.shrink), .float(factors.root), .optional(step.fault)])
    }

    private static func factors(_ step: AdamStep) -> (rate: Double, shrink: Double, root: Double) {
        let root = (1 - pow(step.beta2, Double(step.step))).squareRoot()
        let corrected = step.learningRate / (1 - pow(step.beta1, Double(step.step)))
        let isKeras = step.variant == .keras
        return (isKeras ? corrected * root : corrected, 1 - step.learningRate * step.weightDecay, isKeras ? 1 : root)
    }

    private static func constants(_ step: AdamStep) -> [KernelArgument] {
        [.float(step.beta1), .float(step.beta2), .float(1 - step.beta1), .float(1 - step.beta2), .float(step.epsilon)]
    }

    public func record(_ event: AdamEvent, as number: Int, in history: AdamHistory, fault: Tensor?) throws {
        try Requirements.event(number, history)
        let values: [Double]
        switch event {
        case .step(let step):
            let factors = Self.factors(step)
            values = [factors.rate, factors.shrink, factors.root, 0, 0, 0]
        case .average(let decay): values = [0, 1, 1, decay, 1 - decay, 1]
        }
        try launch(.recordEvent, global: (1, 1, 1),
                   [.tensor(history.events), .tensor(history.last), .int(number)] + values.map { .float($0) } + [.optional(fault)])
    }

    /// One launch for the rows and one for their marks, which all items of a row read.
    public func adamRows(_ pass: AdamRowsPass) throws {
        try Requirements.adamRows(pass)
        let table = pass.table, history = table.history, width = table.weights.shape[1]
        let count = pass.rows?.count ?? history.marks.count, factors = Self.factors(pass.step)
        try launch(.adamRows, columns: width, rows: count,
                   [.tensor(table.weights), .tensor(table.m), .tensor(table.v), .optional(table.average), .optional(pass.gradients),
                    .optional(pass.rows), .tensor(history.events), .tensor(history.last), .tensor(history.marks), .int(count), .int(width),
                    .int(pass.calmFrom), .float(factors.rate)] + Self.constants(pass.step)
                       + [.float(factors.shrink), .float(factors.root), .optional(pass.step.fault)])
        try launch(.markRows, count: max(1, count),
                   [.tensor(history.marks), .optional(pass.rows), .tensor(history.last), .count(count),
                    .int(pass.gradients == nil ? 0 : pass.number), .flag(pass.rows == nil), .optional(pass.step.fault)])
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
