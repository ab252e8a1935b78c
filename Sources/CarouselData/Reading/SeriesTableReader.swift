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
            let place = "\(input.path):\(scanner.line)"
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
                series[number].times.append(try self.number(bytes, scanner, timeColumn, names, place))
            }
            for column in channelColumns {
                series[number].values.append(Float(try self.number(bytes, scanner, column, names, place)))
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
                               _ names: [String], _ place: String) throws -> Double {
        let range = scanner.fields[column].range
        if !range.isEmpty, let base = bytes.baseAddress {
            let start = UnsafeRawPointer(base + range.lowerBound).assumingMemoryBound(to: CChar.self)
            var end: UnsafeMutablePointer<CChar>?
            let value = strtod(start, &end)
            var parsed = end.map { UnsafePointer($0) - start } ?? 0
            // White space may follow the number.
            while parsed > 0, parsed < range.count, base[range.lowerBound + parsed] == 0x20 { parsed += 1 }
            if parsed == range.count, value.isFinite, abs(value) <= Double(Float.greatestFiniteMagnitude) { return value }
        }
        throw CarouselError(.badData, "'\(scanner.text(column))' in column \(names[column]) is not a finite number", at: place,
                            hint: "fill in missing values first; write decimals with a point")
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
