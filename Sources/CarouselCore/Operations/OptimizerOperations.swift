/// Whose formula an optimizer follows where the two differ.
public enum OptimizerVariant: String, Sendable, Codable, CaseIterable { case keras, pytorch }

/// One update of stochastic gradient descent.
///
/// g ← g + weightDecay·w. Without momentum w −= lr·g.
/// - pytorch: v = μv + g (v = g at step 1); w −= lr·(nesterov ? g + μv : v)
/// - keras: v = μv − lr·g; w += nesterov ? μv − lr·g : v
public struct SGDStep {
    public var learningRate: Double
    public var momentum: Double
    public var nesterov: Bool
    public var weightDecay: Double
    public var variant: OptimizerVariant
    /// 1, 2, …
    public var step: Int
    /// [1] in: the update is left out, weights and moments untouched, unless it holds 0; nil = always updated.
    public var fault: Tensor?

    public init(learningRate: Double, momentum: Double = 0, nesterov: Bool = false, weightDecay: Double = 0,
                variant: OptimizerVariant, step: Int, fault: Tensor? = nil) {
        self.learningRate = learningRate
        self.momentum = momentum
        self.nesterov = nesterov
        self.weightDecay = weightDecay
        self.variant = variant
        self.step = step
        self.fault = fault
    }
}

/// One update of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019).
///
/// m = β₁m + (1 − β₁)g, v = β₂v + (1 − β₂)g². Decoupled decay first: w −= lr·weightDecay·w.
/// - pytorch: w −= (lr / (1 − β₁ᵗ)) · m / (√v / √(1 − β₂ᵗ) + ε)
/// - keras: w −= lr·√(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)
public struct AdamStep {
    public var learningRate: Double
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    /// Decoupled (AdamW); 0 = Adam.
    public var weightDecay: Double
    public var variant: OptimizerVariant
    /// t = 1, 2, …
    public var step: Int
    /// [1] in: the update is left out, weights and moments untouched, unless it holds 0; nil = always updated.
    public var fault: Tensor?

    public init(learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double,
                weightDecay: Double = 0, variant: OptimizerVariant, step: Int, fault: Tensor? = nil) {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.variant = variant
        self.step = step
        self.fault = fault
    }
}

/// One update of RMSprop (Tieleman & Hinton 2012).
///
/// v = ρv + (1 − ρ)g². keras: d = g / √(v + ε); pytorch: d = g / (√v + ε).
/// With momentum: pytorch b = μb + d, w −= lr·b; keras b = μb + lr·d, w −= b. Without: w −= lr·d.
public struct RMSpropStep {
    public var learningRate: Double
    public var rho: Double
    public var momentum: Double
    public var epsilon: Double
    public var variant: OptimizerVariant
    /// [1] in: the update is left out, weights and moments untouched, unless it holds 0; nil = always updated.
    public var fault: Tensor?

    public init(learningRate: Double, rho: Double, momentum: Double = 0, epsilon: Double, variant: OptimizerVariant, fault: Tensor? = nil) {
        self.learningRate = learningRate
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.variant = variant
        self.fault = fault
    }
}

/// Norms, clipping and updates over flat buffers, without waiting for the host.
public protocol OptimizerOperations {
    /// sum [1] (=, or += if `accumulate`) Σ x², in a fixed tree.
    func squaredNorm(of x: Tensor, into sum: Tensor, accumulate: Bool) throws

    /// x *= factor, where n = √squaredNorm[0] and factor is
    /// pytorch: min(1, maximum / (n + 1e-6)); keras: n > maximum ? maximum / n : 1.
    func clipByNorm(_ x: Tensor, squaredNorm: Tensor, maximum: Double, variant: OptimizerVariant) throws

    /// x *= factor[0].
    func scale(_ x: Tensor, by factor: Tensor) throws

    /// Decides whether a step is taken whose loss was scaled, and with which scale the next one is; see `LossScaleStep`.
    func adjustLossScale(_ step: LossScaleStep) throws

    /// x = min(max(x, −limit), limit).
    func clipByValue(_ x: Tensor, limit: Double) throws

    /// `velocity` is nil when `step.momentum` is 0. All tensors of one count; in place.
    func sgd(_ step: SGDStep, weights: Tensor, gradients: Tensor, velocity: Tensor?) throws
    func adam(_ step: AdamStep, weights: Tensor, gradients: Tensor, m: Tensor, v: Tensor) throws
    /// `momentum` is nil when `step.momentum` is 0.
    func rmsprop(_ step: RMSpropStep, weights: Tensor, gradients: Tensor, v: Tensor, momentum: Tensor?) throws
    /// average = decay · average + (1 − decay) · weights (exponential moving average of the weights).
    func average(_ weights: Tensor, into average: Tensor, decay: Double) throws

    /// Notes event `number` (1 … capacity) of a history: its row of `events` (out) and `last` = number. Both stay as they
    /// are where `fault` is given and does not hold 0: then the event has not happened.
    func record(_ event: AdamEvent, as number: Int, in history: AdamHistory, fault: Tensor?) throws

    /// Brings rows of a table up to date, and may let them take one more step; see `AdamRowsPass`.
    func adamRows(_ pass: AdamRowsPass) throws
}
