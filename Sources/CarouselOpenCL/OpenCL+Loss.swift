import CarouselCore

extension OpenCLBackend {
    public func crossEntropy(_ loss: CrossEntropy) throws {
        let logits = loss.logits
        let batch = logits.shape.rank == 2 ? logits.shape[0] : -1
        try Requirements.check(
            batch >= 0 && loss.labels.type == .int32 && loss.labels.count == batch && loss.losses.count == batch
                && (loss.weights == nil || loss.weights!.count == batch)
                && (loss.dLogits == nil || loss.dLogits!.shape == logits.shape)
                && (loss.kind == .softmax ? logits.shape[1] > 0 : logits.shape[1] == 1),
            "\(loss.kind.rawValue) cross entropy",
            ["logits": logits, "labels": loss.labels, "weights": loss.weights, "losses": loss.losses,
             "dLogits": loss.dLogits])
        let operands: [KernelArgument] = [.tensor(logits), .tensor(loss.labels), .optional(loss.weights),
                                          .tensor(loss.losses), .optional(loss.dLogits), .int(batch)]
        let factors: [KernelArgument] = [.float(loss.labelSmoothing), .float(loss.scale)]
        switch loss.kind {
        // A row of many classes is read by a group, side by side.
        case .softmax where family == .gpu && logits.shape[1] >= Tree.items / 2:
            try launch(.lossSoftmaxRows, tree.defines, global: (batch * Tree.items, 1, 1), local: (Tree.items, 1, 1), operands + [.int(logits.shape[1])] + factors)
        case .softmax: try launch(.lossSoftmax, count: batch, operands + [.int(logits.shape[1])] + factors)
        case .sigmoid: try launch(.lossSigmoid, count: batch, operands + factors)
        }
    }
}
