import CarouselCore
import CarouselData
import CarouselNN

/// Runs a training on a device's planner, and looks for sizes that fit.
struct Rehearsal {
    private let configuration: RunConfiguration
    private let input: ModelInput
    private let classes: Int
    private let backend: any Backend
    private let limit: Int?

    /// Saving a model holds the weights on the host: read back, cut into tensors, encoded, in growing memory.
    private static let hostCopies = 4

    /// Texts shorter than this are no advice.
    private static let shortest = 8

    init(_ configuration: RunConfiguration, input: ModelInput, classes: Int, backend: any Backend, limit: Int?) {
        self.configuration = configuration
        self.input = input
        self.classes = classes
        self.backend = backend
        self.limit = limit
    }

    /// Whether the device's memory is the host's.
    private var sharesHostMemory: Bool { !backend.info.isGPU }

    private var available: Int {
        let left = backend.availableBytes
        guard let limit else { return left }
        return left > 0 ? min(left, limit) : limit
    }

    /// The plan for `batches`: what stays for the whole run, then the largest steps with everything grown.
    func plan(_ batches: LargestBatches) throws -> MemoryPlan {
        let planner = try backend.makePlanner(), settings = configuration.training
        var parts: [MemoryPlan.Part] = [], counted = 0
        func note(_ name: String, _ bytes: Int) {
            counted += bytes
            if bytes > 0 { parts.append(MemoryPlan.Part(name: name, bytes: bytes)) }
        }
        let model = try SequenceClassifier(configuration.model, input: input, classes: classes, seed: 0, on: planner)
        note("weights and gradients", planner.allocatedBytes)
        let rowSteps = batches.rowSteps
        let optimizer = try Optimizer(settings.optimizer, clipping: settings.clipping, store: model.store, rowSteps: rowSteps,
                                      lossScale: settings.lossScale)
        note("moments", planner.allocatedBytes - counted)
        if settings.averageDecay > 0 { try optimizer.keepAverage() }
        let monitor = try StepMonitor(model: model, optimizer: optimizer, interval: 1)
        var best = try BestModel(monitor: settings.monitor, store: model.store)
        note("copies of the weights", planner.allocatedBytes - counted)

        let workspaces = BatchWorkspace.turns(on: planner)
        let step = TrainingStep(model: model, optimizer: optimizer, labelSmoothing: settings.labelSmoothing)
        func train() throws {
            for shape in batches.training {
                let batch = try workspaces.map { try model.batch(of: shape, in: $0) }[0]
                try step.run(batch, PassContext(mode: .training), learningRate: 0, lossSum: monitor.slot)
                try optimizer.updateAverage(decay: 1)
            }
            try monitor.settle()
        }
        try train()
        for shape in batches.evaluation {
            let batch = try model.batch(of: shape, in: workspaces[0])
            _ = try model.loss(model.forward(batch, PassContext(mode: .inference)), batch, gradient: false)
        }
        _ = try best.offer(nil, epoch: 1, weights: try optimizer.average ?? model.store.weights)
        // Once more, now that the layers have grown for every batch.
        try train()

        note("activations", model.layers.reduce(0) { $0 + $1.activationBytes })
        note("batch and scratch", max(0, planner.peakBytes - counted))
        if sharesHostMemory { note("saving", Self.hostCopies * model.store.count * ElementType.float32.byteCount) }
        let largest = batches.training.max { $0.rows < $1.rows }
        return MemoryPlan(device: backend.info.selector, parts: parts, needed: counted, available: available,
                          largestBuffer: planner.largestBuffer, largestAllowed: backend.info.largestAllocation,
                          batchSize: largest?.lengths.count ?? 0, rows: largest?.rows ?? 0, rowSteps: rowSteps)
    }

    /// What would fit: a batch size, a length, or both together; none if the weights alone are too large.
    func suggestions(training data: EncodedDataSet, evaluated: [EncodedDataSet]) throws -> [String] {
        let size = min(configuration.training.batchSize, data.count), length = data.lengths.max() ?? 0
        func needs(batchSize: Int, length limit: Int, epochs: Int) throws -> Int? {
            var settings = configuration.training
            settings.batchSize = batchSize
            settings.epochs = epochs
            let truncation = configuration.preparation.truncation
            let rows = limit < length ? try data.cut(to: limit, truncation) : data
            let parts = limit < length ? try evaluated.map { try $0.cut(to: limit, truncation) } : evaluated
            let plan = try self.plan(LargestBatches(settings, training: rows, evaluated: parts))
            return plan.fits ? plan.needed : nil
        }
        func batchOption(_ size: Int) -> String { "--batch-size \(size)" }
        func lengthOption(_ length: Int) -> String { "--set preparation.maximum_length=\(length)" }
        var result: [String] = []
        if let (found, bytes) = try largest(below: size, where: { try needs(batchSize: $0, length: length, epochs: $1) }) {
            result.append("\(batchOption(found)) (needs \(MemoryPlan.text(bytes)))")
        }
        if let (found, bytes) = try largest(below: length, where: { try needs(batchSize: size, length: $0, epochs: $1) }),
           found >= Self.shortest {
            result.append("\(lengthOption(found)) (needs \(MemoryPlan.text(bytes)))")
        }
        if result.isEmpty, let (found, bytes) = try largest(below: length, where: { try needs(batchSize: 1, length: $0, epochs: $1) }),
           found >= Self.shortest {
            result.append("\(batchOption(1)) \(lengthOption(found)) (needs \(MemoryPlan.text(bytes)))")
        }
        return result
    }

    /// The largest number in 1 ..< `limit` for which `needs` is not nil, by bisection; beyond 16 a multiple of 8.
    /// - Parameter needs: bytes for a number over so many epochs.
    private func largest(below limit: Int, where needs: (Int, Int) throws -> Int?) throws -> (Int, Int)? {
        guard limit > 1, try needs(1, 1) != nil else { return nil }
        var low = 1, high = limit
        while high - low > 1, low < 16 || high - low > 8 {
            var middle = (low + high) / 2
            if middle >= 16 { middle = max(low + 1, middle / 8 * 8) }
            if try needs(middle, 1) != nil { low = middle } else { high = middle }
        }
        // Epochs differ a little, and the first one was enough to get near.
        while low > 0 {
            if let bytes = try needs(low, configuration.training.epochs) { return (low, bytes) }
            low -= low > 16 ? 8 : 1
        }
        return nil
    }
}
