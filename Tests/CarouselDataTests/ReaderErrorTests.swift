import CarouselCore
import Foundation
import Testing
@testable import CarouselData

/// Every mistake in a file ends in an error that names the place, the reason and a way out.
@Suite struct ReaderErrorTests {
    /// Reads `content` and checks the error.
    private func expectError(_ content: String, _ name: String, _ options: ReadOptions = ReadOptions(), at location: String,
                             says part: String, sourceLocation: SourceLocation = #_sourceLocation) {
        expectError(at: location, says: part, sourceLocation: sourceLocation) { _ = try read(content, name, options) }
    }

    private func expectError(_ status: CarouselCore.ExitStatus = .badData, at location: String, says part: String,
                             sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void) {
        let error = #expect(throws: CarouselError.self, sourceLocation: sourceLocation) { try body() }
        #expect(error?.status == status, sourceLocation: sourceLocation)
        #expect(error?.location == location, sourceLocation: sourceLocation)
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")", sourceLocation: sourceLocation)
        #expect(error?.hint?.isEmpty == false, sourceLocation: sourceLocation)
    }

    @Test func missing() {
        expectError(.missingInput, at: "/no/such/file.tsv", says: "no such file") { _ = try DataReader.read("/no/such/file.tsv") }
        expectError(.missingInput, at: "/no/such/file", says: "no such file") { _ = try PredictionInput(path: "/no/such/file") }
    }

    @Test func empty() {
        expectError("", "e.tsv", at: "e.tsv", says: "empty")
        expectError(" \n\n", "e.csv", at: "e.csv", says: "empty")
        expectError("label\ttext\n", "e.tsv", at: "e.tsv", says: "no rows")
        expectError("series_id,label,x\n", "e.csv", at: "e.csv", says: "no rows")
    }

    @Test func columns() {
        expectError("a,b,label\n1,2,3\n", "c.csv", ReadOptions(textColumn: "txt"), at: "c.csv:1", says: "no column 'txt'; the columns are: a, b, label")
        expectError("a,b,label\n1,2,3\n", "c.csv", ReadOptions(textColumn: "4"), at: "c.csv:1", says: "no column number 4")
        expectError("a,b,label\n1,2,3\n", "c.csv", at: "c.csv:1", says: "holds the text; the columns are: a, b, label")
        expectError("text,b,c\n1,2,3\n", "c.csv", at: "c.csv:1", says: "holds the label")
        expectError("1,2,3\n", "c.csv", at: "c.csv:1", says: "does not look like a header")
        expectError("text,label\n1,2\n", "c.csv", ReadOptions(textColumn: "text", labelColumn: "text"), at: "c.csv:1", says: "both be column 1")
        expectError("x\ty\n", "c.tsv", ReadOptions(textColumn: "x", header: .no), at: "c.tsv:1", says: "no header")
        expectError("{\"a\":1}\n", "c.jsonl", at: "c.jsonl:1", says: "holds the text; the keys are: a")
        expectError("series_id,t,x\n1,0,5\n", "c.csv", at: "c.csv:1", says: "no column 'label'")
        expectError("series_id,t,label\n1,0,5\n", "c.csv", at: "c.csv:1", says: "no channel column")
    }

    @Test func fieldCounts() {
        expectError("label\ttext\npos\tgood\nneg\tbad\tvery\n", "f.tsv", at: "f.tsv:3", says: "3 fields where the first row has 2")
        expectError("label,text\npos,\"a\nb\"\nneg\n", "f.csv", at: "f.csv:4", says: "1 field where the first row has 2")
        expectError("series_id,t,label,x\n1,0,a,1\n1,1,a,1,2\n", "f.csv", at: "f.csv:3", says: "5 fields")
    }

    @Test func quotes() {
        expectError("label,text\npos,ok\nneg,\"never closed\nmore\n", "q.csv", at: "q.csv:3", says: "never closed")
        expectError("label,text\npos,\"a\" b\n", "q.csv", at: "q.csv:2", says: "after a closing quote")
    }

    @Test func labels() {
        expectError("label\ttext\n\tgood\n", "l.tsv", at: "l.tsv:2", says: "label is empty")
        expectError("__label__a x\n__label__a __label__b y\n", "l.txt", at: "l.txt:2", says: "several labels: a, b")
        expectError("__label__a x\ny\n", "l.txt", at: "l.txt:2", says: "no label")
        expectError("{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":[1,2]}\n", "l.jsonl", at: "l.jsonl:2", says: "several labels")
        expectError("{\"text\":\"a\",\"label\":null}\n", "l.jsonl", at: "l.jsonl:1", says: "label is empty")
        expectError("one\ntwo\n", "l.txt", at: "l.txt", says: "without labels")
        expectError("series_id,t,label,x\n1,0,a,1\n1,1,b,2\n", "l.csv", at: "l.csv:3", says: "labels 'a' and 'b'")
    }

    @Test func json() {
        expectError("{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":1\n{", "j.jsonl", at: "j.jsonl:3", says: "not closed")
        expectError("{\"text\":\"a\",\"label\":1}\n{\"text\":\"b}\n", "j.jsonl", at: "j.jsonl:2", says: "string is not closed")
        expectError("{\"text\":\"a\",\"label\":1}\nnope\n", "j.jsonl", at: "j.jsonl:2", says: "not JSON")
        expectError("{\"text\":\"a\",\"label\":1}\n{\"label\":1}\n", "j.jsonl", at: "j.jsonl:2", says: "no key 'text'; the keys are: label")
        expectError("{\"text\":5,\"label\":1}\n", "j.jsonl", at: "j.jsonl:1", says: "not a string")
        expectError("[{\"text\":\"a\",\"label\":1}", "j.json", at: "j.json:1", says: "comma is missing")
        expectError(String(repeating: "[", count: 100_000), "j.json", at: "j.json:1", says: "nested too deeply")
        expectError("{\"text\":\"\\u12", "j.jsonl", at: "j.jsonl:1", says: "broken escape")
        expectError("{\"text\":\"\\ud83d\\", "j.jsonl", at: "j.jsonl:1", says: "broken escape")
    }

    @Test func numbers() {
        expectError("series_id,t,label,x\n1,0,a,1\n1,1,a,\n", "n.csv", at: "n.csv:3", says: "'' in column x is not a finite number")
        expectError("series_id,t,label,x\n1,0,a,1 5\n", "n.csv", at: "n.csv:2", says: "'1 5' in column x")
        expectError("series_id,t,label,x\n1,0,a,nan\n", "n.csv", at: "n.csv:2", says: "'nan'")
        expectError("series_id,t,label,x\n1,0,a,1e60\n", "n.csv", at: "n.csv:2", says: "'1e60'")
        expectError("series_id,t,label,x\n1,0,a,1\n1,0,a,2\n", "n.csv", at: "n.csv:2", says: "occurs twice")
        expectError("{\"x\":[[1,2],[3]],\"label\":1}\n", "n.jsonl", at: "n.jsonl:1", says: "step 2 has 1 channels")
        expectError("{\"x\":[[1,\"b\"]],\"label\":1}\n", "n.jsonl", at: "n.jsonl:1", says: "step 1 holds something that is not")
        expectError("{\"x\":[[1]],\"label\":1}\n{\"x\":[[1,2]],\"label\":1}\n", "n.jsonl", at: "n.jsonl:2", says: "2 channels where the first has 1")
    }

    @Test func brokenBytes() {
        func bytes(_ raw: [UInt8], _ location: String, _ part: String, line: SourceLocation = #_sourceLocation) {
            expectError(at: location, says: part, sourceLocation: line) { _ = try InputFile(raw: raw, path: "b.tsv") }
        }
        bytes(Array("label\ttext\npos\tcaf".utf8) + [0xE9, 0x20, 0x0A], "b.tsv:2", "0xE9 is not UTF-8")
        // Valid as GB18030 by chance: a quote of Windows-1252 before a letter.
        bytes(Array("label\ttext\npos\tdon".utf8) + [0x92] + Array("t\n".utf8), "b.tsv:2", "0x92 is not UTF-8")
        // One broken byte in a Chinese file in UTF-8 must not turn it into GB18030.
        let good = String(repeating: "正面\t味道很好\n", count: 10)
        bytes(Array(good.utf8) + [0xE5, 0xA5] + Array("\n".utf8), "b.tsv:11", "0xE5 is not UTF-8")
        // Overlong forms, surrogates, values beyond Unicode, sequences that end too early.
        for raw in [[0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE5, 0xA5]] as [[UInt8]] {
            let check = (Array("0123456789".utf8) + raw).withUnsafeBufferPointer(UTF8Check.init)
            #expect(check.firstBroken == 10 && check.brokenBytes == raw.count)
        }
        bytes([0xFF, 0xFE, 0x00, 0xD8], "b.tsv:1", "UTF-16")
    }

    @Test func folders() throws {
        let folder = NSTemporaryDirectory() + "carousel-data-tests-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        expectError(at: folder, says: "no class folders") { _ = try DataReader.read(folder) }
        try FileManager.default.createDirectory(atPath: folder + "/pos", withIntermediateDirectories: true)
        expectError(at: folder, says: "hold no text files") { _ = try DataReader.read(folder) }
        expectError(at: sample("array.json"), says: "needs a folder") {
            _ = try DataReader.read(sample("array.json"), options: ReadOptions(format: .folders))
        }
    }

    @Test func classes() throws {
        let one = try read("label\ttext\npos\ta\npos\tb\n", "one.tsv")
        expectError(at: "one.tsv", says: "all 2 rows have the label 'pos'") { _ = try LabelSet(training: one) }
        let two = try read("label\ttext\npos\ta\nneg\tb\n", "two.tsv")
        let labels = try LabelSet(training: two)
        let other = try read("label\ttext\npos\ta\nmeh\tb\n", "valid.tsv")
        expectError(at: "valid.tsv:3", says: "label 'meh' does not occur in the training data (its classes: neg, pos)") {
            _ = try labels.encode(other)
        }
        expectError(at: "t", says: "no rows") { _ = try LabelSet(training: .text(TextDataSet(name: "t", texts: []))) }
        let identifiers = TextDataSet(name: "ids.tsv", texts: [String](repeating: "a", count: 10_001), labels: (0...10_000).map(String.init))
        expectError(at: "ids.tsv", says: "10001 different labels in 10001 rows") { _ = try LabelSet(training: .text(identifiers)) }
        expectError(at: "t", says: "no labels") { _ = try LabelSet(training: .text(TextDataSet(name: "t", texts: ["a"]))) }
    }

    @Test func damagedFilesNeverCrash() throws {
        var generator = SeededGenerator(seed: 11)
        let names = ["bom_crlf.csv", "gb18030.tsv", "utf16.tsv", "many_columns.csv", "rows.jsonl", "array.json", "series.jsonl",
                     "marked.txt", "series.csv"]
        let marks: [UInt8] = Array("\",\t\n\r{}[]\\:.-eu0<&;_ ".utf8) + [0, 0x80, 0xE5, 0xFF]
        for name in names {
            let original = try Array(Data(contentsOf: URL(fileURLWithPath: sample(name))))
            for _ in 0..<150 {
                var bytes = original
                for _ in 0..<Int.random(in: 1...6, using: &generator) where !bytes.isEmpty {
                    let place = Int.random(in: 0..<bytes.count, using: &generator)
                    switch Int.random(in: 0..<3, using: &generator) {
                    case 0: bytes[place] = marks[Int.random(in: 0..<marks.count, using: &generator)]
                    case 1: bytes.remove(at: place)
                    default: bytes.removeSubrange(place..<min(bytes.count, place + 9))
                    }
                }
                for format in DataFormat.allCases where format != .folders {
                    let requiresLabels = Bool.random(using: &generator)
                    do {
                        let input = try InputFile(raw: bytes, path: name)
                        let data = try DataReader.read(input, format: format, options: ReadOptions(requiresLabels: requiresLabels))
                        #expect(data.labels.isEmpty || data.labels.count == data.count)
                    } catch let error as CarouselError {
                        #expect(error.status == .badData && error.location?.hasPrefix(name) == true)
                    }
                }
            }
        }
    }

    /// A file that memory cannot hold is refused by its size, and one without a size while it is read.
    @Test func filesLargerThanMemory() throws {
        for (path, expected) in [("/dev/null", 1 << 40), ("/dev/zero", 0)] {
            let descriptor = open(path, O_RDONLY)
            defer { close(descriptor) }
            let error = #expect(throws: CarouselError.self) {
                try InputFile.readAll(descriptor, path: "large.tsv", expected: expected, limit: 1 << 20)
            }
            #expect(error?.status == .outOfMemory)
            #expect(error?.location == "large.tsv")
        }
    }
}
