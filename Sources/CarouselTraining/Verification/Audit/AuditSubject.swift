import CarouselCore
import CarouselNN

/// One pass forward and backward through a whole model.
struct AuditPass {
    /// [B, C], [B, 1] with a sigmoid head.
    var logits: [Double]
    /// [B]
    var losses: [Double]
    /// As the store's flat buffer.
    var gradients: [Double]
}

/// All that one backend computes for an audited case. Values a record lacks are nil.
struct AuditTrace {
    /// [B, C] without dropout.
    var inference: [Double]?
    /// [B, C] with the dropout of step 0.
    var logits: [Double]?
    /// [B]
    var losses: [Double]?
    /// As the store's flat buffer.
    var gradients: [Double]
    /// Mean loss of each training step.
    var stepLosses: [Double]?
    /// Global gradient norm of each training step, before clipping.
    var stepNorms: [Double]?
    /// Flat weights after the last training step.
    var parameters: [Double]?
    /// False for numbers that were recorded in float32.
    var isDouble = true
}

/// An audited case on one backend. It uses the same model, step and optimizer as a training.
final class AuditSubject {
    let model: SequenceClassifier
    let optimizer: Optimizer
    let learningRate: Double
    let backend: any Backend
    private let step: TrainingStep
    private let batch: DeviceBatch
    private let seed: UInt64
    private let lossSum: Tensor

    /// - Parameter rowSteps: how an embedding's table is stepped; the reference steps it as a whole.
    init(_ audited: AuditCase, on backend: any Backend, rowSteps: RowSteps = .never) throws {
        let training = audited.training
        model = try SequenceClassifier(audited.model, input: audited.input, classes: audited.classes, seed: training.seed, on: backend)
        if let weights = audited.weights { try model.store.load(weights, from: audited.subject) }
        optimizer = try Optimizer(training.optimizer, clipping: training.clipping, store: model.store, rowSteps: rowSteps)
        step = TrainingStep(model: model, optimizer: optimizer, labelSmoothing: training.labelSmoothing)
        learningRate = training.learningRate
        seed = training.seed
        batch = try model.upload(audited.batch)
        lossSum = try backend.makeTensor([0.0], shape: [1])
        self.backend = backend
    }

    /// The flat weights. A sync point.
    func weights() throws -> [Double] { try backend.readDoubles(model.store.weights) }

    /// The optimizer's moments by name. A sync point.
    func moments() throws -> [String: [Double]] { try optimizer.moments.mapValues { try backend.readDoubles($0) } }

    /// Logits without dropout.
    func inference() throws -> [Double] {
        try backend.readDoubles(try model.forward(batch, PassContext(mode: .inference)))
    }

    /// The pass of training step `number` with the weights as they are; nothing but the gradients changes.
    func pass(step number: Int) throws -> AuditPass {
        let context = PassContext(mode: .training, seed: seed, step: number)
        let logits = try model.forward(batch, context)
        let (losses, dLogits) = try model.loss(logits, batch, labelSmoothing: step.labelSmoothing, gradient: true)
        try model.store.zeroGradients()
        guard let dLogits else { throw CarouselError(.internalError, "the loss gave no gradient") }
        try model.backward(dLogits, context)
        return AuditPass(logits: try backend.readDoubles(logits), losses: try backend.readDoubles(losses),
                         gradients: try backend.readDoubles(model.store.gradients))
    }

    /// Weighted mean loss of step 0, forward only.
    func meanLoss() throws -> Double {
        let logits = try model.forward(batch, PassContext(mode: .training, seed: seed, step: 0))
        let losses = try model.loss(logits, batch, labelSmoothing: step.labelSmoothing, gradient: false).losses
        return try backend.readDoubles(losses).reduce(0, +) / batch.weightSum
    }

    /// One whole training step: its mean loss and the gradient norm before clipping.
    func takeStep() throws -> (loss: Double, norm: Double) {
        try step.run(batch, PassContext(mode: .training, seed: seed, step: optimizer.step), learningRate: learningRate, lossSum: lossSum)
        return (try backend.readDoubles(lossSum)[0] / batch.weightSum, try optimizer.gradientNorm())
    }

    /// Everything, from the weights `start`. Ends with the weights after `trainingSteps` steps.
    /// - Parameter replay: examines each step's clipping and update by themselves.
    func trace(from start: [Double], trainingSteps: Int, replay: OptimizerReplay? = nil) throws -> AuditTrace {
        try backend.write(start, to: model.store.weights)
        let inference = try inference()
        let first = try pass(step: 0)
        var losses: [Double] = [], norms: [Double] = []
        var weights = start, moments = try replay == nil ? [:] : self.moments()
        for number in 0..<trainingSteps {
            let gradients = try replay == nil ? [] : number == 0 ? first.gradients : pass(step: number).gradients
            let (loss, norm) = try takeStep()
            losses.append(loss)
            norms.append(norm)
            guard let replay else { continue }
            let state = StepState(weights: weights, gradients: gradients, moments: moments, norm: norm)
            weights = try self.weights()
            moments = try self.moments()
            try replay.examine(state, clipped: try backend.readDoubles(model.store.gradients), weights: weights, moments: moments)
        }
        return AuditTrace(inference: inference, logits: first.logits, losses: first.losses, gradients: first.gradients,
                          stepLosses: losses, stepNorms: norms, parameters: try self.weights())
    }
}
