import CarouselCore
import CarouselNN

/// Sums the losses of an epoch, reading them from the device every few steps, and notices divergence.
///
/// Every time a reading is finite the weights are copied aside (on the device), so that the last good ones
/// can be brought back.
final class LossReader {
    private let model: SequenceClassifier
    private let backend: any Backend
    private let interval: Int
    private let ring: Tensor
    private var pending: [(weight: Double, step: Int)] = []
    private var lastStep = 0
    private var sum = 0.0
    private var weight = 0.0
    private let lastGood: Tensor
    private var readings = 0

    /// - Parameter interval: steps between two readings; 1 where reading costs nothing.
    init(model: SequenceClassifier, interval: Int) throws {
        self.model = model
        self.interval = interval
        backend = model.backend
        ring = try backend.makeTensor(shape: [interval])
        lastGood = try model.store.makeCompanion()
        try Trainer.copy(model.store.weights, to: lastGood, on: backend)
    }

    /// [1] where the next step leaves its loss.
    var slot: Tensor { Tensor(buffer: ring.buffer, offset: ring.offset + pending.count, shape: [1]) }

    /// Weighted mean of the epoch so far.
    var mean: Double { weight > 0 ? sum / weight : 0 }

    func reset() {
        sum = 0
        weight = 0
    }

    /// Notes a step; reads when it is time.
    /// - Throws: `diverged`
    func add(weight: Double, step: Int, epoch: Int) throws {
        pending.append((weight, step))
        lastStep = step
        if pending.count == interval { try flush(epoch: epoch) }
    }

    /// Reads what is pending. A sync point.
    func flush(epoch: Int) throws {
        guard !pending.isEmpty else { return }
        let values = try backend.readDoubles(ring)
        for (place, entry) in pending.enumerated() {
            guard values[place].isFinite else {
                throw try divergence("the loss is not a number at step \(entry.step + 1)", epoch: epoch)
            }
            sum += values[place]
            weight += entry.weight
        }
        pending = []
        readings += 1
        // A copy of the weights costs a small part of a step; every 32 readings it costs nothing.
        if readings % 32 == 0 { _ = try keepIfGood() }
    }

    /// Reads what is pending and keeps the weights aside. A sync point, for the end of an epoch or of the run.
    /// - Throws: `diverged`, also when only the last update broke the weights, which no later loss would show.
    func settle(epoch: Int) throws {
        try flush(epoch: epoch)
        guard try !keepIfGood() else { return }
        throw try divergence("the weights are not numbers after step \(lastStep + 1)", epoch: epoch)
    }

    /// False when the weights are broken; then nothing is kept.
    private func keepIfGood() throws -> Bool {
        // A finite loss can still leave broken weights behind; their norm tells.
        let norm = try backend.makeTensor(shape: [1])
        try backend.squaredNorm(of: model.store.weights, into: norm, accumulate: false)
        guard try backend.readDoubles(norm)[0].isFinite else { return false }
        try Trainer.copy(model.store.weights, to: lastGood, on: backend)
        return true
    }

    func restoreLastGood() throws { try Trainer.copy(lastGood, to: model.store.weights, on: backend) }

    /// The error of a loss or of weights that are not finite: which step, and the first tensor that is broken.
    private func divergence(_ sign: String, epoch: Int) throws -> CarouselError {
        var culprit = "no gradient or weight is broken yet: the loss itself overflowed"
        search: for (what, flat) in [("gradient of", model.store.gradients!), ("weights", model.store.weights!)] {
            let values = try backend.readDoubles(flat)
            for parameter in model.store.parameters {
                let range = parameter.offset ..< parameter.offset + parameter.shape.count
                if let index = range.first(where: { !values[$0].isFinite }) {
                    culprit = "the first bad tensor is the \(what) '\(parameter.name)' \(parameter.shape), element \(index - parameter.offset)"
                    break search
                }
            }
        }
        return CarouselError(.diverged, "training diverged: \(sign) (epoch \(epoch + 1)); \(culprit)",
                             hint: "a smaller --learning-rate, or --set training.clipping.global_norm=1; "
                                 + "relu cells need both more often. The last good weights are kept")
    }
}
