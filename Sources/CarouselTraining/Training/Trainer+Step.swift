import CarouselCore
import CarouselData
import CarouselNN

extension Trainer {
    /// A step of a run with what belongs to it: upload, the step itself, the moving average, and now and then reading losses.
    /// - Throws: `Divergence`
    func take(_ batch: SequenceBatch, learningRate: Double, averageInterval: Int, monitor: StepMonitor) throws {
        let observer = model.observer, number = optimizer.step
        let uploaded = try observer.span(.upload) { try model.upload(batch, into: batchWorkspace) }
        try step.run(uploaded, context(step: number), learningRate: learningRate, lossSum: monitor.slot)
        if configuration.training.averageDecay > 0, optimizer.step % averageInterval == 0 {
            try observer.span(.average) {
                try optimizer.updateAverage(decay: Self.averageDecay(configuration.training, step: number, interval: averageInterval))
            }
        }
        try observer.span(.reading) { try monitor.add(weight: uploaded.weightSum, step: number) }
    }
}
