import CarouselCore

/// Texts to predict on, one after the other, from a file or from standard input (`-`).
public final class PredictionInput {
    /// One text, its label when the source has one, and where it stands.
    public struct Row: Sendable, Equatable {
        /// The raw text.
        public var text: String
        /// Nil when the source has no labels.
        public var label: String?
        /// `file:line`, or the path of a file of its own.
        public var location: String
    }

    /// How the source was understood; nil for plain lines from standard input.
    public let origin: DataOrigin?
    private var rows: any IteratorProtocol<Row>
    private let stream: LineStream?

    /// - Parameters:
    ///   - path: a file or folder in any format of `DataReader`, or `-` for standard input.
    ///   - options: `format` `auto` means plain lines for standard input. Labels are never required.
    /// - Throws: `missingInput` or `badData`.
    public init(path: String, options: ReadOptions = ReadOptions()) throws {
        var options = options
        options.requiresLabels = false
        options.kind = .text
        if path == "-", options.format == .auto || options.format == .lines {
            stream = LineStream(descriptor: 0, name: "standard input")
            rows = EmptyCollection<Row>().makeIterator()
            origin = nil
            return
        }
        stream = nil
        let data: DataSet
        if path == "-" {
            let input = try InputFile(standardInput: "standard input")
            data = try DataReader.read(input, format: options.format, options: options)
        } else {
            data = try DataReader.read(path, options: options)
        }
        guard case .text(let texts) = data else {
            throw CarouselError(.badData, "the file holds series of numbers, not texts", at: path)
        }
        origin = texts.origin
        rows = texts.texts.indices.lazy.map { row in
            Row(text: texts.texts[row], label: texts.labels.isEmpty ? nil : texts.labels[row],
                location: DataSet.text(texts).location(row))
        }.makeIterator()
    }

    /// The next text; nil at the end. Standard input is read as it arrives.
    /// - Throws: `badData` with the line of text that is not UTF-8.
    public func next() throws -> Row? {
        guard let stream else { return rows.next() }
        guard let text = try stream.next() else { return nil }
        return Row(text: text, label: nil, location: "\(stream.name):\(stream.line)")
    }
}
