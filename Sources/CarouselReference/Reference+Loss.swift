import CarouselCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension ReferenceBackend {
    public func crossEntropy(_ loss: CrossEntropy) throws {
        let logits = loss.logits
        let fits = logits.shape.rank == 2 && loss.labels.count == logits.shape[0] && loss.losses.count == logits.shape[0]
            && (loss.weights == nil || loss.weights!.count == logits.shape[0])
            && (loss.dLogits == nil || loss.dLogits!.shape == logits.shape)
            && (loss.kind == .softmax || logits.shape[1] == 1)
        try Requirements.check(fits, "\(loss.kind.rawValue) cross entropy",
                               ["logits": logits, "labels": loss.labels, "weights": loss.weights,
                                "losses": loss.losses, "dLogits": loss.dLogits])
        let x = try doubles(logits), labels = try integers(loss.labels), weights = try doubles(loss.weights)
        let losses = try doubles(loss.losses), dLogits = try doubles(loss.dLogits)
        let classes = logits.shape[1]
        let limit = loss.kind == .softmax ? classes : 2
        for b in 0..<logits.shape[0] {
            let label = Int(labels[b])
            guard (0..<limit).contains(label) else {
                throw CarouselError(.internalError, "cross entropy: label \(label) of row \(b) is outside 0 ..< \(limit)")
            }
            let weight = weights?[b] ?? 1
            let row = x + b * classes, gradient = dLogits.map { $0 + b * classes }
            switch loss.kind {
            case .softmax: losses[b] = weight * softmaxLoss(row, classes, label, loss, weight, gradient)
            case .sigmoid: losses[b] = weight * sigmoidLoss(row[0], label, loss, weight, gradient)
            }
        }
    }

    /// log Σ exp(x) − Σ target · x.
    private func softmaxLoss(_ x: Doubles, _ classes: Int, _ label: Int, _ loss: CrossEntropy, _ weight: Double,
                             _ gradient: Doubles?) -> Double {
        var highest = x[0]
        for j in 0..<classes { highest = max(highest, x[j]) }
        var sum = 0.0
        for j in 0..<classes { sum += exp(x[j] - highest) }
        var result = log(sum)
        for j in 0..<classes {
            let target = (1 - loss.labelSmoothing) * (j == label ? 1 : 0) + loss.labelSmoothing / Double(classes)
            let probability = exp(x[j] - highest) / sum
            result -= target * (x[j] - highest)
            gradient?[j] = loss.scale * weight * (probability - target)
        }
        return result
    }

    /// max(x, 0) − x·target + log(1 + exp(−|x|)).
    private func sigmoidLoss(_ x: Double, _ label: Int, _ loss: CrossEntropy, _ weight: Double,
                             _ gradient: Doubles?) -> Double {
        let target = (1 - loss.labelSmoothing) * Double(label) + loss.labelSmoothing / 2
        gradient?[0] = loss.scale * weight * (value(of: .sigmoid, at: x) - target)
        return max(x, 0) - x * target + log1p(exp(-abs(x)))
    }
}
