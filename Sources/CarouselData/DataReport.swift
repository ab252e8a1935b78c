/// What a person should know about the data before training on them.
public struct DataReport: Codable, Sendable, Equatable {
    /// A class and how many rows it has.
    public struct ClassCount: Codable, Sendable, Equatable {
        public var label: String
        public var training: Int
        public var validation: Int
    }

    /// Lengths in tokens (or steps) before truncation.
    public struct Lengths: Codable, Sendable, Equatable {
        public var minimum = 0, median = 0, p90 = 0, p99 = 0, maximum = 0
    }

    /// Letters of a script in the training texts, and how many of them are in no token.
    public struct ScriptCount: Codable, Sendable, Equatable {
        public var script: String
        public var total: Int
        public var removed: Int
    }

    /// Where the training data come from and how they were read.
    public var source = ""
    /// The tokenizer in use; empty for series.
    public var tokenizer = ""
    public var trainingRows = 0
    public var validationRows = 0
    public var classes: [ClassCount] = []
    public var lengths = Lengths()
    /// Share of the training rows that lose something to `maximum_length`.
    public var cutShare = 0.0
    /// Rows without a single token.
    public var emptyRows = 0
    public var vocabularySize = 0
    /// Shares of unknown tokens, 0 … 1.
    public var unknownTraining = 0.0
    public var unknownValidation = 0.0
    /// Training rows whose text appeared before.
    public var duplicates = 0
    /// Of these rows, those whose label differs from the first occurrence's.
    public var contradictions = 0
    /// Validation rows whose text is in the training part.
    public var shared = 0
    /// Of these rows, those whose label differs from the training row's.
    public var sharedContradictions = 0
    public var scripts: [ScriptCount] = []
}

extension DataReport {
    /// - Parameter preparation: of the texts; nil for series.
    public init(training: DataSet, validation: DataSet? = nil, preparation: TextPreparation? = nil) {
        trainingRows = training.count
        validationRows = validation?.count ?? 0
    }

    /// The report as lines for people.
    public func lines() -> [String] { [source] }
}
