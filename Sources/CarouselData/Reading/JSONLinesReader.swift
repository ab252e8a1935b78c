import CarouselCore

/// Reads one JSON object per line, or one JSON array of objects: texts, or series as arrays of steps.
enum JSONLinesReader {
    static func read(_ input: InputFile, options: ReadOptions) throws -> DataSet {
        let terminated = input.bytes + [0]
        return try terminated.withUnsafeBufferPointer { bytes in
            var scanner = JSONScanner(bytes, path: input.path)
            var rows = RowReader(input: input, options: options)
            let isArray = scanner.skip(UInt8(ascii: "["))
            while scanner.peek() != 0, !(isArray && scanner.peek() == UInt8(ascii: "]")) {
                let line = scanner.line
                guard case .object(let members) = try scanner.value() else { throw scanner.error("a row that is not a JSON object") }
                try rows.add(members, line, scanner)
                if isArray, !scanner.skip(UInt8(ascii: ",")), scanner.peek() != UInt8(ascii: "]") {
                    throw scanner.error("a comma is missing between the objects of a JSON array")
                }
            }
            let isClosed = !isArray || scanner.skip(UInt8(ascii: "]"))
            guard isClosed, scanner.peek() == 0, scanner.position == bytes.count - 1 else {
                throw scanner.error("the JSON array is not closed, or something follows it")
            }
            return try rows.finish()
        }
    }

    /// Collects rows; the first one decides which keys count and whether these are texts or series.
    private struct RowReader {
        let input: InputFile
        let options: ReadOptions
        private var valueKey = ""
        private var labelKey: String?
        private var isSeries = false
        private var texts: [String] = []
        private var series: [[Float]] = []
        private var width = 0
        private var labels: [String] = []
        private var lines: [Int] = []

        init(input: InputFile, options: ReadOptions) {
            self.input = input
            self.options = options
        }

        mutating func add(_ members: [JSONMember], _ line: Int, _ scanner: JSONScanner) throws {
            let place = "\(input.path):\(line)"
            if lines.isEmpty { try chooseKeys(members, place) }
            func member(_ key: String, _ option: String) throws -> JSONValue {
                guard let found = members.first(where: { $0.key == key }) else {
                    throw CarouselError(.badData, "there is no key '\(key)'; the keys are: \(ColumnChoice.list(members.map(\.key)))",
                                        at: place, hint: "give every row the same keys, or set \(ColumnChoice.setting(option))")
                }
                return found.value
            }
            let value = try member(valueKey, "text_column")
            if isSeries {
                series.append(try steps(value, place, scanner))
            } else {
                guard case .string(let text) = value else {
                    throw CarouselError(.badData, "the value of '\(valueKey)' is not a string", at: place,
                                        hint: "write the text as a string in every row, or set --text-column to its key")
                }
                texts.append(text)
            }
            if let labelKey {
                if !options.requiresLabels, !members.contains(where: { $0.key == labelKey }) {
                    labels.append("")
                } else {
                    labels.append(try label(try member(labelKey, "label_column"), place, scanner))
                }
            }
            lines.append(line)
        }

        private mutating func chooseKeys(_ members: [JSONMember], _ place: String) throws {
            let columns = ColumnChoice(location: place, names: members.map(\.key), count: members.count, noun: "key")
            let seriesKey = options.textColumn ?? "x"
            if options.kind != .text, let value = members.first(where: { $0.key == seriesKey })?.value, case .array = value {
                isSeries = true
            } else {
                isSeries = options.kind == .series
            }
            if isSeries {
                valueKey = members[try columns.find(seriesKey, option: "text_column")].key
                let asked = options.labelColumn ?? "label"
                if options.requiresLabels {
                    labelKey = members[try columns.find(asked, option: "label_column")].key
                } else {
                    labelKey = (try? columns.find(asked, option: "label_column")).map { members[$0].key }
                }
            } else {
                let (text, label) = try columns.choose(options)
                valueKey = members[text].key
                labelKey = label.map { members[$0].key }
            }
        }

        private func label(_ value: JSONValue, _ place: String, _ scanner: JSONScanner) throws -> String {
            switch value {
            case .string(let text) where !text.trimmedSpaces.isEmpty: return text.trimmedSpaces
            case .bool(let flag): return flag ? "true" : "false"
            case .number(let range):
                guard let number = scanner.number(range) else { break }
                // 1 and 1.0 are the same class.
                return Int(exactly: number).map(String.init) ?? scanner.text(range)
            case .array(let elements) where elements.count == 1: return try label(elements[0], place, scanner)
            case .array(let elements) where elements.count > 1:
                throw CarouselError(.badData, "several labels (\(elements.count)) in one row", at: place,
                                    hint: "keep one label per row; texts with several labels are not supported")
            default: break
            }
            if !options.requiresLabels { return "" }
            throw CarouselError(.badData, "the label is empty or neither a string nor a number", at: place,
                                hint: "give the row a label or remove it")
        }

        /// T × F numbers from an array of steps; a step is an array of numbers, or one number when F = 1.
        private mutating func steps(_ value: JSONValue, _ place: String, _ scanner: JSONScanner) throws -> [Float] {
            func broken(_ message: String) -> CarouselError {
                CarouselError(.badData, message, at: place, hint: "write a series as [[1.0, 2.0], [1.5, 2.5], …], one inner array per step")
            }
            guard case .array(let steps) = value else { throw broken("the value of '\(valueKey)' is not an array of steps") }
            var result: [Float] = []
            for (t, step) in steps.enumerated() {
                let channels: [JSONValue]
                if case .array(let elements) = step { channels = elements } else { channels = [step] }
                if width == 0 { width = channels.count }
                guard channels.count == width, width > 0 else {
                    throw broken("step \(t + 1) has \(channels.count) channels where the first has \(width)")
                }
                for channel in channels {
                    guard case .number(let range) = channel, let number = scanner.number(range),
                          abs(number) <= Double(Float.greatestFiniteMagnitude) else {
                        throw broken("step \(t + 1) holds something that is not a finite number")
                    }
                    result.append(Float(number))
                }
            }
            return result
        }

        func finish() throws -> DataSet {
            guard !lines.isEmpty else { throw CarouselError(.badData, "the file holds no rows", at: input.path) }
            let labels = self.labels.allSatisfy(\.isEmpty) ? [] : self.labels
            let origin = DataOrigin(path: input.path, format: .jsonl, encoding: input.encoding, textColumn: valueKey, labelColumn: labelKey)
            if isSeries {
                guard width > 0 else { throw CarouselError(.badData, "all series are empty", at: input.path) }
                return .series(SeriesDataSet(name: input.path, series: series, width: width,
                                             channels: (0..<width).map { "\(valueKey)\($0)" }, labels: labels, lines: lines, origin: origin))
            }
            return .text(TextDataSet(name: input.path, texts: texts, labels: labels, lines: lines, origin: origin))
        }
    }
}
