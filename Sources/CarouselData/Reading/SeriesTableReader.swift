import CarouselCore
import Glibc

/// Reads numeric sequences from a table: one row per step with `series_id, t, label` and one column per channel.
enum SeriesTableReader {
    private struct Series {
        var values: [Float] = []
        var times: [Double] = []
        var label: String
        var line: Int
    }

    static func read(_ input: InputFile, format: DataFormat, delimiter: UInt8, options: ReadOptions) throws -> SeriesDataSet {
        // The number parser stops at a byte that is not part of a number; the zero stops it at the end.
        let terminated = input.bytes + [0]
        return try terminated.withUnsafeBufferPointer { bytes in
            let content = UnsafeBufferPointer(rebasing: bytes.dropLast())
            var scanner = TableScanner(content, path: input.path, delimiter: delimiter, quotes: format == .csv)
            guard try scanner.next() else { throw CarouselError(.badData, "the file is empty", at: input.path) }
            let names = scanner.fields.indices.map { scanner.trimmed($0) }
            return try read(input, format, &scanner, content, names, options)
        }
    }

    private static func read(_ input: InputFile, _ format: DataFormat, _ scanner: inout TableScanner,
                             _ bytes: UnsafeBufferPointer<UInt8>, _ names: [String],
                             _ options: ReadOptions) throws -> SeriesDataSet {
        let columns = ColumnChoice(location: "\(input.path):1", names: names, count: names.count, noun: "column")
        let idColumn = try columns.find(options.seriesColumn, option: "series_column")
        let timeColumn = names.firstIndex(of: options.timeColumn)
        let labelColumn: Int?
        if options.requiresLabels {
            labelColumn = try columns.find(options.labelColumn ?? "label", option: "label_column")
        } else {
            labelColumn = try? columns.find(options.labelColumn ?? "label", option: "label_column")
        }
        let channelColumns = names.indices.filter { $0 != idColumn && $0 != timeColumn && $0 != labelColumn }
        guard !channelColumns.isEmpty else {
            throw CarouselError(.badData, "there is no channel column besides \(names.joined(separator: ", "))",
                                at: "\(input.path):1", hint: "add one column of numbers per channel")
        }
        var series: [Series] = []
        var numberOfID: [String: Int] = [:]
        while try scanner.next() {
            // Made only when it is needed: this loop runs once per step.
            var place: String { "\(input.path):\(scanner.line)" }
            guard scanner.fields.count == names.count else {
                throw TableReader.wrongFieldCount(scanner, expected: names.count, format)
            }
            let id = scanner.trimmed(idColumn)
            let label = labelColumn.map { scanner.trimmed($0) } ?? ""
            if labelColumn != nil, label.isEmpty, options.requiresLabels {
                throw CarouselError(.badData, "the label is empty", at: place, hint: "give every step the label of its series")
            }
            let number: Int
            if let known = numberOfID[id] {
                number = known
                guard series[number].label == label else {
                    throw CarouselError(.badData, "series '\(id)' has the labels '\(series[number].label)' and '\(label)'", at: place,
                                        hint: "give all steps of a series the same label")
                }
            } else {
                number = series.count
                numberOfID[id] = number
                series.append(Series(label: label, line: scanner.line))
            }
            if let timeColumn {
                series[number].times.append(try self.number(bytes, scanner, timeColumn, names, input.path))
            }
            for column in channelColumns {
                series[number].values.append(Float(try self.number(bytes, scanner, column, names, input.path)))
            }
        }
        guard !series.isEmpty else {
            throw CarouselError(.badData, "the file has a header but no rows", at: input.path, hint: "add one row per step")
        }
        for i in series.indices { try sort(&series[i], width: channelColumns.count, input.path) }
        return SeriesDataSet(name: input.path, series: series.map(\.values), width: channelColumns.count,
                             channels: channelColumns.map { names[$0] }, labels: labelColumn == nil ? [] : series.map(\.label),
                             lines: series.map(\.line),
                             origin: DataOrigin(path: input.path, format: format, encoding: input.encoding,
                                                textColumn: nil, labelColumn: labelColumn.map { names[$0] }))
    }

    /// A finite number in a field of the current row.
    private static func number(_ bytes: UnsafeBufferPointer<UInt8>, _ scanner: TableScanner, _ column: Int,
                               _ names: [String], _ path: String) throws -> Double {
        let range = scanner.fields[column].range
        if let value = simpleDecimal(bytes, range) { return value }
        if !range.isEmpty, let base = bytes.baseAddress {
            let start = UnsafeRawPointer(base + range.lowerBound).assumingMemoryBound(to: CChar.self)
            var end: UnsafeMutablePointer<CChar>?
            let value = strtod(start, &end)
            var parsed = end.map { UnsafePointer($0) - start } ?? 0
            // White space may follow the number.
            while parsed > 0, parsed < range.count, base[range.lowerBound + parsed] == 0x20 { parsed += 1 }
            if parsed == range.count, value.isFinite, abs(value) <= Double(Float.greatestFiniteMagnitude) { return value }
        }
        throw CarouselError(.badData, "'\(scanner.text(column))' in column \(names[column]) is not a finite number",
                            at: "\(path):\(scanner.line)", hint: "fill in missing values first; write decimals with a point")
    }

    /// Numbers such as `-12.345` with at most 15 digits: both the digits and the power of ten are exact in a Double,
    /// so one division gives the correctly rounded value (Clinger 1990). Nil for everything else.
    private static func simpleDecimal(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Double? {
        var i = range.lowerBound
        let isNegative = i < range.upperBound && bytes[i] == UInt8(ascii: "-")
        if isNegative { i += 1 }
        var value: Int64 = 0
        var scale: Int64 = 1
        var digits = 0
        var hasPoint = false
        while i < range.upperBound {
            let digit = bytes[i] &- UInt8(ascii: "0")
            if digit < 10 {
                value = value &* 10 &+ Int64(digit)
                if hasPoint { scale = scale &* 10 }
                digits += 1
            } else if bytes[i] == UInt8(ascii: "."), !hasPoint {
                hasPoint = true
            } else {
                return nil
            }
            i += 1
        }
        guard (1...15).contains(digits) else { return nil }
        let magnitude = Double(value) / Double(scale)
        return isNegative ? -magnitude : magnitude
    }

    /// Brings the steps of a series into the order of their times.
    private static func sort(_ series: inout Series, width: Int, _ path: String) throws {
        let times = series.times
        guard times.count > 1, !zip(times, times.dropFirst()).allSatisfy({ $0 < $1 }) else { return }
        let order = times.indices.sorted { (times[$0], $0) < (times[$1], $1) }
        for (a, b) in zip(order, order.dropFirst()) where times[a] == times[b] {
            throw CarouselError(.badData, "time \(times[a]) occurs twice in the series that begins here", at: "\(path):\(series.line)",
                                hint: "give every series an id of its own and every step of it another time")
        }
        var sorted: [Float] = []
        sorted.reserveCapacity(series.values.count)
        for step in order { sorted += series.values[step * width ..< (step + 1) * width] }
        series.values = sorted
        series.times = order.map { times[$0] }
    }
}
