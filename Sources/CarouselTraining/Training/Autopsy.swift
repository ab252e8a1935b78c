import CarouselCore
import CarouselNN
import Foundation

/// Finds where a training first left the range of numbers, by repeating the step with the weights before it.
struct Autopsy {
    private let trainer: Trainer
    private let divergence: Divergence
    private let epoch: Int
    private let rows: [Int]

    /// - Parameters:
    ///   - epoch: 0, 1, …
    ///   - rows: row numbers of the step's batch.
    init(_ trainer: Trainer, _ divergence: Divergence, epoch: Int, rows: [Int]) {
        self.trainer = trainer
        self.divergence = divergence
        self.epoch = epoch
        self.rows = rows
    }

    /// A number that is not finite, and where it is.
    private struct Finding {
        var what: String
        /// Row of the training part; nil for parameters.
        var row: Int?
    }

    /// What happened, where, on which rows, and what to try.
    func error() throws -> CarouselError {
        let step = divergence.step + 1
        let sign = switch divergence.sign {
        case .loss(let value): "the loss is \(value) at step \(step)"
        case .gradientNorm(let value): "the gradient norm is \(value) at step \(step)"
        case .weights: "the weights left the range of float32 after step \(step)"
        }
        var lines = ["training diverged: \(sign) (epoch \(epoch + 1))"]
        let finding = try firstBroken()
        lines.append("first broken: " + (finding?.what ?? "nothing when the step is repeated alone: the loss itself overflowed"))
        if let row = finding?.row { lines.append("its row: " + trainer.location(row)) }
        if !rows.isEmpty {
            let shown = rows.prefix(8).map { trainer.location($0) }
            lines.append("rows of the batch: " + shown.joined(separator: ", ") + (rows.count > 8 ? " and \(rows.count - 8) more" : ""))
        }
        let norms = divergence.gradientNorms.suffix(8).map(Self.short)
        if !norms.isEmpty { lines.append("gradient norms up to this step: " + norms.joined(separator: " ")) }
        lines.append("the last good weights are kept" + (hasCheckpoint ? ", and the last checkpoint before" : ""))
        return CarouselError(.diverged, lines.joined(separator: "\n  "), hint: advice)
    }

    private var hasCheckpoint: Bool { trainer.folder?.hasCheckpoints ?? false }

    /// What helps depends on how it came: slowly growing gradients, a cell without bounds, or a step size out of scale.
    private var advice: String {
        let settings = trainer.configuration.training
        var advice: [String] = []
        let isUnbounded = trainer.configuration.model.layers.contains { layer in
            guard case .recurrent(_, let c) = layer else { return false }
            return c.activation == .relu || c.activation == .linear
        }
        let finite = divergence.gradientNorms.filter(\.isFinite)
        let median = finite.sorted()[safe: finite.count / 2] ?? 0
        let exploded = (finite.last ?? 0) > 10 * median
        if settings.clipping.globalNorm == nil && (exploded || isUnbounded) {
            advice.append("limit the gradients: --set training.clipping.global_norm=1")
        }
        if isUnbounded { advice.append("a cell whose activation is bounded (tanh)") }
        advice.append("a smaller step: --learning-rate \(Self.short(settings.learningRate / 10))")
        if settings.clipping.globalNorm == nil && advice.count == 1 { advice.append("--set training.clipping.global_norm=1") }
        return advice.joined(separator: ", or ")
    }

    private static func short(_ value: Double) -> String { String(format: "%.3g", value) }

    // MARK: Finding

    private func firstBroken() throws -> Finding? {
        let model = trainer.model
        let isBrokenByUpdate = divergence.sign == .weights
        if let finding = try brokenParameter("weights", model.store.weights, Array(model.layers.indices), squares: isBrokenByUpdate) { return finding }
        guard !rows.isEmpty else { return nil }
        let batch = trainer.training.batch(rows, weights: trainer.rowWeights)
        let uploaded = try model.upload(batch)
        var context = trainer.context(step: divergence.step)
        context.keepsReadable = true
        let logits = try model.forward(uploaded, context)
        for layer in model.layers {
            if let finding = try broken(layer, batch) { return finding }
        }
        let (losses, dLogits) = try model.loss(logits, uploaded, labelSmoothing: trainer.configuration.training.labelSmoothing, gradient: true)
        if let (index, value) = try firstBad(losses) { return Finding(what: "the loss of a row: \(value)", row: batch.indices[index]) }
        guard let dLogits else { return nil }
        try model.store.zeroGradients()
        try model.backward(dLogits, context)
        // Gradients come from the head down, so the first broken one is the highest.
        return try brokenParameter("the gradient of", model.store.gradients, model.layers.indices.reversed(), squares: true)
    }

    /// The earliest broken step of a layer's tensors.
    private func broken(_ layer: any Layer, _ batch: SequenceBatch) throws -> Finding? {
        var first: (row: Int, finding: Finding)?
        for kept in layer.kept {
            guard let (index, value) = try firstBad(kept.tensor) else { continue }
            let row = index / max(1, kept.tensor.shape[1]), place = kept.place(of: index)
            // Rows are in the order of time; among equals the tensor computed first.
            if let first, first.row <= row { continue }
            first = (row, Finding(what: "the \(kept.name) of layer '\(layer.name)', \(place.description): \(value)",
                                  row: place.sequence.map { batch.indices[$0] }))
        }
        return first?.finding
    }

    /// - Parameter squares: whether numbers count as broken whose squares overflow, which is what makes a norm infinite.
    private func brokenParameter(_ what: String, _ flat: Tensor, _ layers: [Int], squares: Bool) throws -> Finding? {
        let model = trainer.model, values = try model.backend.readDoubles(flat)
        for layer in layers.map({ model.layers[$0] }) {
            for number in layer.parameters {
                let parameter = model.store.parameters[number]
                let range = parameter.offset ..< parameter.offset + parameter.shape.count
                guard let index = range.first(where: { !Float(squares ? values[$0] * values[$0] : values[$0]).isFinite }) else { continue }
                let place = ParameterMeaning(model.configuration, words: [:]).describe(parameter, index - parameter.offset)
                return Finding(what: "\(what) '\(parameter.name)' \(parameter.shape) at \(place): \(Float(values[index]))")
            }
        }
        return nil
    }

    private func firstBad(_ tensor: Tensor) throws -> (index: Int, value: Float)? {
        let values = try trainer.model.backend.readFloats(tensor)
        return values.firstIndex { !$0.isFinite }.map { ($0, values[$0]) }
    }
}

extension Array {
    fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
