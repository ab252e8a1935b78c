import CarouselCore

/// Reads tables of texts (TSV and CSV) and hands tables of numbers to `SeriesTableReader`.
enum TableReader {
    static func read(_ input: InputFile, format: DataFormat, options: ReadOptions) throws -> DataSet {
        try input.bytes.withUnsafeBufferPointer { bytes in
            let delimiter = format == .tsv ? 0x09 : self.delimiter(bytes)
            var scanner = TableScanner(bytes, path: input.path, delimiter: delimiter, quotes: format == .csv)
            guard try scanner.next() else {
                throw CarouselError(.badData, "the file is empty", at: input.path)
            }
            let first = scanner.fields.indices.map { scanner.trimmed($0) }
            let hasHeader = self.hasHeader(first, options)
            let columns = ColumnChoice(location: "\(input.path):\(scanner.line)", names: hasHeader ? first : nil,
                                       count: first.count, noun: "column")
            let isSeries = options.kind == .series || options.kind == .auto && options.textColumn == nil
                && first.contains(options.seriesColumn) && columns.findUsual(ColumnChoice.usualTexts) == nil
            if isSeries {
                return .series(try SeriesTableReader.read(input, format: format, delimiter: delimiter, options: options))
            }
            return .text(try readTexts(input, format, &scanner, columns, options))
        }
    }

    private static func readTexts(_ input: InputFile, _ format: DataFormat, _ scanner: inout TableScanner,
                                  _ columns: ColumnChoice, _ options: ReadOptions) throws -> TextDataSet {
        let (text, label) = try columns.choose(options)
        func name(_ column: Int) -> String { columns.names?[column] ?? String(column + 1) }
        var data = TextDataSet(name: input.path, texts: [],
                               origin: DataOrigin(path: input.path, format: format, encoding: input.encoding,
                                                  textColumn: name(text), labelColumn: label.map(name)))
        var isData = columns.names == nil
        repeat {
            guard isData else { isData = true; continue }
            guard scanner.fields.count == columns.count else {
                throw wrongFieldCount(scanner, expected: columns.count, format)
            }
            data.texts.append(scanner.text(text))
            data.lines.append(scanner.line)
            guard let label else { continue }
            let value = scanner.trimmed(label)
            if value.isEmpty, options.requiresLabels {
                throw CarouselError(.badData, "the label is empty", at: "\(input.path):\(scanner.line)",
                                    hint: "give the row a label or remove it")
            }
            data.labels.append(value)
        } while try scanner.next()
        guard data.count > 0 else {
            throw CarouselError(.badData, "the file has a header but no rows", at: input.path,
                                hint: "add rows, or set data.header to no if the first row is one")
        }
        return data
    }

    static func wrongFieldCount(_ scanner: TableScanner, expected: Int, _ format: DataFormat) -> CarouselError {
        let cause = format == .tsv ? "replace tabs and line breaks inside texts by spaces, or save the file as CSV with quotes"
            : "put quotes around fields that hold the delimiter or a line break"
        return CarouselError(.badData, "\(scanner.fields.count) field\(scanner.fields.count == 1 ? "" : "s") where the first row has \(expected)",
                             at: "\(scanner.path):\(scanner.line)", hint: cause)
    }

    private static func hasHeader(_ first: [String], _ options: ReadOptions) -> Bool {
        switch options.header {
        case .yes: return true
        case .no: return false
        case .auto: break
        }
        if let asked = options.textColumn, Int(asked) == nil { return true }
        if let asked = options.labelColumn, Int(asked) == nil {
            // Where no labels are needed, a column that is not there tells nothing.
            if options.requiresLabels || first.contains(where: { $0.lowercased() == asked.lowercased() }) { return true }
        }
        let usual = ColumnChoice(location: "", names: first, count: first.count, noun: "column")
        return first.contains(options.seriesColumn) || usual.findUsual(ColumnChoice.usualTexts) != nil
            || usual.findUsual(ColumnChoice.usualLabels) != nil
    }

    /// A comma, or a semicolon when the first line has one and no comma (spreadsheets in many countries).
    private static func delimiter(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt8 {
        let firstLine = bytes.prefix { $0 != 0x0A }
        let isSemicolon = firstLine.contains(UInt8(ascii: ";")) && !firstLine.contains(UInt8(ascii: ","))
        return isSemicolon ? UInt8(ascii: ";") : UInt8(ascii: ",")
    }
}
