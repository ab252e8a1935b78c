import CarouselCore
import CarouselNN

/// Reads `golden-audit/1`. Sizes are compared with what the file holds before anything is made of them.
struct RecordReader {
    private let file: GoldenFile

    init(_ file: GoldenFile) { self.file = file }

    func audit(samples: Int, precision: Precision = .float32) throws -> Audit {
        let configuration = try configuration()
        let classes = try file.size("classes", atLeast: 2)
        let trainingSteps = try file.size("training_steps", atLeast: 0)
        guard trainingSteps <= 100 else { throw bad("metadata 'training_steps' is \(trainingSteps), at most 100 are repeated") }
        let readsText = file.optional("tokens") != nil
        let input: ModelInput = readsText ? .tokens(vocabulary: try file.size("vocabulary", atLeast: 2, atMost: 1 << 24)) : .features(width: try file.size("width"))
        let weights = file.file.tensors.filter { $0.name.hasPrefix("weight.") }
            .map { HostTensor(name: String($0.name.dropFirst(7)), shape: $0.shape, values: $0.values) }
        try checkSize(configuration.model, input, classes, weights)
        let batch = try batch(input, classes)
        let audited = AuditCase(subject: file.file.metadata["subject"].map { "\(file.path): \($0)" } ?? file.path,
                                source: file.file.metadata["source"] ?? "recorded", model: configuration.model, input: input, classes: classes,
                                training: configuration.training, weights: weights, batch: batch)
        let limits = AuditLimits(rows: batch.layout.batchSize, steps: batch.layout.steps, trainingSteps: trainingSteps, samples: samples)
        let order = batch.indices
        do {
            // The layout of the flat buffers is the model's own; one model on the reference gives it.
            return try Audit(audited, limits: limits, precision: precision) { try self.trace($0, order: order, trainingSteps: trainingSteps) }
        } catch let error as CarouselError where error.status == .badConfiguration {
            throw bad("its configuration cannot work: \(error.location.map { "\($0): " } ?? "")\(error.message)")
        }
    }

    private func bad(_ message: String) -> CarouselError {
        CarouselError(.badData, message, at: file.path, hint: "Documentation/Audit.md describes the file; record it again")
    }

    private func configuration() throws -> AuditRecord.Configuration {
        do {
            let tree = try ConfigurationNode(yaml: try file.text("configuration"), source: "metadata 'configuration'", hasLines: false)
            let configuration = try ConfigurationDecoder.decode(AuditRecord.Configuration.self, from: tree)
            try configuration.model.validate(hasTokens: file.optional("tokens") != nil)
            try configuration.training.validate()
            return configuration
        } catch let error as CarouselError where error.status == .badConfiguration {
            throw bad("metadata 'configuration': \(error.location.map { "\($0): " } ?? "")\(error.message)")
        }
    }

    /// A model is built only when the file brings as many weights as it has, so that a few bytes cannot ask for gigabytes.
    private func checkSize(_ model: ModelConfiguration, _ input: ModelInput, _ classes: Int, _ weights: [HostTensor]) throws {
        let needed = ModelWork(model, input: input, classes: classes).parameters
        let held = weights.reduce(0.0) { $0 + Double($1.shape.count) }
        guard held >= needed else {
            throw bad("the model of the configuration has \(String(format: "%.0f", needed)) parameters, the file holds \(String(format: "%.0f", held))")
        }
    }

    private func batch(_ input: ModelInput, _ classes: Int) throws -> SequenceBatch {
        let readsText = file.optional("tokens") != nil
        let shape = try file.tensor(readsText ? "tokens" : "features").shape
        // A tensor without elements may claim any size.
        guard shape.rank == (readsText ? 2 : 3), (1...1 << 20).contains(shape[0]), (1...1 << 24).contains(shape[1]) else {
            throw bad("the batch \(shape) is not [rows, steps\(readsText ? "" : ", width")]")
        }
        let rows = shape[0], steps = shape[1]
        let lengths = try file.integers("lengths", count: rows, in: 0 ..< steps + 1)
        let labels = try file.integers("labels", count: rows, in: 0..<classes).map(Int32.init)
        switch input {
        case .tokens(let vocabulary):
            let tokens = try file.integers("tokens", count: rows * steps, in: 0..<vocabulary)
            return SequenceBatch(tokens: (0..<rows).map { b in tokens[b * steps ..< b * steps + lengths[b]].map(Int32.init) }, labels: labels)
        case .features(let width):
            let values = try file.tensor("features", [rows, steps, width]).doubles.map { Float($0) }
            return SequenceBatch(features: (0..<rows).map { b in Array(values[b * steps * width ..< (b * steps + lengths[b]) * width]) },
                                 width: width, labels: labels)
        }
    }

    /// The recorded numbers as flat buffers of `store`.
    /// - Parameter order: the file's row at each place of the batch (longest first).
    private func trace(_ oracle: AuditSubject, order: [Int], trainingSteps: Int) throws -> AuditTrace {
        let store = oracle.model.store
        func flat(_ prefix: String) throws -> [Double] {
            var result = [Double](repeating: 0, count: store.count)
            for parameter in store.parameters {
                let values = try file.tensor(prefix + parameter.name, parameter.shape).doubles
                result.replaceSubrange(parameter.offset ..< parameter.offset + values.count, with: values)
            }
            return result
        }
        func rows(_ name: String, _ width: Int?) throws -> [Double]? {
            guard file.optional(name) != nil else { return nil }
            let values = try file.tensor(name, width.map { [order.count, $0] } ?? [order.count]).doubles
            return order.flatMap { b in values[b * (width ?? 1) ..< (b + 1) * (width ?? 1)] }
        }
        func steps(_ name: String) throws -> [Double]? {
            try file.optional(name) == nil ? nil : file.tensor(name, [trainingSteps]).doubles
        }
        let width = oracle.model.lossKind == .sigmoid ? 1 : oracle.model.classes
        let hasFinal = trainingSteps > 0 && file.tensorNames.contains { $0.hasPrefix("final.") }
        var trace = AuditTrace(inference: try rows("logits_inference", width), logits: try rows("logits", width), losses: try rows("losses", nil),
                               gradients: try flat("gradient."), stepLosses: try steps("step_losses"),
                               stepNorms: try steps("gradient_norms"), parameters: hasFinal ? try flat("final.") : nil)
        trace.isDouble = file.file.tensors.allSatisfy { tensor in
            if case .float32 = tensor.values { tensor.name.hasPrefix("weight.") || tensor.name == "features" } else { true }
        }
        let known = store.parameters.flatMap { ["weight." + $0.name, "gradient." + $0.name, "final." + $0.name] }
            + store.zeroPartners.values.map { "weight." + $0.name }
            + ["tokens", "features", "lengths", "labels", "logits_inference", "logits", "losses", "step_losses", "gradient_norms"]
        if let extra = Set(file.tensorNames).subtracting(known).sorted().first { throw bad("tensor '\(extra)' belongs to no part of an audit") }
        for name in file.tensorNames where !(file.optional(name)?.doubles.allSatisfy(\.isFinite) ?? true) {
            throw bad("tensor '\(name)' holds values that are not numbers")
        }
        return trace
    }
}
