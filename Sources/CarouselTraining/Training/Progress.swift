/// Speed and remaining time of a run.
struct Progress {
    private let stepsPerEpoch: Int
    private let epochs: Int
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var epochStart: ContinuousClock.Instant
    private var lastRecord: ContinuousClock.Instant
    private var epoch = 0
    private var steps = 0
    private var tokens = 0
    private(set) var epochTokens = 0
    private var stepsDone = 0
    private let stepsBefore: Int
    /// Time of the epoch in an earlier process.
    private var epochSecondsBefore = 0.0

    /// - Parameter stepsBefore: steps of the run that an earlier process did.
    init(stepsPerEpoch: Int, epochs: Int, stepsBefore: Int = 0) {
        self.stepsBefore = stepsBefore
        self.stepsPerEpoch = stepsPerEpoch
        self.epochs = epochs
        start = clock.now
        epochStart = start
        lastRecord = start
    }

    /// Begins an epoch, or continues one of which an earlier process did `steps` steps.
    mutating func begin(epoch: Int, steps: Int = 0, tokens: Int = 0, seconds: Double = 0) {
        self.epoch = epoch
        self.steps = steps
        epochStart = clock.now
        epochTokens = tokens
        epochSecondsBefore = seconds
    }

    mutating func add(tokens count: Int) {
        steps += 1
        stepsDone += 1
        tokens += count
        epochTokens += count
    }

    /// Seconds since the epoch began.
    var epochSeconds: Double { epochSecondsBefore + (clock.now - epochStart).seconds }

    /// A record, unless the last one is less than a tenth of a second old.
    mutating func record(loss: Double, learningRate: Double) -> StepRecord? {
        let now = clock.now
        guard (now - lastRecord).seconds >= 0.1 else { return nil }
        lastRecord = now
        let elapsed = (now - start).seconds
        let left = Double(stepsPerEpoch * epochs - stepsBefore - stepsDone) * elapsed / Double(max(1, stepsDone))
        return StepRecord(epoch: epoch + 1, epochs: epochs, step: steps, stepsPerEpoch: stepsPerEpoch,
                          tokensPerSecond: Double(tokens) / max(elapsed, 1e-9), loss: loss, learningRate: learningRate, secondsLeft: left)
    }
}
