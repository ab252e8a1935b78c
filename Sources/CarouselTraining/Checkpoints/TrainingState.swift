import CarouselCore
import CarouselNN

/// Where a training stands: with the tensors of a checkpoint, all that its continuation depends on. What is a pure
/// function of configuration, seed and step (the order of the rows, dropout, the learning rate) is not in it.
struct TrainingState: Codable, Sendable, Equatable {
    /// Epochs finished, their validation included.
    var epoch = 0
    /// Steps done of the epoch after those.
    var stepInEpoch = 0
    /// Optimizer steps done in all.
    var step = 0
    /// Σ of the weighted losses of the current epoch, and Σ of their weights.
    var lossSum = 0.0
    var lossWeight = 0.0
    /// Σ g² of the last step, before clipping.
    var squaredGradientNorm = 0.0
    /// Of a training in float16; nil for others.
    var lossScale: LossScaleRecord?
    /// Time and tokens of the current epoch, and time of the whole run.
    var epochSeconds = 0.0
    var epochTokens = 0
    var seconds = 0.0
    /// Of the finished epochs.
    var records: [EpochRecord] = []
    /// The best epoch so far; nil before the first.
    var best: BestEpoch?
    /// The processes that trained this run, in order.
    var sessions: [TrainingSession] = []
}

/// One process' part of a run.
public struct TrainingSession: Codable, Sendable, Equatable {
    /// Steps done before it.
    public var firstStep: Int
    /// `cpu`, `opencl:0`
    public var device: String
    /// The device's name and driver, as its maker calls them.
    public var name: String
    public var driver: String
    /// Size and time of the program's file: another build may round otherwise.
    public var program: String
    /// What decides its last digits: vector instructions, libraries, the kernels in use.
    public var details: [String]
    /// How each layer was computed.
    public var plans: [String]
}

/// The best epoch of a run by the monitored number.
struct BestEpoch: Codable, Sendable, Equatable {
    /// 1, 2, …
    var epoch: Int
    /// nil without a validation part.
    var report: ClassificationReport?
    /// The monitored number, larger is better, and among equals the negative loss.
    var score: Double
    var negativeLoss: Double
}
