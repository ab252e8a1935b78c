import CarouselData
import CarouselNN

/// Where a run stands, at most about ten times a second.
public struct StepRecord: Codable, Sendable {
    /// 1, 2, …
    public var epoch: Int
    /// Of the whole run.
    public var epochs: Int
    /// Steps done in this epoch.
    public var step: Int
    /// Steps of a whole epoch.
    public var stepsPerEpoch: Int
    /// Tokens (time steps of all rows) per second since the run began.
    public var tokensPerSecond: Double
    /// Mean loss of this epoch so far.
    public var loss: Double
    /// Of the last step.
    public var learningRate: Double
    /// Expected until the last epoch ends, without early stopping.
    public var secondsLeft: Double
}

/// One line of `metrics.jsonl`.
public struct EpochRecord: Codable, Sendable, Equatable {
    /// 1, 2, …
    public var epoch: Int
    /// Steps of the epoch.
    public var steps: Int
    /// Mean over the rows while the weights changed, with dropout and smoothed labels.
    public var trainingLoss: Double
    /// Mean over the rows; nil without a validation part, as the next two.
    public var validationLoss: Double?
    /// Share of right answers.
    public var validationAccuracy: Double?
    /// Mean F1 over the classes.
    public var validationMacroF1: Double?
    /// Of the epoch's training part; nil in `metrics.jsonl`, which holds only what the same run gives again.
    public var seconds: Double?
    /// Time steps of all rows per second; nil there too.
    public var tokensPerSecond: Double?
    /// Of the epoch's last step.
    public var learningRate: Double
    /// Before clipping, of the epoch's last step; not finite when that step was left out for its loss scale.
    public var gradientNorm: Double
    /// Whether this epoch is the best so far.
    public var isBest: Bool
    /// SHA-256 of the weights after the epoch, float32 in the order of the model's parameters, followed by their
    /// average where one is kept.
    public var weightsHash: String
    /// SHA-256 of the optimizer's moments.
    public var optimizerHash: String
}

/// How a run was continued.
public struct ResumeRecord: Codable, Sendable {
    /// Steps done before; 0 when there was no checkpoint yet.
    public var step: Int
    /// Epochs finished before.
    public var epoch: Int
    /// Checkpoints that were damaged and passed over: which file, and why.
    public var damaged: [String]
    /// Differences to how the run was computed so far, after which its numbers can differ in their last digits.
    public var changes: [String]
}

/// A change of the scale of the loss in a training whose products round to float16.
public struct LossScaleChange: Codable, Sendable, Equatable {
    /// 1, 2, … over the whole run.
    public var step: Int
    /// From the next step on.
    public var scale: Double
    /// Whether that step's gradients were not finite, and the weights were left as they were.
    public var isSkipped: Bool
}

/// What observers of a run hear; they listen and never change anything.
public enum TrainingEvent: Sendable {
    /// Before the first step: the data, the layers, the device.
    case prepared(DataReport, summary: ModelSummary, device: String)
    /// After that, when a run is continued.
    case resumed(ResumeRecord)
    /// Now and then during an epoch.
    case step(StepRecord)
    /// The loss scale of a training in float16 has changed.
    case lossScale(LossScaleChange)
    /// After an epoch and its validation.
    case epoch(EpochRecord)
    /// Training ended before its last epoch.
    case stopped(reason: String)
}

/// What a run came to.
public struct TrainingResult: Codable, Sendable {
    /// Whose weights are the model; 0 if no epoch was finished.
    public var bestEpoch: Int
    /// In their order.
    public var epochs: [EpochRecord]
    /// Of the best epoch; nil without a validation part.
    public var validation: ClassificationReport?
    /// Of the best epoch's weights; nil without a test part.
    public var test: ClassificationReport?
    /// Trained values of the model.
    public var parameters: Int
    /// From the first step to the last report.
    public var seconds: Double
    /// Whether the run was asked to stop.
    public var interrupted: Bool
    /// The processes that trained it, with the device and plans of each.
    public var sessions: [TrainingSession]
}

/// The parts of a run's data.
public struct TrainingData: Sendable {
    /// What the model learns from.
    public var train: DataSet
    /// nil: a part of `train` is kept aside as the configuration says.
    public var validation: DataSet?
    /// Reported on once, at the end; never takes part in a choice.
    public var test: DataSet?

    public init(train: DataSet, validation: DataSet? = nil, test: DataSet? = nil) {
        self.train = train
        self.validation = validation
        self.test = test
    }
}
