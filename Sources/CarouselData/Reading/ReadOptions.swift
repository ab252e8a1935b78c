/// The form of a data file.
public enum DataFormat: String, Codable, Sendable, CaseIterable {
    /// By folder, extension and first bytes; see `DataReader.format(of:)`.
    case auto
    /// Fields separated by tabs, one row per line, no quoting.
    case tsv
    /// RFC 4180: fields separated by commas (or semicolons), quotes, line breaks inside quotes.
    case csv
    /// One JSON object per line (or one JSON array of objects).
    case jsonl
    /// `__label__name` before or after the text of each line.
    case fasttext
    /// One folder per class with one file per text.
    case folders
    /// One text per line, no labels.
    case lines
}

/// The encoding a file was read in; everything is UTF-8 inside.
public enum TextEncoding: String, Codable, Sendable {
    case utf8 = "utf-8"
    case gb18030
    case utf16 = "utf-16"
}

/// Texts or sequences of numbers.
public enum DataKind: String, Codable, Sendable, CaseIterable { case auto, text, series }

/// Whether the first row of a table names its columns.
public enum HeaderRule: String, Codable, Sendable, CaseIterable {
    /// Yes when a column was asked for by name or the row holds a usual name such as `label` or `text`.
    case auto
    case yes, no
}

/// How to read a data file. The defaults understand the usual files; every key may be missing when decoded.
public struct ReadOptions: Codable, Sendable, Equatable {
    /// The form of the file.
    public var format: DataFormat
    /// Column or key of the text: a name, or a number counted from 1; nil = the first usual name found
    /// (`text`, `review`, `content`, …).
    public var textColumn: String?
    /// Column or key of the label: a name, or a number counted from 1; nil = the first usual name found
    /// (`label`, `sentiment`, `class`, …).
    public var labelColumn: String?
    /// What marks a label in fastText files.
    public var labelPrefix: String
    /// False to read files without labels (a label column that is there is read all the same).
    public var requiresLabels: Bool
    /// What a table or JSON file holds.
    public var kind: DataKind
    /// Whether a table begins with column names.
    public var header: HeaderRule
    /// Column that tells which series a row belongs to.
    public var seriesColumn: String
    /// Column that orders the rows of a series; without it the order of the lines counts.
    public var timeColumn: String

    /// The defaults, except for what is given.
    public init(format: DataFormat = .auto, textColumn: String? = nil, labelColumn: String? = nil,
                labelPrefix: String = "__label__", requiresLabels: Bool = true, kind: DataKind = .auto,
                header: HeaderRule = .auto, seriesColumn: String = "series_id", timeColumn: String = "t") {
        self.format = format
        self.textColumn = textColumn
        self.labelColumn = labelColumn
        self.labelPrefix = labelPrefix
        self.requiresLabels = requiresLabels
        self.kind = kind
        self.header = header
        self.seriesColumn = seriesColumn
        self.timeColumn = timeColumn
    }

    enum CodingKeys: String, CodingKey {
        case format, kind, header
        case textColumn = "text_column", labelColumn = "label_column", labelPrefix = "label_prefix"
        case requiresLabels = "requires_labels", seriesColumn = "series_column", timeColumn = "time_column"
    }

    /// Missing keys keep their defaults.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let standard = ReadOptions()
        format = try values.decodeIfPresent(DataFormat.self, forKey: .format) ?? standard.format
        textColumn = try values.decodeIfPresent(String.self, forKey: .textColumn)
        labelColumn = try values.decodeIfPresent(String.self, forKey: .labelColumn)
        labelPrefix = try values.decodeIfPresent(String.self, forKey: .labelPrefix) ?? standard.labelPrefix
        requiresLabels = try values.decodeIfPresent(Bool.self, forKey: .requiresLabels) ?? standard.requiresLabels
        kind = try values.decodeIfPresent(DataKind.self, forKey: .kind) ?? standard.kind
        header = try values.decodeIfPresent(HeaderRule.self, forKey: .header) ?? standard.header
        seriesColumn = try values.decodeIfPresent(String.self, forKey: .seriesColumn) ?? standard.seriesColumn
        timeColumn = try values.decodeIfPresent(String.self, forKey: .timeColumn) ?? standard.timeColumn
    }

    /// Writes every key, nil as null, so that a saved configuration shows all there is to set.
    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(format, forKey: .format)
        try values.encode(textColumn, forKey: .textColumn)
        try values.encode(labelColumn, forKey: .labelColumn)
        try values.encode(labelPrefix, forKey: .labelPrefix)
        try values.encode(requiresLabels, forKey: .requiresLabels)
        try values.encode(kind, forKey: .kind)
        try values.encode(header, forKey: .header)
        try values.encode(seriesColumn, forKey: .seriesColumn)
        try values.encode(timeColumn, forKey: .timeColumn)
    }
}
