import Carousel
import Foundation

// Labelled data in files, and what training makes of it first.

extension FuzzReader {
    private static let words = ["text", "label", "series_id", "t", "x", "\t", ",", ";", "\n", "\r\n", "\r", "\"", "\"\"", "\",\"", " ", "\u{FEFF}",
                                "\u{0}", "é", "正面", "味道", "\u{A0}", "\u{3000}", "😀", "e\u{301}"]
    private static let json = ["{", "}", "[", "]", ":", ",", "\"text\"", "\"label\"", "\"x\"", "null", "true", "false", "\"\"", "\\u0000", "\\ud83d", "\\udc00",
                               "\\n", "\\\"", "\\", "-", "1e5", ".", "{}", "[]", "[[]]", "\n", "[1,2]"]
    /// Statuses of data that cannot be understood.
    private static let badData: Set<ExitStatus> = [.badData]

    /// Texts with labels in one of the formats.
    static func data(_ name: String, _ format: DataFormat, _ scratch: String) throws -> FuzzReader {
        let samples: [String]
        var hostile: [String] = []
        switch format {
        case .tsv: samples = ["text\tlabel\ngood film\tpos\nbad \"film\tneg\n", "label\ttext\r\n1\ta b c\r\n0\td e\r\n"]
        case .csv:
            samples = ["id,airline_sentiment,text\n0,neutral,\"first line\nsecond, line\"\n1,negative,\"he said \"\"no\"\"\"\n",
                       "text;label\n\"a;b\";1\nc;0\n", "label,text\r\npos,\"x\"\r\nneg,y"]
            hostile = ["text,label\n\"" + String(repeating: "never closed,\n", count: 4000)]
        case .jsonl:
            samples = ["{\"id\": 0, \"content\": \"quick \\u0026 easy \\ud83d\\ude00\", \"label\": 1}\n{\"content\": \"slow\\n\\\"hard\\\"\", \"label\": [0]}\n",
                       "[\n {\"text\": \"one\", \"label\": \"a\"},\n {\"text\": \"two\", \"label\": true}\n]\n",
                       "{\"text\": \"a\", \"label\": 1.0, \"more\": {\"deep\": [[1, -2e3], null, {}]}}\n"]
            hostile = [String(repeating: "[", count: Mutator.largest), String(repeating: "{\"a\":", count: Mutator.largest / 5),
                       "{\"text\": \"a\", \"label\": 1e999}"]
        default:
            samples = ["__label__pos a fine day\n__label__neg , a grey one\nworst of all __label__neg\n", "__label__1 x\n\n__label__2\n"]
        }
        let tokens = format == .jsonl ? json : words + (format == .fasttext ? ["__label__", "__label__neg"] : [])
        let path = scratch + "/data"
        return FuzzReader(name: name, samples: samples.map { Array($0.utf8) }, hostile: hostile.map { Array($0.utf8) }, tokens: tokens,
                          refusals: badData) { input, generator in
            try write(input, path)
            try use(try DataReader.read(path, options: ReadOptions(format: format, kind: .auto)))
            // The same bytes as another user would read them.
            let options = ReadOptions(format: format, textColumn: ["text", "1", "2", "x", nil].randomElement(using: &generator) ?? nil,
                                      labelColumn: ["label", "2", "0", nil].randomElement(using: &generator) ?? nil,
                                      requiresLabels: Bool.random(using: &generator),
                                      kind: DataKind.allCases.randomElement(using: &generator) ?? .auto,
                                      header: HeaderRule.allCases.randomElement(using: &generator) ?? .auto)
            try refusable { try use(try DataReader.read(path, options: options)) }
        }
    }

    /// Files whose encoding and format have to be found out.
    static func encodings(_ scratch: String) throws -> FuzzReader {
        let text = "text\tlabel\n味道很好 fine\t正面\n质量太差 bad\t负面\n"
        var little: [UInt8] = [0xFF, 0xFE], big: [UInt8] = [0xFE, 0xFF]
        for unit in (text + "😀\t正面\n").utf16 {
            little += [UInt8(unit & 0xFF), UInt8(unit >> 8)]
            big += [UInt8(unit >> 8), UInt8(unit & 0xFF)]
        }
        // 正面 \t 味道 \n 负面 \t 太差 \n with its header, in GB18030.
        let chinese: [UInt8] = Array("label\ttext\n".utf8) + [0xD5, 0xFD, 0xC3, 0xE6, 9, 0xCE, 0xB6, 0xB5, 0xC0, 10, 0xB8, 0xBA, 0xC3, 0xE6, 9, 0xCC, 0xAB, 0xB2, 0xEE, 10]
        let path = scratch + "/data.tsv", other = scratch + "/data"
        return FuzzReader(name: "encodings", samples: [Array(text.utf8), [0xEF, 0xBB, 0xBF] + Array(text.utf8), little, big, chinese],
                          hostile: [[0xFF, 0xFE, 0, 0xD8], [0xFF, 0xFE], Array("PK\u{3}\u{4}text\tlabel".utf8), [0x80, 0xFF, 0x80, 0xFF, 0x80]],
                          tokens: words + ["\u{10FFFF}", "\u{FFFE}", "\u{D7FF}"], refusals: badData) { input, _ in
            try write(input, path)
            try write(input, other)
            try refusable { try use(try DataReader.read(other, options: ReadOptions(requiresLabels: false))) }
            try use(try DataReader.read(path))
        }
    }

    /// Series of numbers in a table.
    static func seriesTable(_ scratch: String) throws -> FuzzReader {
        let samples = ["series_id,t,label,x,y\na,1,up,3,4\nb,0,down,5,6\na,0,up,1,2\na,2,up,-1e1,0.5\n",
                       "label,series_id,x\n1,1,0.000001\n1,1,-123456789012345\n0,2,1e-300 \n"]
        let path = scratch + "/series.csv"
        return FuzzReader(name: "series-table", samples: samples.map { Array($0.utf8) }, tokens: words + ["nan", "1e39", "-0", "+1", "0x1p3", "a,0,up,1,2\n"],
                          refusals: badData) { input, generator in
            try write(input, path)
            let tab = Bool.random(using: &generator) && Bool.random(using: &generator)
            if tab { try refusable { try use(try DataReader.read(path, options: ReadOptions(format: .tsv, requiresLabels: false, kind: .series))) } }
            try use(try DataReader.read(path, options: ReadOptions(kind: .series)))
        }
    }

    /// Series of numbers as JSON arrays of steps.
    static func seriesJSON(_ scratch: String) throws -> FuzzReader {
        let samples = ["{\"x\": [[1, 2], [3, 4.5]], \"label\": \"up\"}\n{\"x\": [[-1, 2e1]], \"label\": \"down\"}\n",
                       "{\"x\": [1, 2, 3], \"label\": 0}\n{\"x\": [], \"label\": 1}\n"]
        let path = scratch + "/series.jsonl"
        return FuzzReader(name: "series-json", samples: samples.map { Array($0.utf8) }, tokens: json, refusals: badData) { input, _ in
            try write(input, path)
            try use(try DataReader.read(path, options: ReadOptions(kind: .series)))
        }
    }

    /// What training does first with a data set, with what must hold of it.
    private static func use(_ data: DataSet) throws {
        try Violation.require(data.labels.isEmpty || data.labels.count == data.count, "\(data.count) rows and \(data.labels.count) labels")
        try Violation.require(!data.location(max(0, data.count - 1)).isEmpty, "a row without a place")
        _ = data.subset(Array((0..<data.count).reversed().prefix(10)))
        if !data.labels.isEmpty {
            try refusable {
                let labels = try LabelSet(training: data)
                let numbers = try labels.encode(data)
                try Violation.require(numbers.allSatisfy { (0..<Int32(labels.count)).contains($0) }, "a label's number is no class")
            }
        }
        switch data {
        case .text(let set):
            try Violation.require(set.lines.count == set.count, "\(set.count) texts and \(set.lines.count) lines")
            guard set.count < 2000 else { return }
            try refusable {
                let preparation = try TextPreparation.fit(PreparationConfiguration(), texts: set.texts)
                let rows = preparation.encode(all: set.texts)
                try Violation.require(rows.joined().allSatisfy { (1..<Int32(preparation.vocabulary.count)).contains($0) }, "a token's number is not in the vocabulary")
            }
        case .series(let set):
            try Violation.require(set.width > 0 && set.channels.count == set.width, "\(set.channels.count) names for \(set.width) channels")
            try Violation.require(set.series.allSatisfy { $0.count % set.width == 0 && $0.allSatisfy(\.isFinite) }, "a series is not whole or not finite")
            let prepared = try SeriesPreparation.fit(set).apply(set)
            try Violation.require(prepared.joined().allSatisfy(\.isFinite), "a standardised value is not finite")
        }
    }
}

extension FuzzReader {
    static func write(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

    /// For what may be refused as bad data without the input's being refused: only another error is a finding.
    static func refusable(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as CarouselError where error.status == .badData {
            try Violation.require(!error.message.isEmpty && error.description.utf8.count <= Limits.message, "the message is empty or too long")
        } catch let error as CarouselError {
            throw Violation("refused with status \(error.status.rawValue): \(error)")
        }
    }
}
