import CarouselCore
import CarouselData
import CarouselNN

/// When a run writes checkpoints. An interruption always writes one.
public enum CheckpointInterval: Sendable, Equatable {
    /// At the first step at least so many after the last checkpoint.
    case steps(Int)
    /// At the first step at least so many seconds after the last checkpoint or the start.
    case seconds(Double)
}

/// The epochs of one run, from its beginning or from a checkpoint: trains, validates, keeps the best, saves.
final class TrainingLoop {
    private let trainer: Trainer
    private let settings: TrainingConfiguration
    private let interval: CheckpointInterval
    private let observe: (TrainingEvent) -> Void
    private let shouldStop: () -> Bool
    private let monitor: StepMonitor
    private let rate: LearningRate
    private let averageInterval: Int
    private(set) var best: BestModel
    private(set) var state: TrainingState
    private var progress: Progress
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    /// Of the whole run, before this process.
    private let secondsBefore: Double
    private var lastCheckpoint: (step: Int, time: ContinuousClock.Instant)
    /// Checkpoints that were found damaged, to be removed with the next one.
    private let damaged: [Int]

    /// Why and how `run` ended before its last epoch.
    struct Ending {
        var reason: String
        var interrupted: Bool
    }

    init(_ trainer: Trainer, from checkpoint: Checkpoint?, every interval: CheckpointInterval,
         observe: @escaping (TrainingEvent) -> Void, shouldStop: @escaping () -> Bool) throws {
        self.trainer = trainer
        self.interval = interval
        self.observe = observe
        self.shouldStop = shouldStop
        settings = trainer.configuration.training
        let stepsPerEpoch = trainer.plan(epoch: 0).count
        rate = LearningRate(settings, stepsPerEpoch: stepsPerEpoch)
        averageInterval = Trainer.averageInterval(stepsPerEpoch: stepsPerEpoch)
        state = checkpoint?.manifest.state ?? TrainingState()
        best = try BestModel(monitor: settings.monitor, store: trainer.model.store, best: state.best)
        if let checkpoint {
            try checkpoint.load(into: trainer.buffers(best: best), store: trainer.model.store)
            try trainer.optimizer.restore(step: state.step, squaredNorm: state.squaredGradientNorm)
            if let scale = state.lossScale { try trainer.optimizer.lossScale?.restore(scale) }
        }
        monitor = try StepMonitor(model: trainer.model, optimizer: trainer.optimizer, interval: trainer.lossInterval)
        monitor.reset(sum: state.lossSum, weight: state.lossWeight)
        progress = Progress(stepsPerEpoch: stepsPerEpoch, epochs: settings.epochs, stepsBefore: state.step)
        start = clock.now
        secondsBefore = state.seconds
        lastCheckpoint = (state.step, start)
        damaged = checkpoint?.passedOver ?? []
        state.sessions.append(trainer.session(firstStep: state.step))
    }

    /// Seconds of training, over all processes of the run.
    var seconds: Double { secondsBefore + (clock.now - start).seconds }

    /// Runs until the last epoch, early stopping, or `shouldStop`.
    /// - Throws: `diverged` with what was found at the first bad step; the last good weights are saved before.
    func run() throws -> Ending? {
        do {
            while state.epoch < settings.epochs {
                // A continued run may already have met its early stopping.
                if let reason = earlyStopping { return Ending(reason: reason, interrupted: false) }
                guard try model.observer.span(.epoch(state.epoch + 1), { try trainEpoch() }) else { return try interrupted("interrupted in epoch \(state.epoch + 1)") }
                guard try finishEpoch() else { return try interrupted("interrupted while validating epoch \(state.epoch + 1)") }
            }
            return nil
        } catch let divergence as Divergence {
            throw try diverged(divergence)
        }
    }

    private func interrupted(_ reason: String) throws -> Ending {
        try checkpoint()
        return Ending(reason: reason, interrupted: true)
    }

    private var earlyStopping: String? {
        guard let patience = settings.patience, let epoch = best.epoch, state.epoch - epoch >= patience else { return nil }
        return "no improvement for \(patience) epochs"
    }

    /// The steps of the current epoch that are still to be done. False when interrupted.
    private func trainEpoch() throws -> Bool {
        progress.begin(epoch: state.epoch, steps: state.stepInEpoch, tokens: state.epochTokens, seconds: state.epochSeconds)
        let batches = BatchPrefetcher(trainer.training, batches: Array(trainer.plan(epoch: state.epoch).dropFirst(state.stepInEpoch)),
                                      weights: trainer.rowWeights, reversed: model.readsBackwards, pool: trainer.batchPool, observer: model.observer)
        while let batch = batches.next() {
            if shouldStop() { return false }
            let number = trainer.optimizer.step
            state.stepInEpoch += 1
            progress.add(tokens: batch.layout.rows)
            try model.observer.span(.step(number + 1)) {
                try trainer.take(batch, learningRate: rate(step: number), averageInterval: averageInterval, monitor: monitor)
            }
            tellScaleChanges()
            trainer.profile?.detachIfOver()
            if let record = progress.record(loss: monitor.mean, learningRate: rate(step: number)) { observe(.step(record)) }
            if isCheckpointDue { try checkpoint() }
        }
        try model.observer.span(.reading) { try monitor.settle() }
        tellScaleChanges()
        state.epochSeconds = progress.epochSeconds
        return true
    }

    private func tellScaleChanges() {
        for change in monitor.takeScaleChanges() { observe(.lossScale(change)) }
    }

    /// Validates and records the epoch. False when interrupted.
    private func finishEpoch() throws -> Bool {
        let evaluated = try model.observer.span(.evaluation) { try trainer.evaluate(trainer.validation, shouldStop: shouldStop) }
        if trainer.validation != nil && evaluated == nil { return false }
        let isBest = try best.offer(evaluated, epoch: state.epoch + 1, weights: trainer.average ?? trainer.model.store.weights)
        let optimizer = trainer.optimizer
        let record = EpochRecord(
            epoch: state.epoch + 1, steps: state.stepInEpoch, trainingLoss: monitor.mean, validationLoss: evaluated?.loss,
            validationAccuracy: evaluated?.accuracy, validationMacroF1: evaluated?.macroF1,
            seconds: state.epochSeconds, tokensPerSecond: Double(progress.epochTokens) / max(state.epochSeconds, 1e-9),
            learningRate: rate(step: optimizer.step - 1), gradientNorm: try optimizer.gradientNorm(), isBest: isBest,
            weightsHash: try trainer.weightsHash(), optimizerHash: try trainer.optimizerHash())
        try trainer.save(record, isBest: isBest)
        state.records.append(record)
        state.epoch += 1
        (state.stepInEpoch, state.epochTokens, state.epochSeconds) = (0, 0, 0)
        monitor.reset()
        observe(.epoch(record))
        if isCheckpointDue { try checkpoint() }
        return true
    }

    // MARK: Checkpoints

    private var isCheckpointDue: Bool {
        guard trainer.folder != nil else { return false }
        return switch interval {
        case .steps(let count): trainer.optimizer.step - lastCheckpoint.step >= count
        case .seconds(let seconds): (clock.now - lastCheckpoint.time).seconds >= seconds
        }
    }

    /// Writes where the run stands, after it was found sound.
    private func checkpoint() throws {
        try model.observer.span(.checkpoint) { try writeCheckpoint() }
    }

    private func writeCheckpoint() throws {
        try monitor.settle()
        state.step = trainer.optimizer.step
        state.lossSum = monitor.sum
        state.lossWeight = monitor.weight
        state.squaredGradientNorm = try model.backend.readDouble(trainer.optimizer.squaredNorm)
        state.lossScale = try trainer.optimizer.lossScale?.current
        state.best = best.best
        state.seconds = seconds
        if state.stepInEpoch > 0 { (state.epochTokens, state.epochSeconds) = (progress.epochTokens, progress.epochSeconds) }
        if let folder = trainer.folder {
            try CheckpointFolder(in: folder).write(state: state, configuration: trainer.configuration, data: trainer.fingerprint,
                                                   store: model.store, buffers: trainer.buffers(best: best), damaged: damaged)
        }
        lastCheckpoint = (state.step, clock.now)
    }

    private var model: SequenceClassifier { trainer.model }

    /// Saves the last good weights and explains.
    private func diverged(_ divergence: Divergence) throws -> CarouselError {
        let epoch = state.epoch
        let firstStep = trainer.optimizer.step - state.stepInEpoch
        let plan = trainer.plan(epoch: epoch)
        let rows = plan.indices.contains(divergence.step - firstStep) ? plan[divergence.step - firstStep] : []
        // The explanation must not stand in the way of the weights.
        let error: CarouselError
        do {
            error = try Autopsy(trainer, divergence, epoch: epoch, rows: rows).error()
        } catch let obstacle {
            error = CarouselError(.diverged, "training diverged at step \(divergence.step + 1) (epoch \(epoch + 1)); the step could not be "
                + "repeated to find out where: \(obstacle)", hint: "a smaller --learning-rate, or --set training.clipping.global_norm=1")
        }
        try monitor.restoreLastGood()
        try trainer.saveLast(orElse: best.epoch == nil)
        return error
    }
}
