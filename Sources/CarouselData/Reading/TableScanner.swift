import CarouselCore

/// Cuts the bytes of a table into rows and fields without copying them.
struct TableScanner {
    /// Bytes of a field, without its quotes.
    struct Field {
        var range: Range<Int>
        /// True when the bytes hold doubled quotes that stand for one.
        var isEscaped = false
    }

    let path: String
    private let bytes: UnsafeBufferPointer<UInt8>
    private let delimiter: UInt8
    private let quotes: Bool
    private var position = 0
    /// Line at `position`.
    private var nextLine = 1
    /// Fields of the current row.
    private(set) var fields: [Field] = []
    /// 1-based line on which the current row begins.
    private(set) var line = 0

    /// - Parameter quotes: CSV quoting; without it every byte but the delimiter and the line end is text.
    init(_ bytes: UnsafeBufferPointer<UInt8>, path: String, delimiter: UInt8, quotes: Bool) {
        self.bytes = bytes
        self.path = path
        self.delimiter = delimiter
        self.quotes = quotes
    }

    /// Moves to the next row that is not blank; false at the end.
    /// - Throws: `badData` for quotes that do not close or are followed by text.
    mutating func next() throws -> Bool {
        while position < bytes.count {
            fields.removeAll(keepingCapacity: true)
            line = nextLine
            if quotes { try scanQuotedRow() } else { scanPlainRow() }
            if fields.count > 1 || !fields[0].range.isEmpty { return true }
        }
        return false
    }

    private mutating func scanPlainRow() {
        var start = position
        var i = position
        while i < bytes.count, bytes[i] != 0x0A {
            if bytes[i] == delimiter {
                fields.append(Field(range: start..<i))
                start = i + 1
            }
            i += 1
        }
        endRow(start, i)
    }

    private mutating func scanQuotedRow() throws {
        var start = position
        var i = position
        while true {
            if i == start, i < bytes.count, bytes[i] == UInt8(ascii: "\"") {
                let field = try scanQuotedField(i)
                fields.append(field)
                i = field.range.upperBound + 1
                if i < bytes.count, bytes[i] == 0x0D, i + 1 == bytes.count || bytes[i + 1] == 0x0A { i += 1 }
                if i >= bytes.count || bytes[i] == 0x0A {
                    position = i + 1
                    nextLine += 1
                    return
                }
                guard bytes[i] == delimiter else {
                    throw CarouselError(.badData, "text after a closing quote in field \(fields.count)", at: "\(path):\(nextLine)",
                                        hint: "write quotes inside a quoted field twice, or read the file with format tsv if it is not quoted")
                }
                i += 1
                start = i
                continue
            }
            while i < bytes.count, bytes[i] != delimiter, bytes[i] != 0x0A { i += 1 }
            if i >= bytes.count || bytes[i] == 0x0A {
                endRow(start, i)
                return
            }
            fields.append(Field(range: start..<i))
            i += 1
            start = i
        }
    }

    /// The field whose opening quote is at `open`.
    private mutating func scanQuotedField(_ open: Int) throws -> Field {
        let firstLine = nextLine
        var i = open + 1
        var isEscaped = false
        while i < bytes.count {
            if bytes[i] == UInt8(ascii: "\"") {
                guard i + 1 < bytes.count, bytes[i + 1] == UInt8(ascii: "\"") else {
                    return Field(range: open + 1 ..< i, isEscaped: isEscaped)
                }
                isEscaped = true
                i += 1
            } else if bytes[i] == 0x0A {
                nextLine += 1
            }
            i += 1
        }
        throw CarouselError(.badData, "a quote is never closed", at: "\(path):\(firstLine)",
                            hint: "write quotes inside a quoted field twice, or read the file with format tsv if it is not quoted")
    }

    /// The last field of a row ends at `end`, where the line or the file ends.
    private mutating func endRow(_ start: Int, _ end: Int) {
        let hasReturn = end > start && bytes[end - 1] == 0x0D
        fields.append(Field(range: start..<(hasReturn ? end - 1 : end)))
        position = end + 1
        nextLine += 1
    }

    /// The text of a field of the current row.
    func text(_ index: Int) -> String {
        let field = fields[index]
        let content = UnsafeBufferPointer(rebasing: bytes[field.range])
        guard field.isEscaped else { return String(decoding: content, as: UTF8.self) }
        var plain: [UInt8] = []
        plain.reserveCapacity(content.count)
        var i = 0
        while i < content.count {
            plain.append(content[i])
            i += content[i] == UInt8(ascii: "\"") ? 2 : 1
        }
        return String(decoding: plain, as: UTF8.self)
    }

    /// The text of a field without white space at its ends.
    func trimmed(_ index: Int) -> String { text(index).trimmedSpaces }
}

extension String {
    /// Without spaces and tabs, line ends, ideographic and no-break spaces at both ends.
    var trimmedSpaces: String {
        func isSpace(_ scalar: Unicode.Scalar) -> Bool {
            scalar.value <= 0x20 || scalar.value == 0xA0 || scalar.value == 0x3000
        }
        guard let first = unicodeScalars.first, let last = unicodeScalars.last, isSpace(first) || isSpace(last) else { return self }
        var view = unicodeScalars[...]
        while let scalar = view.first, isSpace(scalar) { view.removeFirst() }
        while let scalar = view.last, isSpace(scalar) { view.removeLast() }
        return String(view)
    }
}
