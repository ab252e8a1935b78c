import CarouselCore
import CarouselNN

/// How the learning rate falls over all steps of a run, after the warm-up.
public enum Schedule: String, Sendable, Codable, CaseIterable {
    /// Stays as it is.
    case constant
    /// Falls in a straight line to 0.
    case linear
    /// Falls along half a cosine to 0 (Loshchilov & Hutter 2017, without restarts).
    case cosine
}

/// How much a class counts in the loss.
public enum ClassWeights: String, Sendable, Codable, CaseIterable {
    /// Every row counts the same.
    case none
    /// rows / (classes · rows of the class): every class counts the same.
    case balanced
}

/// The number of the validation part that decides which epoch is the best.
public enum Monitor: String, Sendable, Codable, CaseIterable {
    /// Mean loss; smaller is better.
    case loss
    /// Share of right answers; larger is better.
    case accuracy
    /// Mean F1 over the classes; larger is better.
    case macroF1 = "macro_f1"
}

/// Everything that decides how a model is trained, apart from its layers and its data.
public struct TrainingConfiguration: Codable, Sendable, Equatable {
    /// Passes over the training part.
    public var epochs: Int
    /// Rows per step.
    public var batchSize: Int
    /// The rate after the warm-up.
    public var learningRate: Double
    public var optimizer: OptimizerConfiguration
    public var clipping: ClippingConfiguration
    public var schedule: Schedule
    /// Share of all steps during which the rate rises from 0 in a straight line.
    public var warmupShare: Double
    /// ε: the true class gets 1 − ε + ε/C, the others ε/C (Szegedy et al. 2016).
    public var labelSmoothing: Double
    public var classWeights: ClassWeights
    /// Decay of the moving average of the weights, which is then what is evaluated and saved as best; 0 = off.
    public var averageDecay: Double
    /// Share of the rows kept aside for validation, where no validation file is given; 0 = none.
    public var validationSplit: Double
    /// Epochs without improvement before training stops; nil = never.
    public var patience: Int?
    public var monitor: Monitor
    /// Of the operands of products while training; weights, sums and the optimizer stay float32. The device must have been
    /// opened with it.
    public var precision: Precision
    /// Decides the initial weights, the order of the rows, dropout and the validation part.
    public var seed: UInt64

    public init(epochs: Int = 10, batchSize: Int = 32, learningRate: Double = 0.001,
                optimizer: OptimizerConfiguration = .init(), clipping: ClippingConfiguration = .init(),
                schedule: Schedule = .constant, warmupShare: Double = 0, labelSmoothing: Double = 0,
                classWeights: ClassWeights = .none, averageDecay: Double = 0, validationSplit: Double = 0.1,
                patience: Int? = 3, monitor: Monitor = .loss, precision: Precision = .float32, seed: UInt64 = 1) {
        self.epochs = epochs
        self.batchSize = batchSize
        self.learningRate = learningRate
        self.optimizer = optimizer
        self.clipping = clipping
        self.schedule = schedule
        self.warmupShare = warmupShare
        self.labelSmoothing = labelSmoothing
        self.classWeights = classWeights
        self.averageDecay = averageDecay
        self.validationSplit = validationSplit
        self.patience = patience
        self.monitor = monitor
        self.precision = precision
        self.seed = seed
    }

    enum CodingKeys: String, CodingKey {
        case epochs, batchSize = "batch_size", learningRate = "learning_rate", optimizer, clipping, schedule
        case warmupShare = "warmup_share", labelSmoothing = "label_smoothing", classWeights = "class_weights"
        case averageDecay = "average_decay", validationSplit = "validation_split", patience, monitor, precision, seed
    }

    /// Missing keys take the defaults; `patience: null` means never.
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init()
        epochs = try c.decodeIfPresent(Int.self, forKey: .epochs) ?? epochs
        batchSize = try c.decodeIfPresent(Int.self, forKey: .batchSize) ?? batchSize
        learningRate = try c.decodeIfPresent(Double.self, forKey: .learningRate) ?? learningRate
        optimizer = try c.decodeIfPresent(OptimizerConfiguration.self, forKey: .optimizer) ?? optimizer
        clipping = try c.decodeIfPresent(ClippingConfiguration.self, forKey: .clipping) ?? clipping
        schedule = try c.decodeIfPresent(Schedule.self, forKey: .schedule) ?? schedule
        warmupShare = try c.decodeIfPresent(Double.self, forKey: .warmupShare) ?? warmupShare
        labelSmoothing = try c.decodeIfPresent(Double.self, forKey: .labelSmoothing) ?? labelSmoothing
        classWeights = try c.decodeIfPresent(ClassWeights.self, forKey: .classWeights) ?? classWeights
        averageDecay = try c.decodeIfPresent(Double.self, forKey: .averageDecay) ?? averageDecay
        validationSplit = try c.decodeIfPresent(Double.self, forKey: .validationSplit) ?? validationSplit
        if c.contains(.patience) { patience = try c.decodeIfPresent(Int.self, forKey: .patience) }
        monitor = try c.decodeIfPresent(Monitor.self, forKey: .monitor) ?? monitor
        precision = try c.decodeIfPresent(Precision.self, forKey: .precision) ?? precision
        seed = try c.decodeIfPresent(UInt64.self, forKey: .seed) ?? seed
    }

    /// Writes every key, nil as null.
    public func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(epochs, forKey: .epochs)
        try c.encode(batchSize, forKey: .batchSize)
        try c.encode(learningRate, forKey: .learningRate)
        try c.encode(optimizer, forKey: .optimizer)
        try c.encode(clipping, forKey: .clipping)
        try c.encode(schedule, forKey: .schedule)
        try c.encode(warmupShare, forKey: .warmupShare)
        try c.encode(labelSmoothing, forKey: .labelSmoothing)
        try c.encode(classWeights, forKey: .classWeights)
        try c.encode(averageDecay, forKey: .averageDecay)
        try c.encode(validationSplit, forKey: .validationSplit)
        try c.encode(patience, forKey: .patience)
        try c.encode(monitor, forKey: .monitor)
        try c.encode(precision, forKey: .precision)
        try c.encode(seed, forKey: .seed)
    }

    /// How the loss is scaled; nil = not at all: only float16 has so narrow a range that small gradients are lost.
    var lossScale: LossScaleRule? { precision == .float16 ? LossScaleRule() : nil }

    /// Throws `badConfiguration` naming the key of the first value that cannot work.
    public func validate() throws {
        func require(_ condition: Bool, _ key: CodingKeys, _ message: String, _ hint: String? = nil) throws {
            guard !condition else { return }
            throw CarouselError(.badConfiguration, message, at: "training.\(key.rawValue)", hint: hint)
        }
        func share(_ value: Double, _ key: CodingKeys) throws {
            try require(value >= 0 && value < 1, key, "must be at least 0 and below 1, not \(value)")
        }
        try require(epochs > 0, .epochs, "must be greater than 0, not \(epochs)")
        try require(epochs <= 1 << 20, .epochs, "is more than any training lasts: \(epochs)", "10")
        try require(batchSize > 0, .batchSize, "must be greater than 0, not \(batchSize)")
        try require(batchSize <= 1 << 20, .batchSize, "is larger than any machine holds: \(batchSize)", "32")
        try require(learningRate > 0 && learningRate.isFinite, .learningRate,
                    "must be a number greater than 0, not \(learningRate)", "0.001")
        try share(warmupShare, .warmupShare)
        try share(labelSmoothing, .labelSmoothing)
        try share(averageDecay, .averageDecay)
        try share(validationSplit, .validationSplit)
        if let patience { try require(patience > 0, .patience, "must be greater than 0, or null for never, not \(patience)") }
        try validateOptimizer()
        for (name, limit) in [("global_norm", clipping.globalNorm), ("tensor_norm", clipping.tensorNorm),
                              ("value", clipping.value)] {
            guard let limit, !(limit > 0 && limit.isFinite) else { continue }
            throw CarouselError(.badConfiguration, "must be greater than 0, or null for off, not \(limit)",
                                at: "training.clipping.\(name)")
        }
    }

    private func validateOptimizer() throws {
        let bounded: [(String, Double?)] = [("momentum", optimizer.momentum), ("beta1", optimizer.beta1),
                                            ("beta2", optimizer.beta2), ("rho", optimizer.rho)]
        for case (let name, let value?) in bounded where !(value >= 0 && value < 1) {
            throw CarouselError(.badConfiguration, "must be at least 0 and below 1, not \(value)",
                                at: "training.optimizer.\(name)")
        }
        if let decay = optimizer.weightDecay, !(decay >= 0 && decay.isFinite) {
            throw CarouselError(.badConfiguration, "must be at least 0, not \(decay)", at: "training.optimizer.weight_decay")
        }
        // It keeps weights without a gradient from becoming 0 / 0, in float32.
        if let epsilon = optimizer.epsilon, !(epsilon >= 1e-30 && epsilon.isFinite) {
            throw CarouselError(.badConfiguration, "must be at least 1e-30, not \(epsilon)", at: "training.optimizer.epsilon", hint: "1e-8")
        }
    }
}
