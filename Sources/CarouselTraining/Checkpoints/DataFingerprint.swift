import CarouselCore
import CarouselData

/// What a run's data, labels and preparation are recognised by: a run is continued only on the same.
public struct DataFingerprint: Codable, Sendable, Equatable {
    /// One part of the data: training, validation or test.
    public struct Part: Codable, Sendable, Equatable {
        /// Rows of the part.
        public var rows: Int
        /// SHA-256 of consecutive blocks of rows (text or numbers, and label), so that a change can be located.
        public var blocks: [String]

        /// At most so many blocks, of equal numbers of rows.
        static let blockCount = 64

        /// - Parameter data: as it was read, before cleaning.
        init(_ data: DataSet) {
            rows = data.count
            let size = Self.blockSize(rows: rows), labels = data.labels
            blocks = stride(from: 0, to: rows, by: size).map { start in
                var hash = SHA256()
                for row in start..<min(start + size, data.count) {
                    switch data {
                    case .text(let set):
                        hash.update(set.texts[row])
                    case .series(let set):
                        set.series[row].withUnsafeBytes { hash.update($0) }
                    }
                    // A separator, so that no two rows can be cut in another place.
                    hash.update("\u{0}")
                    if row < labels.count { hash.update(labels[row]) }
                    hash.update("\u{0}")
                }
                return hash.hexadecimal()
            }
        }

        static func blockSize(rows: Int) -> Int { max(1, (rows + blockCount - 1) / blockCount) }

        /// How `self` differs from what the run began with; nil = not at all.
        func difference(from start: Part) -> String? {
            guard self != start else { return nil }
            guard rows == start.rows else { return "\(start.rows) rows then, \(rows) now" }
            guard let block = zip(blocks, start.blocks).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset else {
                return "recorded in another way"
            }
            let size = Self.blockSize(rows: rows)
            return "as many rows, but other text or labels; the first change is in rows \(block * size + 1) to \(min(rows, (block + 1) * size))"
        }
    }

    public var train: Part
    public var validation: Part?
    public var test: Part?
    /// SHA-256 of the class names in their order.
    public var labels: String
    /// SHA-256 of what was learnt from the training part: tokenizer and vocabulary, or means and deviations.
    public var preparation: String

    init(_ data: TrainingData, labels: LabelSet, preparation: InputPreparation) throws {
        train = Part(data.train)
        validation = data.validation.map(Part.init)
        test = data.test.map(Part.init)
        self.labels = SHA256.hexadecimal(of: labels.text)
        self.preparation = try preparation.hash()
    }

    /// One line for each part that differs from what the run began with.
    func differences(from start: DataFingerprint) -> [String] {
        var lines: [String] = []
        func compare(_ name: String, _ now: Part?, _ then: Part?) {
            switch (now, then) {
            case (let now?, let then?): if let change = now.difference(from: then) { lines.append("\(name): \(change)") }
            case (nil, _?): lines.append("\(name): given then, not given now")
            case (_?, nil): lines.append("\(name): not given then, given now")
            case (nil, nil): break
            }
        }
        compare("training data", train, start.train)
        compare("validation data", validation, start.validation)
        compare("test data", test, start.test)
        // Follows from the data, so it is news only where the data is the same.
        if lines.isEmpty {
            if labels != start.labels { lines.append("class names: others than then") }
            if preparation != start.preparation { lines.append("tokenizer and vocabulary: others than then; this program prepares text in another way") }
        }
        return lines
    }
}
