import CarouselCore
import CarouselNN

/// The first sign that a training has left the range of numbers.
struct Divergence: Error {
    enum Sign: Sendable, Equatable {
        /// Of a step: its loss, or the norm of its gradients, is not finite.
        case loss(Double)
        case gradientNorm(Double)
        /// An update with finite gradients broke the weights.
        case weights
    }

    var sign: Sign
    /// 0, 1, … over the whole run.
    var step: Int
    /// Gradient norms before clipping of the last steps, that step's the last.
    var gradientNorms: [Double]
}

/// Sums the losses of an epoch, keeps the latest gradient norms, and notices divergence. Both are read from the device
/// only every few steps.
///
/// From the first loss or norm that is not finite the optimizer changes nothing (`Optimizer.watch`), so the weights of
/// the step before are still there when the host learns of it. Only an update with finite gradients can break them;
/// for that case a copy is kept aside now and then.
final class StepMonitor {
    private let model: SequenceClassifier
    private let optimizer: Optimizer
    private let backend: any Backend
    private let interval: Int
    private let losses: Tensor
    private let norms: Tensor
    /// Loss scales after each step; nil where the loss is not scaled.
    private let scales: Tensor?
    private var scale = 0.0
    private var changes: [LossScaleChange] = []
    /// [1] Σ w² of the last look at the weights.
    private let norm: Tensor
    private var pending: [(weight: Double, step: Int)] = []
    /// What was read last of the tensors of these names, in lists that are kept.
    private var values = (losses: [Double](), norms: [Double](), scales: [Double]())
    private var lastStep = 0
    private(set) var sum = 0.0
    private(set) var weight = 0.0
    private let lastGood: Tensor
    private var readings = 0
    /// Gradient norms of the last steps read.
    private(set) var history: [Double] = []

    /// Norms that are remembered.
    static let historyLength = 32

    /// - Parameter interval: steps between two readings; 1 where reading costs nothing.
    init(model: SequenceClassifier, optimizer: Optimizer, interval: Int) throws {
        self.model = model
        self.optimizer = optimizer
        self.interval = interval
        backend = model.backend
        losses = try backend.makeTensor(shape: [interval])
        norms = try backend.makeTensor(shape: [interval])
        norm = try backend.makeTensor(shape: [1])
        scales = try optimizer.lossScale == nil ? nil : backend.makeTensor(shape: [interval])
        scale = try optimizer.lossScale?.current.scale ?? 0
        pending.reserveCapacity(interval)
        history.reserveCapacity(Self.historyLength + 1)
        lastGood = try model.store.makeCompanion()
        try Trainer.copy(model.store.weights, to: lastGood, on: backend)
    }

    /// [1] where the next step leaves its loss.
    var slot: Tensor { slot(of: losses) }

    private func slot(of ring: Tensor) -> Tensor { Tensor(buffer: ring.buffer, offset: ring.offset + pending.count, shape: [1]) }

    /// Weighted mean of the epoch so far.
    var mean: Double { weight > 0 ? sum / weight : 0 }

    /// Begins an epoch, at the sums it had when it was left.
    func reset(sum: Double = 0, weight: Double = 0) {
        self.sum = sum
        self.weight = weight
    }

    /// Notes a step; reads when it is time.
    /// - Throws: `Divergence`
    func add(weight: Double, step: Int) throws {
        try Trainer.copy(optimizer.squaredNorm, to: slot(of: norms), on: backend)
        if let scales, let scale = optimizer.lossScale { try Trainer.copy(scale.value, to: slot(of: scales), on: backend) }
        pending.append((weight, step))
        lastStep = step
        if pending.count == interval { try flush() }
    }

    /// Reads what is pending. A sync point.
    /// - Throws: `Divergence`
    func flush() throws {
        guard !pending.isEmpty else { return }
        try backend.readDoubles(losses, into: &values.losses)
        try backend.readDoubles(norms, into: &values.norms)
        if let scales { try backend.readDoubles(scales, into: &values.scales) }
        for (place, entry) in pending.enumerated() {
            let loss = values.losses[place], norm = values.norms[place]
            let isSkipped = note(scales == nil ? nil : values.scales[place], step: entry.step, isFinite: norm.isFinite)
            if !isSkipped || !loss.isFinite { history.append(norm.squareRoot()) }
            if history.count > Self.historyLength { history.removeFirst() }
            if !loss.isFinite { throw Divergence(sign: .loss(loss), step: entry.step, gradientNorms: history) }
            if !isSkipped, !norm.isFinite { throw Divergence(sign: .gradientNorm(norm), step: entry.step, gradientNorms: history) }
            sum += loss
            weight += entry.weight
        }
        pending.removeAll(keepingCapacity: true)
        readings += 1
        // A copy of the weights costs a small part of a step; every 32 readings it costs nothing. A table that is stepped row
        // by row has to be brought up to date for it, which is worth it only every few hundred steps.
        if readings % (optimizer.stepsRows ? max(32, 512 / interval) : 32) == 0 { _ = try keepIfGood() }
    }

    /// Notes the loss scale after a step. True for a step that was left out: its gradients were not finite, and a smaller
    /// scale may help.
    private func note(_ next: Double?, step: Int, isFinite: Bool) -> Bool {
        guard let next, next != scale else { return false }
        scale = next
        changes.append(LossScaleChange(step: step + 1, scale: next, isSkipped: !isFinite))
        return !isFinite
    }

    /// Changes of the loss scale that nobody has asked for yet.
    func takeScaleChanges() -> [LossScaleChange] {
        defer { changes = [] }
        return changes
    }

    /// Reads what is pending and keeps the weights aside. A sync point, for the end of an epoch, a checkpoint or the
    /// end of the run.
    /// - Throws: `Divergence`, also when only the last update broke the weights, which no later loss would show.
    func settle() throws {
        try flush()
        guard try !keepIfGood() else { return }
        throw Divergence(sign: .weights, step: lastStep, gradientNorms: history)
    }

    /// False when the weights are broken; then nothing is kept.
    private func keepIfGood() throws -> Bool {
        try backend.squaredNorm(of: model.store.weights, into: norm, accumulate: false)
        guard try backend.readDouble(norm).isFinite else { return false }
        try Trainer.copy(model.store.weights, to: lastGood, on: backend)
        return true
    }

    /// Makes the weights the last good ones: those before the first bad step, or the copy kept aside if they are broken.
    func restoreLastGood() throws {
        if try keepIfGood() { return }
        try Trainer.copy(lastGood, to: model.store.weights, on: backend)
    }
}
