import CarouselCore
import CarouselData
import CarouselNN

/// Trains a classifier from a data set: prepares, runs the epochs, keeps the best and the last model.
public final class Trainer {
    /// What was asked for.
    public let configuration: RunConfiguration
    /// The classes of the training part.
    public let labels: LabelSet
    /// Learnt from the training part.
    public let preparation: InputPreparation
    /// The model in training; after `run` with the best weights.
    public let model: SequenceClassifier
    /// What the run needs of the device's memory.
    public let memory: MemoryPlan
    /// What the data looks like.
    public let report: DataReport
    let backend: any Backend
    /// Where the run is saved; nil leaves nothing on disk. To be set before `run`.
    public var folder: RunFolder?
    /// Records a timeline of the first steps; nil = none. To be set before `run`.
    public var profile: TrainingProfile?
    package let training: EncodedDataSet
    package let validation: EncodedDataSet?
    package let test: EncodedDataSet?
    var rowWeights: [Float]?
    let optimizer: Optimizer
    let step: TrainingStep
    /// Holds the batch of the current step.
    let batchWorkspace: BatchWorkspace
    /// Of the batches the model is trained on.
    let batchPool = BatchPool()
    private let largest: LargestBatches
    /// Moving average of the weights; nil when off.
    var average: Tensor? { get throws { try optimizer.average } }
    /// Steps between two readings of the loss; 1 where reading costs nothing.
    var lossInterval: Int
    /// What data, labels and preparation are recognised by.
    let fingerprint: DataFingerprint
    /// `file:line` of a row of the training part.
    let location: (Int) -> String

    /// Splits, learns the preparation, encodes and builds the model.
    /// - Parameters:
    ///   - folder: nil trains without leaving anything on disk.
    ///   - rowSteps: whether an embedding's table is stepped row by row; nil = where it pays.
    ///   - lossScale: how the loss is scaled; nil = as the precision needs it.
    /// - Throws: `badData`, `badConfiguration`, `outOfMemory`.
    public init(configuration: RunConfiguration, data: TrainingData, backend: any Backend, folder: RunFolder?,
                rowSteps: RowSteps? = nil, lossScale: LossScaleRule? = nil) throws {
        let settings = configuration.training
        guard backend.precision == settings.precision else {
            throw CarouselError(.badConfiguration, "training.precision is \(settings.precision.rawValue), but \(backend.info.selector) was opened in "
                + backend.precision.rawValue, hint: "Device.open(_:precision:) with the precision of the configuration")
        }
        var isText = false
        if case .text = data.train { isText = true }
        try configuration.validate(hasTokens: isText)
        labels = try LabelSet(training: data.train)
        let (train, held) = try Self.split(data, labels: labels, settings)
        guard train.count > 0 else {
            throw CarouselError(.badData, "the validation part takes all \(data.train.count) rows; none is left to train on",
                                at: data.train.name, hint: "a smaller validation split, or more rows of each class")
        }
        preparation = try InputPreparation.fit(configuration.preparation, to: train)
        training = try preparation.encode(train, labels: labels)
        // An empty part decides nothing: it counts as none.
        validation = try held.flatMap { [preparation, labels] in try $0.count > 0 ? preparation.encode($0, labels: labels) : nil }
        test = try data.test.map { [preparation, labels] in try preparation.encode($0, labels: labels) }
        if case .text(let text) = preparation {
            report = DataReport(training: train, validation: held, preparation: text)
        } else {
            report = DataReport(training: train, validation: held)
        }
        fingerprint = try DataFingerprint(data, labels: labels, preparation: preparation)
        location = Self.locator(train)
        rowWeights = settings.classWeights == .balanced ? Self.balancedWeights(training.labels, classes: labels.count) : nil
        let evaluated = [validation, test].compactMap { $0 }
        largest = LargestBatches(settings, training: training, evaluated: evaluated)
        memory = try MemoryPlan(configuration, input: preparation.modelInput, classes: labels.count, training: training,
                                evaluated: evaluated, largest: largest, on: backend)
        try memory.check()
        (model, optimizer) = try memory.explaining { [preparation, labels, memory] in
            let model = try SequenceClassifier(configuration.model, input: preparation.modelInput, classes: labels.count,
                                               seed: settings.seed, on: backend)
            let optimizer = try Optimizer(settings.optimizer, clipping: settings.clipping, store: model.store,
                                          rowSteps: rowSteps ?? memory.rowSteps, lossScale: lossScale ?? settings.lossScale)
            if settings.averageDecay > 0 { try optimizer.keepAverage() }
            return (model, optimizer)
        }
        batchWorkspace = BatchWorkspace(backend: backend)
        step = TrainingStep(model: model, optimizer: optimizer, labelSmoothing: settings.labelSmoothing)
        lossInterval = backend.info.isGPU ? 16 : 1
        self.configuration = configuration
        self.backend = backend
        self.folder = folder
    }

    private static func split(_ data: TrainingData, labels: LabelSet, _ settings: TrainingConfiguration) throws -> (DataSet, DataSet?) {
        if let validation = data.validation { return (data.train, validation) }
        guard settings.validationSplit > 0, data.train.count > 1 else { return (data.train, nil) }
        var texts: [String]?
        if case .text(let set) = data.train { texts = set.texts }
        let parts = StratifiedSplit.split(labels: try labels.encode(data.train), fraction: settings.validationSplit,
                                          seed: settings.seed, texts: texts)
        return (data.train.subset(parts.training), parts.held.isEmpty ? nil : data.train.subset(parts.held))
    }

    /// rows / (classes · rows of the class) for every row.
    private static func balancedWeights(_ rows: [Int32], classes: Int) -> [Float] {
        var counts = [Int](repeating: 0, count: classes)
        for label in rows { counts[Int(label)] += 1 }
        return rows.map { Float(rows.count) / Float(classes * counts[Int($0)]) }
    }

    static func copy(_ source: Tensor, to target: Tensor, on backend: any Backend) throws {
        try backend.copyColumns(source.reshaped([1, source.count]), from: 0, to: target.reshaped([1, source.count]), at: 0,
                                width: source.count, scale: 1, accumulate: false)
    }

    /// Says where rows are without keeping their texts.
    private static func locator(_ data: DataSet) -> (Int) -> String {
        var places = data
        switch data {
        case .text(var set):
            set.texts = []
            set.labels = []
            places = .text(set)
        case .series(var set):
            set.series = []
            set.labels = []
            places = .series(set)
        }
        return { [places] in places.location($0) }
    }

    /// Runs all epochs, or until early stopping, `shouldStop` or divergence.
    ///
    /// A run in a folder leaves checkpoints there, which are removed when it has come to its end.
    /// - Parameters:
    ///   - resume: continues from the newest whole checkpoint of the folder, where there is one.
    ///   - interval: when to write checkpoints.
    /// - Throws: `diverged` when a loss or gradient is not finite; the last good weights are saved before. `badData`
    ///   or `badConfiguration` when a run is to be continued with other data or another configuration.
    public func run(resume: Bool = false, checkpoints interval: CheckpointInterval = .seconds(60),
                    observe: @escaping (TrainingEvent) -> Void = { _ in }, shouldStop: @escaping () -> Bool = { false }) throws -> TrainingResult {
        let longest = training.lengths.max() ?? 0
        observe(.prepared(report, summary: try model.summary(batch: memory.batchSize, steps: longest, moments: try optimizer.moments.count),
                          device: backend.info.name))
        let checkpoint = resume ? try newestCheckpoint(observe: observe) : nil
        try savePreparation()
        if resume { try rewriteRecords(checkpoint?.manifest.state.records ?? []) }

        try memory.explaining { try reserve() }
        let loop = try TrainingLoop(self, from: checkpoint, every: interval, observe: observe, shouldStop: shouldStop)
        if resume { try rewriteModel(loop.best, loop.state.records) }
        profile?.attach(to: model)
        defer { profile?.detach() }
        let ending = try loop.run()
        let best = loop.best, interrupted = ending?.interrupted ?? false
        if let ending { observe(.stopped(reason: ending.reason)) }
        try saveLast(orElse: best.epoch == nil)
        var result = TrainingResult(bestEpoch: best.epoch ?? 0, epochs: loop.state.records, validation: best.report, test: nil,
                                    parameters: model.store.parameterCount, seconds: 0, interrupted: interrupted,
                                    sessions: loop.state.sessions)
        try best.restore()
        if !interrupted { result.test = try evaluate(test, weights: model.store.weights) }
        result.seconds = loop.seconds
        try saveReport(result)
        if let folder, !interrupted {
            // Lines were only added so far; now they reach the disk, before what they could be restored from goes.
            try rewriteRecords(loop.state.records)
            try CheckpointFolder(in: folder).remove()
        }
        return result
    }

    /// Lets every buffer grow to what the largest batches need, so that no step has to allocate.
    package func reserve() throws {
        try backend.reserve {
            for shape in largest.evaluation { _ = try model.forward(model.batch(of: shape, in: batchWorkspace), PassContext(mode: .inference)) }
            for shape in largest.training {
                let batch = try model.batch(of: shape, in: batchWorkspace), context = PassContext(mode: .training)
                let (_, dLogits) = try model.loss(model.forward(batch, context), batch, gradient: true)
                try model.store.zeroGradients()
                if let dLogits { try model.backward(dLogits, context) }
            }
            try model.store.zeroGradients()
        }
    }

    /// Row numbers of each batch of an epoch: 0, 1, …
    package func plan(epoch: Int) -> [[Int]] {
        BatchPlan.training(lengths: training.lengths, batchSize: configuration.training.batchSize, seed: configuration.training.seed, epoch: epoch)
    }

    func context(step: Int) -> PassContext { PassContext(mode: .training, seed: configuration.training.seed, step: step) }

    /// The first steps of `run`, each with its loss and gradient norm; for comparing devices.
    func firstSteps(_ count: Int) throws -> TrainingComparison.Trace {
        var trace = TrainingComparison.Trace(device: backend.info.selector, losses: [], gradientNorms: [])
        let settings = configuration.training
        let lossSum = try backend.makeTensor(shape: [1])
        var epoch = 0
        while trace.losses.count < count {
            let plan = plan(epoch: epoch)
            let rate = LearningRate(settings, stepsPerEpoch: plan.count)
            for rows in plan.prefix(count - trace.losses.count) {
                let uploaded = try model.upload(training.batch(rows, weights: rowWeights))
                let number = optimizer.step
                try step.run(uploaded, context(step: number), learningRate: rate(step: number), lossSum: lossSum)
                trace.losses.append(try backend.readDoubles(lossSum)[0] / uploaded.weightSum)
                trace.gradientNorms.append(try optimizer.gradientNorm())
            }
            epoch += 1
        }
        return trace
    }

    /// Steps between two updates of the average: it moves slowly, and each update passes over all weights.
    /// Short epochs update more often, so that what is evaluated after an epoch is never older than the epoch.
    static func averageInterval(stepsPerEpoch: Int) -> Int { max(1, min(4, stepsPerEpoch / 16)) }

    /// The decay of `interval` steps. It grows from 0 so that the first steps do not weigh on the average for long.
    static func averageDecay(_ settings: TrainingConfiguration, step: Int, interval: Int) -> Double {
        let decay = min(settings.averageDecay, Double(1 + step) / Double(10 + step))
        return (0..<interval).reduce(1) { product, _ in product * decay }
    }

    /// The report on a part with the average of the weights, where one is kept.
    func evaluate(_ data: EncodedDataSet?, weights: Tensor? = nil, shouldStop: () -> Bool = { false }) throws -> ClassificationReport? {
        guard let data, data.count > 0 else { return nil }
        let evaluated = try weights ?? average ?? model.store.weights
        guard let evaluation = try model.store.exchanging(evaluated, {
            try Evaluator.run(model, data, in: batchWorkspace, shouldStop: shouldStop)
        }) else { return nil }
        return ClassificationReport(labels: labels, truth: data.labels, predicted: evaluation.predicted, losses: evaluation.losses)
    }
}

extension Duration {
    /// As a floating-point number.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
