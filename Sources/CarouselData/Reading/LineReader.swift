import CarouselCore

/// Reads files with one text per line: plain, or with fastText's label marks.
enum LineReader {
    /// Lines `__label__name text`; the mark may also be the last word.
    static func fastText(_ input: InputFile, options: ReadOptions) throws -> TextDataSet {
        let prefix = Array(options.labelPrefix.utf8)
        guard !prefix.isEmpty else {
            throw CarouselError(.badConfiguration, "label_prefix is empty", hint: "set it to what marks a label, such as __label__")
        }
        var data = TextDataSet(name: input.path, texts: [],
                               origin: DataOrigin(path: input.path, format: .fasttext, encoding: input.encoding))
        var hasLabels = true
        try forEachLine(input) { bytes, line in
            var rest = trimmed(bytes[...])
            guard !rest.isEmpty else { return }
            var labels: [String] = []
            while rest.starts(with: prefix) {
                let word = rest.prefix { $0 > 0x20 }
                labels.append(String(decoding: word.dropFirst(prefix.count), as: UTF8.self))
                rest = trimmed(rest[word.endIndex...])
            }
            if labels.isEmpty, let space = rest.lastIndex(where: { $0 <= 0x20 }), rest[(space + 1)...].starts(with: prefix) {
                labels = [String(decoding: rest[(space + 1)...].dropFirst(prefix.count), as: UTF8.self)]
                rest = trimmed(rest[..<space])
            }
            let place = "\(input.path):\(line)"
            guard labels.count < 2 else {
                throw CarouselError(.badData, "several labels: \(labels.joined(separator: ", "))", at: place,
                                    hint: "keep one label per line; texts with several labels are not supported")
            }
            if labels.isEmpty || labels[0].isEmpty {
                guard !options.requiresLabels else {
                    throw CarouselError(.badData, "no label; a line begins with \(options.labelPrefix) and the label's name",
                                        at: place, hint: "add the label, or set data.label_prefix to the mark that is used")
                }
                hasLabels = false
            }
            data.labels.append(labels.first ?? "")
            data.texts.append(String(decoding: rest, as: UTF8.self))
            data.lines.append(line)
        }
        if !hasLabels, data.labels.allSatisfy(\.isEmpty) { data.labels = [] }
        return data
    }

    /// Every line is a text, a blank one too, so that answers stand beside their lines.
    static func plain(_ input: InputFile, options: ReadOptions) throws -> TextDataSet {
        guard !options.requiresLabels else {
            throw CarouselError(.badData, "the file looks like plain lines without labels", at: input.path,
                                hint: "set data.format to tsv, csv, jsonl or fasttext if it has labels; a table needs a header such as label<TAB>text")
        }
        var data = TextDataSet(name: input.path, texts: [],
                               origin: DataOrigin(path: input.path, format: .lines, encoding: input.encoding))
        forEachLine(input) { bytes, line in
            let text = trimmed(bytes[...])
            data.texts.append(String(decoding: text, as: UTF8.self))
            data.lines.append(line)
        }
        return data
    }

    /// Calls `body` with every line, without its end, and its number from 1.
    static func forEachLine(_ input: InputFile, _ body: (UnsafeBufferPointer<UInt8>, Int) throws -> Void) rethrows {
        try input.bytes.withUnsafeBufferPointer { bytes in
            var start = 0
            var line = 1
            while start < bytes.count {
                let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
                try body(UnsafeBufferPointer(rebasing: bytes[start..<end]), line)
                start = end + 1
                line += 1
            }
        }
    }

    private static func trimmed(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Slice<UnsafeBufferPointer<UInt8>> {
        var bytes = bytes
        while let byte = bytes.first, byte <= 0x20 { bytes.removeFirst() }
        while let byte = bytes.last, byte <= 0x20 { bytes.removeLast() }
        return bytes
    }
}
