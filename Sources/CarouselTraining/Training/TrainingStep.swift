import CarouselCore
import CarouselNN

/// One training step; the only place where its order is written.
public final class TrainingStep {
    public let model: SequenceClassifier
    public let optimizer: Optimizer
    public let labelSmoothing: Double
    private let backend: any Backend

    public init(model: SequenceClassifier, optimizer: Optimizer, labelSmoothing: Double = 0) {
        self.model = model
        self.optimizer = optimizer
        self.labelSmoothing = labelSmoothing
        backend = model.backend
    }

    /// forward → loss → zero gradients → backward → clip → update; without the update from the first step on whose loss
    /// or gradients are not finite. Where the loss is scaled, gradients that are not finite cost only this step's update.
    /// The model's observer hears the parts, the layers among them.
    /// - Parameter lossSum: [1] (out) Σ of the rows' weighted losses, left on the device.
    public func run(_ batch: DeviceBatch, _ context: PassContext, learningRate: Double, lossSum: Tensor) throws {
        let observer = model.observer
        let logits = try model.forward(batch, context)
        let dLogits = try observer.span(.loss) {
            let (losses, dLogits) = try model.loss(logits, batch, labelSmoothing: labelSmoothing, gradient: true)
            try backend.columnSums(of: losses.reshaped([losses.count, 1]), into: lossSum, accumulate: false)
            try optimizer.watch(lossSum)
            if let dLogits { try optimizer.lossScale?.scale(dLogits) }
            return dLogits
        }
        try observer.span(.zeroGradients) { try model.store.zeroGradients() }
        try model.backward(dLogits!, context)
        try observer.span(.clip) { try optimizer.clip() }
        try observer.span(.update) { try optimizer.update(learningRate: learningRate) }
    }
}
