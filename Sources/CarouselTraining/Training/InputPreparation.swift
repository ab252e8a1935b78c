import CarouselCore
import CarouselData
import CarouselNN
import Foundation

/// What turns a data set into sequences for a model; learnt from the training part, saved with the model.
public enum InputPreparation: Sendable {
    case text(TextPreparation)
    case series(SeriesPreparation)

    /// Learns from the training part only.
    public static func fit(_ configuration: PreparationConfiguration, to data: DataSet) throws -> InputPreparation {
        switch data {
        case .text(let set): .text(try TextPreparation.fit(configuration, texts: set.texts))
        case .series(let set): .series(SeriesPreparation.fit(set, maximumLength: configuration.maximumLength))
        }
    }

    /// What the model reads.
    public var modelInput: ModelInput {
        switch self {
        case .text(let preparation): .tokens(vocabulary: preparation.vocabulary.count)
        case .series(let preparation): .features(width: preparation.width)
        }
    }

    /// - Parameter labels: nil leaves the labels out (prediction).
    /// - Throws: `badData` when the data is of the other kind, or has a label that is not in `labels`.
    public func encode(_ data: DataSet, labels: LabelSet?) throws -> EncodedDataSet {
        switch (self, data) {
        case (.text(let preparation), .text(let set)):
            return try EncodedDataSet(set, preparation: preparation, labels: labels)
        case (.series(let preparation), .series(let set)):
            return try EncodedDataSet(set, preparation: preparation, labels: labels)
        case (.text, .series):
            throw CarouselError(.badData, "holds numeric sequences, but the model reads text", at: data.name)
        case (.series, .text):
            throw CarouselError(.badData, "holds text, but the model reads numeric sequences", at: data.name)
        }
    }

    private struct Saved: Codable {
        var text: PreparationConfiguration?
        var series: SeriesPreparation?
    }

    /// The text of `preparation.json`.
    private func text() throws -> String {
        let saved = switch self {
        case .text(let preparation): Saved(text: preparation.configuration)
        case .series(let preparation): Saved(series: preparation)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(saved), as: UTF8.self) + "\n"
    }

    /// Writes `preparation.json` and, for text, the vocabulary.
    func save(to folder: RunFolder) throws {
        if case .text(let preparation) = self { try folder.write(preparation.vocabulary.text, to: .vocabulary) }
        try folder.write(try text(), to: .preparation)
    }

    /// SHA-256 of all that decides how input becomes sequences.
    func hash() throws -> String {
        var hash = SHA256()
        hash.update(try text())
        if case .text(let preparation) = self { hash.update(preparation.vocabulary.text) }
        return hash.hexadecimal()
    }

    /// Reads what `save` wrote.
    /// - Throws: `badData` when the file is damaged, `missingInput` when it is not there.
    package static func load(from folder: RunFolder) throws -> InputPreparation {
        let path = folder.path(of: .preparation)
        let saved: Saved
        do {
            saved = try JSONDecoder().decode(Saved.self, from: Data(try folder.read(.preparation).utf8))
        } catch let error as DecodingError {
            throw CarouselError(.badData, "is not what a run writes: \(error)", at: path, hint: "train again")
        }
        if let text = saved.text {
            let vocabulary = try Vocabulary(text: try folder.read(.vocabulary), file: folder.path(of: .vocabulary))
            return .text(try TextPreparation(configuration: text, vocabulary: vocabulary))
        }
        guard let series = saved.series else {
            throw CarouselError(.badData, "says neither how to prepare text nor numbers", at: path, hint: "train again")
        }
        // Dividing by anything else would give answers that look like any other.
        guard series.width > 0, series.deviation.count == series.width, series.deviation.allSatisfy({ $0 > 0 && $0.isFinite }) else {
            throw CarouselError(.badData, "\(series.width) means need as many deviations, all greater than 0", at: path, hint: "train again")
        }
        return .series(series)
    }
}
