import CarouselCore

/// Updates a parameter store in place; one kernel per step over the flat buffers.
public final class Optimizer {
    public let configuration: OptimizerConfiguration
    public let clipping: ClippingConfiguration
    private let store: ParameterStore
    private let backend: any Backend
    /// t of the last step taken.
    public private(set) var step = 0
    /// Moments by name (`m`, `v`, `velocity`, `momentum`), flat as the parameters.
    public private(set) var moments: [String: Tensor] = [:]
    /// [1] Σ g² over all parameters before clipping, of the last `clip`.
    public let squaredNorm: Tensor
    private let tensorNorm: Tensor
    /// [1] 0 as long as everything watched was finite, not a number afterwards.
    private let fault: Tensor

    public init(_ configuration: OptimizerConfiguration, clipping: ClippingConfiguration, store: ParameterStore) throws {
        self.configuration = configuration
        self.clipping = clipping
        self.store = store
        backend = store.backend
        squaredNorm = try backend.makeTensor([0.0], shape: [1])
        tensorNorm = try backend.makeTensor([0.0], shape: [1])
        fault = try backend.makeTensor([0.0], shape: [1])
        let names: [String]
        switch configuration.name {
        case .sgd: names = configuration.momentum == 0 ? [] : ["velocity"]
        case .adam, .adamw: names = ["m", "v"]
        case .rmsprop: names = configuration.momentum == 0 ? ["v"] : ["v", "momentum"]
        }
        for name in names { moments[name] = try store.makeCompanion() }
    }

    /// Once `value` [1] is not finite, no later `update` changes anything: the weights and moments before the first
    /// bad step stay, although the host learns of it only steps later.
    public func watch(_ value: Tensor) throws {
        // 0 · x is 0 for every finite x, and not a number for all others.
        try backend.copyColumns(value.reshaped([1, 1]), from: 0, to: fault.reshaped([1, 1]), at: 0, width: 1, scale: 0, accumulate: true)
    }

    /// Limits the gradients as configured. The global norm before clipping stays readable with `gradientNorm`.
    public func clip() throws {
        try backend.squaredNorm(of: store.gradients, into: squaredNorm, accumulate: false)
        try watch(squaredNorm)
        if let maximum = clipping.globalNorm {
            try backend.clipByNorm(store.gradients, squaredNorm: squaredNorm, maximum: maximum, variant: configuration.variant)
        }
        if let maximum = clipping.tensorNorm {
            for number in store.parameters.indices {
                let gradient = store.gradient(number)
                try backend.squaredNorm(of: gradient, into: tensorNorm, accumulate: false)
                try backend.clipByNorm(gradient, squaredNorm: tensorNorm, maximum: maximum, variant: configuration.variant)
            }
        }
        if let limit = clipping.value { try backend.clipByValue(store.gradients, limit: limit) }
    }

    /// √Σ g² over all parameters before clipping, of the last `clip`. A sync point.
    public func gradientNorm() throws -> Double { try backend.readDoubles(squaredNorm)[0].squareRoot() }

    /// Puts back what a saved training had; the moments are written by the caller.
    /// - Parameters:
    ///   - step: t of the last step taken.
    ///   - squaredNorm: of the gradients of that step.
    public func restore(step: Int, squaredNorm value: Double) throws {
        self.step = step
        try backend.write([value], to: squaredNorm)
    }

    /// Takes one step with the store's gradients, unless something watched was not finite.
    public func update(learningRate: Double) throws {
        step += 1
        let c = configuration
        switch c.name {
        case .sgd:
            try backend.sgd(SGDStep(learningRate: learningRate, momentum: c.momentum, nesterov: c.nesterov,
                                    weightDecay: c.resolvedWeightDecay, variant: c.variant, step: step, fault: fault),
                            weights: store.weights, gradients: store.gradients, velocity: moments["velocity"])
        case .adam, .adamw:
            try backend.adam(AdamStep(learningRate: learningRate, beta1: c.beta1, beta2: c.beta2, epsilon: c.resolvedEpsilon,
                                      weightDecay: c.resolvedWeightDecay, variant: c.variant, step: step, fault: fault),
                             weights: store.weights, gradients: store.gradients, m: moments["m"]!, v: moments["v"]!)
        case .rmsprop:
            try backend.rmsprop(RMSpropStep(learningRate: learningRate, rho: c.resolvedRho, momentum: c.momentum,
                                            epsilon: c.resolvedEpsilon, variant: c.variant, fault: fault),
                                weights: store.weights, gradients: store.gradients, v: moments["v"]!,
                                momentum: moments["momentum"])
        }
    }
}
