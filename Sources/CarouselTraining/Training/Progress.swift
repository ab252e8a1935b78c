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
    private var epochTokens = 0
    private var stepsDone = 0

    init(stepsPerEpoch: Int, epochs: Int) {
        self.stepsPerEpoch = stepsPerEpoch
        self.epochs = epochs
        start = clock.now
        epochStart = start
        lastRecord = start
    }

    mutating func begin(epoch: Int) {
        self.epoch = epoch
        epochStart = clock.now
        epochTokens = 0
        steps = 0
    }

    mutating func add(tokens count: Int) {
        steps += 1
        stepsDone += 1
        tokens += count
        epochTokens += count
    }

    /// Seconds since the epoch began.
    var epochSeconds: Double { (clock.now - epochStart).seconds }
    var epochTokensPerSecond: Double { Double(epochTokens) / max(epochSeconds, 1e-9) }

    /// A record, unless the last one is less than a tenth of a second old.
    mutating func record(loss: Double, learningRate: Double) -> StepRecord? {
        let now = clock.now
        guard (now - lastRecord).seconds >= 0.1 else { return nil }
        lastRecord = now
        let elapsed = (now - start).seconds
        let left = Double(stepsPerEpoch * epochs - stepsDone) * elapsed / Double(max(1, stepsDone))
        return StepRecord(epoch: epoch + 1, epochs: epochs, step: steps, stepsPerEpoch: stepsPerEpoch,
                          tokensPerSecond: Double(tokens) / max(elapsed, 1e-9), loss: loss, learningRate: learningRate, secondsLeft: left)
    }
}
