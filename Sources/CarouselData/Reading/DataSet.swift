/// Where a data set came from and how it was understood, for people and for logs.
public struct DataOrigin: Codable, Sendable, Equatable {
    /// The path as given; `embedded/train` for the built-in sample.
    public var path: String
    /// The form it was read as; never `auto`.
    public var format: DataFormat
    /// The encoding on disk.
    public var encoding: TextEncoding
    /// What holds the text or the steps: a column or key name, or a column number; nil where the format fixes it.
    public var textColumn: String?
    /// What holds the label; nil when there is none or the format fixes it.
    public var labelColumn: String?

    /// A source that was read as described.
    public init(path: String, format: DataFormat, encoding: TextEncoding = .utf8, textColumn: String? = nil,
                labelColumn: String? = nil) {
        self.path = path
        self.format = format
        self.encoding = encoding
        self.textColumn = textColumn
        self.labelColumn = labelColumn
    }
}

extension DataOrigin: CustomStringConvertible {
    /// One line: `reviews.csv: csv, utf-8, text column review, label column sentiment`.
    public var description: String {
        var parts = [format.rawValue, encoding.rawValue]
        if let textColumn { parts.append("text column \(textColumn)") }
        if let labelColumn { parts.append("label column \(labelColumn)") }
        return "\(path): " + parts.joined(separator: ", ")
    }
}

/// Texts and, unless they were not asked for, their labels.
public struct TextDataSet: Sendable, Equatable {
    /// For people: the path, or `embedded`.
    public var name: String
    /// Raw, as in the source.
    public var texts: [String]
    /// One label per text, or empty when the source has none.
    public var labels: [String]
    /// 1-based line of the source on which each row begins.
    public var lines: [Int]
    /// One path per row when each row is a file of its own, else empty.
    public var files: [String]
    /// How the source was understood.
    public var origin: DataOrigin

    /// Rows from anywhere; `origin` defaults to plain lines called `name`.
    public init(name: String, texts: [String], labels: [String] = [], lines: [Int] = [], files: [String] = [],
                origin: DataOrigin? = nil) {
        self.name = name
        self.texts = texts
        self.labels = labels
        self.lines = lines
        self.files = files
        self.origin = origin ?? DataOrigin(path: name, format: .lines)
    }

    /// Number of rows.
    public var count: Int { texts.count }
}

/// Sequences of numbers: one row of `width` channels per step.
public struct SeriesDataSet: Sendable, Equatable {
    /// For people: the path.
    public var name: String
    /// Each series is T × F values, row-major; T differs between series.
    public var series: [[Float]]
    /// F, the number of channels.
    public var width: Int
    /// F channel names.
    public var channels: [String]
    /// One label per series, or empty when the source has none.
    public var labels: [String]
    /// 1-based line of the source on which each series begins.
    public var lines: [Int]
    /// How the source was understood.
    public var origin: DataOrigin

    /// Series from anywhere; `origin` defaults to a table called `name`.
    public init(name: String, series: [[Float]], width: Int, channels: [String] = [], labels: [String] = [],
                lines: [Int] = [], origin: DataOrigin? = nil) {
        self.name = name
        self.series = series
        self.width = width
        self.channels = channels
        self.labels = labels
        self.lines = lines
        self.origin = origin ?? DataOrigin(path: name, format: .csv)
    }

    /// Number of series.
    public var count: Int { series.count }
}

/// What a reader returns.
public enum DataSet: Sendable, Equatable {
    case text(TextDataSet)
    case series(SeriesDataSet)

    /// For people.
    public var name: String {
        switch self {
        case .text(let data): data.name
        case .series(let data): data.name
        }
    }

    /// Number of rows or series.
    public var count: Int {
        switch self {
        case .text(let data): data.count
        case .series(let data): data.count
        }
    }

    /// One label per row, or empty.
    public var labels: [String] {
        switch self {
        case .text(let data): data.labels
        case .series(let data): data.labels
        }
    }

    /// How the source was understood.
    public var origin: DataOrigin {
        switch self {
        case .text(let data): data.origin
        case .series(let data): data.origin
        }
    }

    /// `file:line` of a row, for messages.
    public func location(_ row: Int) -> String {
        let path = origin.path
        switch self {
        case .text(let data):
            if row < data.files.count { return data.files[row] }
            return row < data.lines.count ? "\(path):\(data.lines[row])" : "\(path), row \(row + 1)"
        case .series(let data):
            return row < data.lines.count ? "\(path):\(data.lines[row])" : "\(path), series \(row + 1)"
        }
    }

    /// The rows at `indices`, in that order.
    public func subset(_ indices: [Int]) -> DataSet {
        func pick<Element>(_ values: [Element]) -> [Element] { values.isEmpty ? [] : indices.map { values[$0] } }
        switch self {
        case .text(let data):
            return .text(TextDataSet(name: data.name, texts: pick(data.texts), labels: pick(data.labels),
                                     lines: pick(data.lines), files: pick(data.files), origin: data.origin))
        case .series(let data):
            return .series(SeriesDataSet(name: data.name, series: pick(data.series), width: data.width,
                                         channels: data.channels, labels: pick(data.labels),
                                         lines: pick(data.lines), origin: data.origin))
        }
    }
}
