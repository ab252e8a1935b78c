import CarouselCore
import CarouselNN

/// What an audit examines: a model with its weights, and one batch of data.
public struct AuditCase: Sendable {
    /// For people: `preset stacked-lstm, fresh weights of seed 1`.
    public var subject: String
    /// For people, where the batch comes from.
    public var source: String
    public var model: ModelConfiguration
    public var input: ModelInput
    /// C
    public var classes: Int
    /// Optimizer, clipping, learning rate, label smoothing and the seed of weights and dropout.
    public var training: TrainingConfiguration
    /// The model's weights by name; nil = drawn from the seed.
    public var weights: [HostTensor]?
    /// The batch, with labels.
    public var batch: SequenceBatch
    /// Words of the batch's tokens, for messages; may be empty.
    public var words: [Int: String]

    public init(subject: String, source: String, model: ModelConfiguration, input: ModelInput, classes: Int,
                training: TrainingConfiguration, weights: [HostTensor]? = nil, batch: SequenceBatch, words: [Int: String] = [:]) {
        self.subject = subject
        self.source = source
        self.model = model
        self.input = input
        self.classes = classes
        self.training = training
        self.weights = weights
        self.batch = batch
        self.words = words
    }

    /// Token numbers that occur in the batch, ascending; empty for numeric sequences.
    var tokens: [Int32] {
        if case .tokens(let lists) = batch.input { return lists.distinct }
        return []
    }
}

/// How much of the data and how much work.
public struct AuditLimits: Sendable, Codable, Equatable {
    /// Sequences in the batch.
    public var rows: Int
    /// Steps of the longest sequence.
    public var steps: Int
    /// Training steps that are compared.
    public var trainingSteps: Int
    /// Entries per tensor whose derivative is also taken by finite differences; 0 = none.
    public var samples: Int

    public init(rows: Int = 4, steps: Int = 64, trainingSteps: Int = 3, samples: Int = 4) {
        self.rows = rows
        self.steps = steps
        self.trainingSteps = trainingSteps
        self.samples = samples
    }
}
