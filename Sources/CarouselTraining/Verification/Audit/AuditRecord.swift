import CarouselCore
import CarouselNN
import Foundation

/// Audits as files, format `golden-audit/1` (Documentation/Audit.md): configuration, weights, batch and what was computed.
enum AuditRecord {
    static let format = "golden-audit/1"

    /// The parts of a run's configuration that decide the numbers; `training` may leave keys out.
    struct Configuration: Codable {
        var model: ModelConfiguration
        var training: TrainingConfiguration

        enum CodingKeys: String, CodingKey { case model, training }

        init(model: ModelConfiguration, training: TrainingConfiguration) {
            self.model = model
            self.training = training
        }

        init(from decoder: any Decoder) throws {
            let c = try decoder.container(keyedBy: CodingKeys.self)
            self.init(model: try c.decode(ModelConfiguration.self, forKey: .model),
                      training: try c.decodeIfPresent(TrainingConfiguration.self, forKey: .training) ?? .init())
        }
    }
}

extension Audit {
    /// Writes the case with the reference's numbers. The file appears whole or not at all.
    /// - Throws: `cannotCreateOutput`
    public func record(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let configuration = try encoder.encode(AuditRecord.Configuration(model: audited.model, training: audited.training))
        var metadata = ["format": AuditRecord.format, "configuration": String(decoding: configuration, as: UTF8.self),
                        "classes": String(audited.classes), "training_steps": String(limits.trainingSteps),
                        "subject": audited.subject, "source": audited.source]
        let layout = audited.batch.layout
        var tensors = [
            HostTensor(name: "lengths", shape: [layout.batchSize], values: .int32(layout.lengths.map(Int32.init))),
            HostTensor(name: "labels", shape: [layout.batchSize], values: .int32(audited.batch.labels)),
        ]
        switch audited.input {
        case .tokens(let vocabulary): metadata["vocabulary"] = String(vocabulary)
        case .features(let width): metadata["width"] = String(width)
        }
        tensors.append(paddedInput())
        func add(_ name: String, _ shape: Shape, _ values: [Double]?) {
            if let values { tensors.append(HostTensor(name: name, shape: shape, values: .float64(values))) }
        }
        let width = oracle.model.lossKind == .sigmoid ? 1 : audited.classes
        add("logits_inference", [layout.batchSize, width], expected.inference)
        add("logits", [layout.batchSize, width], expected.logits)
        add("losses", [layout.batchSize], expected.losses)
        add("step_losses", [limits.trainingSteps], expected.stepLosses)
        add("gradient_norms", [limits.trainingSteps], expected.stepNorms)
        for parameter in oracle.model.store.parameters {
            let range = parameter.offset ..< parameter.offset + parameter.shape.count
            tensors.append(HostTensor(name: "weight." + parameter.name, shape: parameter.shape, values: .float32(start[range].map { Float($0) })))
            add("gradient." + parameter.name, parameter.shape, Array(expected.gradients[range]))
            add("final." + parameter.name, parameter.shape, expected.parameters.map { Array($0[range]) })
        }
        let place = URL(fileURLWithPath: path), data = try Safetensors(tensors: tensors, metadata: metadata).encoded()
        try DurableFile.replace(place.lastPathComponent, in: place.deletingLastPathComponent().path) { output in
            try data.withUnsafeBytes { try output.write($0) }
        }
    }

    /// The batch as [B, T], or [B, T, F] of numbers, zero past a row's end.
    private func paddedInput() -> HostTensor {
        let layout = audited.batch.layout
        switch audited.batch.input {
        case .tokens(let lists):
            var tokens = [Int32](repeating: 0, count: layout.batchSize * layout.steps)
            for t in 0..<layout.steps {
                for b in 0..<layout.activeRows[t] { tokens[b * layout.steps + t] = lists.distinct[Int(lists.positions[layout.row(step: t, sequence: b)])] }
            }
            return HostTensor(name: "tokens", shape: [layout.batchSize, layout.steps], values: .int32(tokens))
        case .features(let values, let width):
            var features = [Float](repeating: 0, count: layout.batchSize * layout.steps * width)
            for t in 0..<layout.steps {
                for b in 0..<layout.activeRows[t] {
                    let row = layout.row(step: t, sequence: b)
                    for j in 0..<width { features[(b * layout.steps + t) * width + j] = values[row * width + j] }
                }
            }
            return HostTensor(name: "features", shape: [layout.batchSize, layout.steps, width], values: .float32(features))
        }
    }

    /// The audit of a record; nil when the file is a golden case of another kind.
    /// - Parameter samples: entries per tensor for finite differences.
    /// - Throws: `missingInput`, `badData` with the reason.
    public static func recorded(at path: String, samples: Int, precision: Precision = .float32) throws -> Audit? {
        let file = GoldenFile(try Safetensors(contentsOf: path), path: path)
        guard file.file.metadata["format"] == AuditRecord.format else { return nil }
        return try RecordReader(file).audit(samples: samples, precision: precision)
    }
}
