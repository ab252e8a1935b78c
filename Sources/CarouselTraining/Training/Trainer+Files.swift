import CarouselCore
import CarouselData
import CarouselNN
import Foundation
import Glibc

extension Trainer {
    /// What does not change during a run: configuration, labels, preparation, vocabulary.
    func savePreparation() throws {
        guard let folder else { return }
        try folder.write(try configuration.yaml(), to: .configuration)
        try folder.write(labels.text, to: .labels)
        try preparation.save(to: folder)
    }

    /// Adds the epoch to the metrics and, if it is the best, replaces the model.
    func save(_ record: EpochRecord, isBest: Bool) throws {
        guard let folder else { return }
        try folder.append(line: try Self.metrics(record), to: .metrics)
        try folder.append(line: try Self.timing(record), to: .timing)
        if isBest { try saveModel(average ?? model.store.weights, as: .model) }
    }

    /// Makes the metrics those of the epochs a checkpoint knows: what came after it will be written again.
    func rewriteRecords(_ records: [EpochRecord]) throws {
        guard let folder else { return }
        try folder.write(records.map { try Self.metrics($0) + "\n" }.joined(), to: .metrics)
        try folder.write(records.map { try Self.timing($0) + "\n" }.joined(), to: .timing)
    }

    /// Makes the model that of the best epoch a checkpoint knows; a later one will come again.
    /// - Parameter records: of the epochs the checkpoint knows.
    func rewriteModel(_ best: BestModel, _ records: [EpochRecord]) throws {
        guard let folder else { return }
        if let epoch = best.epoch {
            try saveModel(best.kept, as: .model, step: records.prefix(epoch).reduce(0) { $0 + $1.steps })
        } else if folder.contains(.model), unlink(folder.path(of: .model)) != 0 {
            throw DurableFile.refusal(folder.path(of: .model), "cannot remove the file: \(DurableFile.systemMessage())")
        }
    }

    /// A line of `metrics.jsonl`: only what the same run gives again, so that the files of two runs can be compared.
    private static func metrics(_ record: EpochRecord) throws -> String {
        var record = record
        record.seconds = nil
        record.tokensPerSecond = nil
        return try json(record, [.sortedKeys])
    }

    private static func timing(_ record: EpochRecord) throws -> String {
        struct Timing: Encodable { var epoch: Int, seconds: Double?, tokensPerSecond: Double? }
        return try json(Timing(epoch: record.epoch, seconds: record.seconds, tokensPerSecond: record.tokensPerSecond), [.sortedKeys])
    }

    /// The weights as they are now; also as the model when no epoch was finished.
    func saveLast(orElse isOnly: Bool) throws {
        try saveModel(model.store.weights, as: .lastModel)
        if isOnly { try saveModel(model.store.weights, as: .model) }
    }

    /// - Parameter step: steps after which the weights were so; nil = now.
    private func saveModel(_ weights: Tensor, as file: RunFolder.File, step: Int? = nil) throws {
        guard let folder else { return }
        let metadata = ["format": "pt", "carousel.classes": labels.names.joined(separator: "\n"), "carousel.step": String(step ?? optimizer.step)]
        try folder.write(try Safetensors(tensors: try model.store.export(weights), metadata: metadata).encoded(), to: file)
    }

    /// Reports on the validation and the test part.
    func saveReport(_ result: TrainingResult) throws {
        guard let folder else { return }
        try folder.write(try Self.json(result, [.prettyPrinted, .sortedKeys]) + "\n", to: .report)
    }

    /// JSON has no infinite numbers, but a norm or a loss can be one without an end to the training: they become
    /// the texts "inf", "-inf" and "nan".
    static func json(_ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = formatting
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
