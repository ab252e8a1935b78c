import CarouselCore
import CarouselData
import CarouselNN

extension Trainer {
    /// A step of a run with what belongs to it: upload, the step itself, the moving average, and now and then reading losses.
    /// - Throws: `Divergence`
    func take(_ batch: SequenceBatch, learningRate: Double, averageInterval: Int, monitor: StepMonitor) throws {
        let observer = model.observer, number = optimizer.step
        let uploaded = try observer.span(.upload) { try upload(batch, place: number) }
        try step.run(uploaded, context(step: number), learningRate: learningRate, lossSum: monitor.slot)
        if configuration.training.averageDecay > 0, optimizer.step % averageInterval == 0 {
            try observer.span(.average) {
                try optimizer.updateAverage(decay: Self.averageDecay(configuration.training, step: number, interval: averageInterval))
            }
        }
        try observer.span(.reading) { try monitor.add(weight: uploaded.weightSum, step: number) }
    }

    /// Where work overlaps, while the device still computes the step before, whose batch is in the other workspace.
    private func upload(_ batch: SequenceBatch, place: Int) throws -> DeviceBatch {
        var uploaded: DeviceBatch?
        try backend.ahead { uploaded = try model.upload(batch, into: batchWorkspaces[place % batchWorkspaces.count]) }
        guard let uploaded else { throw CarouselError(.internalError, "the batch was not uploaded") }
        return uploaded
    }
}
