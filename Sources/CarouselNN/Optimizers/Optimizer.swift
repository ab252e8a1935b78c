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
    private let squaredNorm: Tensor
    private let tensorNorm: Tensor

    public init(_ configuration: OptimizerConfiguration, clipping: ClippingConfiguration, store: ParameterStore) throws {
        self.configuration = configuration
        self.clipping = clipping
        self.store = store
        backend = store.backend
        squaredNorm = try backend.makeTensor([0.0], shape: [1])
        tensorNorm = try backend.makeTensor([0.0], shape: [1])
        let names: [String]
        switch configuration.name {
        case .sgd: names = configuration.momentum == 0 ? [] : ["velocity"]
        case .adam, .adamw: names = ["m", "v"]
        case .rmsprop: names = configuration.momentum == 0 ? ["v"] : ["v", "momentum"]
        }
        for name in names { moments[name] = try store.makeCompanion() }
    }

    /// Limits the gradients as configured. The global norm before clipping stays readable with `gradientNorm`.
    public func clip() throws {
        try backend.squaredNorm(of: store.gradients, into: squaredNorm, accumulate: false)
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

    /// Takes one step with the store's gradients.
    public func update(learningRate: Double) throws {
        step += 1
        let c = configuration
        switch c.name {
        case .sgd:
            try backend.sgd(SGDStep(learningRate: learningRate, momentum: c.momentum, nesterov: c.nesterov,
                                    weightDecay: c.resolvedWeightDecay, variant: c.variant, step: step),
                            weights: store.weights, gradients: store.gradients, velocity: moments["velocity"])
        case .adam, .adamw:
            try backend.adam(AdamStep(learningRate: learningRate, beta1: c.beta1, beta2: c.beta2, epsilon: c.resolvedEpsilon,
                                      weightDecay: c.resolvedWeightDecay, variant: c.variant, step: step),
                             weights: store.weights, gradients: store.gradients, m: moments["m"]!, v: moments["v"]!)
        case .rmsprop:
            try backend.rmsprop(RMSpropStep(learningRate: learningRate, rho: c.resolvedRho, momentum: c.momentum,
                                            epsilon: c.resolvedEpsilon, variant: c.variant),
                                weights: store.weights, gradients: store.gradients, v: moments["v"]!,
                                momentum: moments["momentum"])
        }
    }
}
