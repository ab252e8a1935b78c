import CarouselData
import CarouselNN

/// Where a run stands, at most about ten times a second.
public struct StepRecord: Codable, Sendable {
    /// 1, 2, …
    public var epoch: Int
    public var epochs: Int
    /// Steps done in this epoch.
    public var step: Int
    public var stepsPerEpoch: Int
    /// Tokens (time steps of all rows) per second since the run began.
    public var tokensPerSecond: Double
    /// Mean loss of this epoch so far.
    public var loss: Double
    public var learningRate: Double
    /// Expected until the last epoch ends, without early stopping.
    public var secondsLeft: Double
}

/// One line of `metrics.jsonl`.
public struct EpochRecord: Codable, Sendable {
    public var epoch: Int
    public var steps: Int
    public var trainingLoss: Double
    public var validationLoss: Double?
    public var validationAccuracy: Double?
    public var validationMacroF1: Double?
    /// Of the epoch's training part.
    public var seconds: Double
    public var tokensPerSecond: Double
    /// Of the epoch's last step.
    public var learningRate: Double
    /// Before clipping, of the epoch's last step.
    public var gradientNorm: Double
    /// Whether this epoch is the best so far.
    public var isBest: Bool
}

/// What observers of a run hear; they listen and never change anything.
public enum TrainingEvent: Sendable {
    case prepared(DataReport, summary: ModelSummary, device: String)
    case step(StepRecord)
    case epoch(EpochRecord)
    /// Training ended before its last epoch.
    case stopped(reason: String)
}

/// What a run came to.
public struct TrainingResult: Codable, Sendable {
    public var bestEpoch: Int
    public var epochs: [EpochRecord]
    public var validation: ClassificationReport?
    public var test: ClassificationReport?
    public var parameters: Int
    /// From the first step to the last report.
    public var seconds: Double
    public var interrupted: Bool
}

/// The parts of a run's data.
public struct TrainingData: Sendable {
    public var train: DataSet
    /// nil: a part of `train` is kept aside as the configuration says.
    public var validation: DataSet?
    public var test: DataSet?

    public init(train: DataSet, validation: DataSet? = nil, test: DataSet? = nil) {
        self.train = train
        self.validation = validation
        self.test = test
    }
}
