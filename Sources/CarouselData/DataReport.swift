/// What a person should know about the data before training on them.
public struct DataReport: Codable, Sendable, Equatable {
    /// A class and how many rows it has.
    public struct ClassCount: Codable, Sendable, Equatable {
        /// The class's name.
        public var label: String
        /// Rows in the training part.
        public var training: Int
        /// Rows in the validation part.
        public var validation: Int
    }

    /// Lengths in tokens (or steps) before truncation.
    public struct Lengths: Codable, Sendable, Equatable {
        /// In tokens or steps; percentiles by nearest rank.
        public var minimum = 0, median = 0, p90 = 0, p99 = 0, maximum = 0

        /// No rows.
        public init() {}

        /// Nearest-rank percentiles.
        public init(_ lengths: [Int]) {
            let sorted = lengths.sorted()
            guard let first = sorted.first, let last = sorted.last else { return }
            func percentile(_ p: Int) -> Int { sorted[max(0, (sorted.count * p + 99) / 100 - 1)] }
            minimum = first
            median = percentile(50)
            p90 = percentile(90)
            p99 = percentile(99)
            maximum = last
        }
    }

    /// Letters of a script in the training texts, and how many of them are in no token.
    public struct ScriptCount: Codable, Sendable, Equatable {
        /// For example `Han`.
        public var script: String
        /// Letters in the raw texts.
        public var total: Int
        /// Letters of these that no token holds.
        public var removed: Int
    }

    /// Where the training data come from and how they were read.
    public var source = ""
    /// The tokenizer in use; empty for series.
    public var tokenizer = ""
    /// Tokens or steps kept of a row; 0 = all.
    public var maximumLength = 0
    /// Rows of the training part.
    public var trainingRows = 0
    /// Rows of the validation part; 0 = none given.
    public var validationRows = 0
    /// Most frequent first.
    public var classes: [ClassCount] = []
    /// Of the training part.
    public var lengths = Lengths()
    /// Share of the training rows that lose something to `maximumLength`.
    public var cutShare = 0.0
    /// Training rows without a single token or step.
    public var emptyRows = 0
    /// Tokens with padding and unknown; 0 for series.
    public var vocabularySize = 0
    /// Share of the training tokens that are unknown, 0 … 1.
    public var unknownTraining = 0.0
    /// Share of the validation tokens that are unknown, 0 … 1.
    public var unknownValidation = 0.0
    /// Training rows whose text appeared before.
    public var duplicates = 0
    /// Of these rows, those whose label differs from the first occurrence's.
    public var contradictions = 0
    /// Validation rows whose text is in the training part.
    public var shared = 0
    /// Of these rows, those whose label differs from the training row's.
    public var sharedContradictions = 0
    /// Scripts by number of letters, most frequent first.
    public var scripts: [ScriptCount] = []

    enum CodingKeys: String, CodingKey {
        case source, tokenizer, classes, lengths, duplicates, contradictions, shared, scripts
        case maximumLength = "maximum_length", trainingRows = "training_rows", validationRows = "validation_rows"
        case cutShare = "cut_share", emptyRows = "empty_rows", vocabularySize = "vocabulary_size"
        case unknownTraining = "unknown_training", unknownValidation = "unknown_validation"
        case sharedContradictions = "shared_contradictions"
    }
}

extension DataReport {
    /// Looks at the training part and, when given, the validation part.
    /// - Parameters:
    ///   - preparation: of texts; without it there are no figures on tokens.
    ///   - maximumLength: for series, the steps kept of a row; 0 = all.
    public init(training: DataSet, validation: DataSet? = nil, preparation: TextPreparation? = nil,
                maximumLength: Int = 0) {
        source = training.origin.description
        trainingRows = training.count
        validationRows = validation?.count ?? 0
        countClasses(training.labels, validation?.labels ?? [])
        let rowLengths: [Int]
        switch training {
        case .text(let texts):
            countDuplicates(training, validation)
            guard let preparation else { return }
            tokenizer = preparation.configuration.tokenizer.rawValue
            self.maximumLength = preparation.configuration.maximumLength
            vocabularySize = preparation.vocabulary.count
            let encoded = preparation.encodeUntruncated(all: texts.texts)
            rowLengths = encoded.map(\.count)
            unknownTraining = Self.unknownShare(encoded)
            if case .text(let held)? = validation {
                unknownValidation = Self.unknownShare(preparation.encodeUntruncated(all: held.texts))
            }
            scripts = ScriptCounter.count(texts.texts, preparation)
        case .series(let series):
            self.maximumLength = maximumLength
            rowLengths = series.series.map { $0.count / max(1, series.width) }
        }
        lengths = Lengths(rowLengths)
        emptyRows = rowLengths.count { $0 == 0 }
        if self.maximumLength > 0, !rowLengths.isEmpty {
            cutShare = Double(rowLengths.count { $0 > self.maximumLength }) / Double(rowLengths.count)
        }
    }

    private mutating func countClasses(_ training: [String], _ validation: [String]) {
        var counts: [String: (Int, Int)] = [:]
        for label in training { counts[label, default: (0, 0)].0 += 1 }
        for label in validation { counts[label, default: (0, 0)].1 += 1 }
        classes = counts.map { ClassCount(label: $0.key, training: $0.value.0, validation: $0.value.1) }
            .sorted { ($1.training, $0.label) < ($0.training, $1.label) }
    }

    private mutating func countDuplicates(_ training: DataSet, _ validation: DataSet?) {
        guard case .text(let texts) = training else { return }
        var firstRow: [TextKey: Int] = [:]
        for (row, text) in texts.texts.enumerated() {
            let key = TextKey(text)
            if let first = firstRow[key] {
                duplicates += 1
                if !texts.labels.isEmpty, texts.labels[first] != texts.labels[row] { contradictions += 1 }
            } else {
                firstRow[key] = row
            }
        }
        guard case .text(let held)? = validation else { return }
        for (row, text) in held.texts.enumerated() {
            guard let first = firstRow[TextKey(text)] else { continue }
            shared += 1
            if !texts.labels.isEmpty, !held.labels.isEmpty, texts.labels[first] != held.labels[row] {
                sharedContradictions += 1
            }
        }
    }

    private static func unknownShare(_ rows: [[Int32]]) -> Double {
        var unknown = 0, total = 0
        for row in rows {
            total += row.count
            for token in row where token == Vocabulary.unknown { unknown += 1 }
        }
        return total == 0 ? 0 : Double(unknown) / Double(total)
    }

    /// The report as lines for people.
    public func lines() -> [String] {
        func percent(_ share: Double) -> String {
            let tenths = Int((share * 1000).rounded())
            return "\(tenths / 10).\(tenths % 10) %"
        }
        var result = [source, "rows: \(trainingRows) training" + (validationRows > 0 ? ", \(validationRows) validation" : "")]
        let shown = classes.prefix(20).map { item in
            "\(item.label) \(item.training)" + (validationRows > 0 ? "+\(item.validation)" : "")
        }
        if !classes.isEmpty {
            result.append("classes (\(classes.count)\(validationRows > 0 ? ", training+validation" : "")): "
                + shown.joined(separator: ", ") + (classes.count > 20 ? ", …" : ""))
        }
        if classes.count > 20, classes.count * 10 > trainingRows {
            result.append("warning: \(classes.count) classes for \(trainingRows) rows; is that the column of the labels?")
        }
        let unit = tokenizer.isEmpty ? "steps" : "tokens by \(tokenizer)"
        if lengths.maximum > 0 {
            result.append("length in \(unit): min \(lengths.minimum), median \(lengths.median), 90 % \(lengths.p90), "
                + "99 % \(lengths.p99), max \(lengths.maximum)")
            if maximumLength > 0 { result.append("longer than \(maximumLength): \(percent(cutShare)) of the rows are cut") }
        }
        if emptyRows > 0 { result.append("warning: \(emptyRows) rows are empty after cleaning") }
        if vocabularySize > 0 {
            result.append("vocabulary: \(vocabularySize); unknown tokens: \(percent(unknownTraining)) in training"
                + (validationRows > 0 ? ", \(percent(unknownValidation)) in validation" : ""))
        }
        if duplicates > 0 {
            result.append("duplicates: \(duplicates) training rows repeat an earlier text, \(contradictions) of them with "
                + "another label")
        }
        if shared > 0 {
            result.append("warning: \(shared) validation rows are also in the training part, \(sharedContradictions) of them "
                + "with another label")
        }
        for script in scripts where script.removed * 1000 >= max(1, script.total) {
            let share = Double(script.removed) / Double(max(1, script.total))
            result.append((share > 0.2 ? "warning: " : "") + "removed \(percent(share)) of \(script.total) \(script.script) "
                + "characters (tags, addresses, stop words)")
        }
        return result
    }
}
