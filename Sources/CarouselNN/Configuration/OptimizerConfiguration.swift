import CarouselCore

/// The update rule and its constants; what is nil takes the variant's default.
public struct OptimizerConfiguration: Sendable, Codable, Equatable {
    public enum Name: String, Sendable, Codable, CaseIterable { case sgd, adam, adamw, rmsprop }

    public var name: Name
    public var variant: OptimizerVariant
    /// SGD and RMSprop.
    public var momentum: Double
    public var nesterov: Bool
    /// Adam's β₁, β₂; RMSprop's ρ (Keras 0.9, PyTorch 0.99).
    public var beta1: Double
    public var beta2: Double
    public var rho: Double?
    /// Keras 1e-7, PyTorch 1e-8.
    public var epsilon: Double?
    /// SGD: added to the gradient; AdamW: decoupled (Keras 0.004, PyTorch 0.01).
    public var weightDecay: Double?

    public init(_ name: Name = .adam, variant: OptimizerVariant = .keras, momentum: Double = 0, nesterov: Bool = false,
                beta1: Double = 0.9, beta2: Double = 0.999, rho: Double? = nil, epsilon: Double? = nil,
                weightDecay: Double? = nil) {
        self.name = name
        self.variant = variant
        self.momentum = momentum
        self.nesterov = nesterov
        self.beta1 = beta1
        self.beta2 = beta2
        self.rho = rho
        self.epsilon = epsilon
        self.weightDecay = weightDecay
    }

    enum CodingKeys: String, CodingKey {
        case name, variant, momentum, nesterov, beta1, beta2, rho, epsilon, weightDecay = "weight_decay"
    }

    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init()
        name = try c.decodeIfPresent(Name.self, forKey: .name) ?? name
        variant = try c.decodeIfPresent(OptimizerVariant.self, forKey: .variant) ?? variant
        momentum = try c.decodeIfPresent(Double.self, forKey: .momentum) ?? momentum
        nesterov = try c.decodeIfPresent(Bool.self, forKey: .nesterov) ?? nesterov
        beta1 = try c.decodeIfPresent(Double.self, forKey: .beta1) ?? beta1
        beta2 = try c.decodeIfPresent(Double.self, forKey: .beta2) ?? beta2
        rho = try c.decodeIfPresent(Double.self, forKey: .rho)
        epsilon = try c.decodeIfPresent(Double.self, forKey: .epsilon)
        weightDecay = try c.decodeIfPresent(Double.self, forKey: .weightDecay)
    }

    public func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(name, forKey: .name)
        try c.encode(variant, forKey: .variant)
        try c.encode(momentum, forKey: .momentum)
        try c.encode(nesterov, forKey: .nesterov)
        try c.encode(beta1, forKey: .beta1)
        try c.encode(beta2, forKey: .beta2)
        try c.encode(rho, forKey: .rho)
        try c.encode(epsilon, forKey: .epsilon)
        try c.encode(weightDecay, forKey: .weightDecay)
    }

    /// ε where none is given: 1e-7 in Keras, 1e-8 in PyTorch.
    public var resolvedEpsilon: Double { epsilon ?? (variant == .keras ? 1e-7 : 1e-8) }
    /// ρ of RMSprop where none is given.
    public var resolvedRho: Double { rho ?? (variant == .keras ? 0.9 : 0.99) }
    /// Weight decay where none is given: AdamW's own default, otherwise 0.
    public var resolvedWeightDecay: Double {
        weightDecay ?? (name == .adamw ? (variant == .keras ? 0.004 : 0.01) : 0)
    }
}

/// Limits on gradients, applied in the order global norm, per-tensor norm, value; nil = off.
public struct ClippingConfiguration: Sendable, Codable, Equatable {
    public var globalNorm: Double?
    public var tensorNorm: Double?
    public var value: Double?

    public init(globalNorm: Double? = nil, tensorNorm: Double? = nil, value: Double? = nil) {
        self.globalNorm = globalNorm
        self.tensorNorm = tensorNorm
        self.value = value
    }

    enum CodingKeys: String, CodingKey { case globalNorm = "global_norm", tensorNorm = "tensor_norm", value }

    public func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(globalNorm, forKey: .globalNorm)
        try c.encode(tensorNorm, forKey: .tensorNorm)
        try c.encode(value, forKey: .value)
    }
}
