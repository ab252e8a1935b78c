import CarouselCore
import CarouselData
import CarouselNN
import Foundation

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

    private func saveModel(_ weights: Tensor, as file: RunFolder.File) throws {
        guard let folder else { return }
        let metadata = ["format": "pt", "carousel.classes": labels.names.joined(separator: "\n"), "carousel.step": String(optimizer.step)]
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
