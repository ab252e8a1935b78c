import CVector
import CarouselCore

extension CPUBackend {
    /// One row after the other in float32; see `CrossEntropy` for the formulas.
    public func crossEntropy(_ loss: CrossEntropy) throws {
        let logits = loss.logits
        let batch = loss.labels.count
        try Requirements.check(
            logits.shape.rank == 2 && logits.shape[0] == batch && logits.shape[1] >= 1
                && (loss.kind == .softmax || logits.shape[1] == 1)
                && (loss.weights == nil || loss.weights!.count == batch) && loss.losses.count == batch
                && (loss.dLogits == nil || loss.dLogits!.shape == logits.shape),
            "\(loss.kind.rawValue) cross entropy",
            ["logits": logits, "labels": loss.labels, "weights": loss.weights, "losses": loss.losses,
             "dLogits": loss.dLogits])
        let labels = try integers(loss.labels)
        switch loss.kind {
        case .softmax:
            try cvSoftmaxCrossEntropy(context, batch, logits.shape[1], floats(logits), labels, floats(loss.weights),
                                      Float(loss.labelSmoothing), Float(loss.scale), floats(loss.losses),
                                      floats(loss.dLogits))
        case .sigmoid:
            try cvSigmoidCrossEntropy(context, batch, floats(logits), labels, floats(loss.weights),
                                      Float(loss.labelSmoothing), Float(loss.scale), floats(loss.losses),
                                      floats(loss.dLogits))
        }
    }
}
