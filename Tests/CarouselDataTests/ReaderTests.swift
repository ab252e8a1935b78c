import CarouselCore
import Foundation
import Testing
@testable import CarouselData

/// The path of a sample file.
func sample(_ name: String) -> String { (Bundle.module.resourcePath ?? ".") + "/Samples/" + name }

func texts(_ data: DataSet) throws -> TextDataSet {
    guard case .text(let texts) = data else { throw CarouselError(.internalError, "not texts") }
    return texts
}

func series(_ data: DataSet) throws -> SeriesDataSet {
    guard case .series(let series) = data else { throw CarouselError(.internalError, "not series") }
    return series
}

/// Reads text as if it were a file of that name.
func read(_ content: String, _ name: String, _ options: ReadOptions = ReadOptions()) throws -> DataSet {
    try DataReader.read(InputFile(raw: Array(content.utf8), path: name), format: options.format, options: options)
}

@Suite struct ReaderTests {
    @Test func tabSeparatedHasNoQuoting() throws {
        let data = try texts(read("label\ttext\npos\t\"quoted\" and 5\" wide\r\n\nneg\tit's  bad \n", "r.tsv"))
        #expect(data.texts == ["\"quoted\" and 5\" wide", "it's  bad "])
        #expect(data.labels == ["pos", "neg"])
        #expect(data.lines == [2, 4])
        #expect(data.origin == DataOrigin(path: "r.tsv", format: .tsv, textColumn: "text", labelColumn: "label"))
        #expect(data.origin.description == "r.tsv: tsv, utf-8, text column text, label column label")
    }

    @Test func csvWithMarkQuotesAndLineBreaks() throws {
        let data = try texts(DataReader.read(sample("bom_crlf.csv")))
        #expect(data.texts == ["房间很大，\r\n\"很\"安静", "太吵了"])
        #expect(data.labels == ["1", "0"])
        #expect(data.lines == [2, 4])
    }

    @Test func csvWithMoreColumns() throws {
        let data = try texts(DataReader.read(sample("many_columns.csv")))
        #expect(data.texts == ["first line\nsecond line, with a comma", "never again"])
        #expect(data.labels == ["neutral", "negative"])
        let numbered = try texts(DataReader.read(sample("many_columns.csv"), options: ReadOptions(textColumn: "3", labelColumn: "2")))
        #expect(numbered.texts == ["web", "web"])
        #expect(numbered.origin.textColumn == "source")
    }

    @Test func csvWithSemicolonsAndWithoutEndOfLine() throws {
        let data = try texts(read("text;label\n\"a; b\";1\nc;2", "r.csv"))
        #expect(data.texts == ["a; b", "c"])
        #expect(data.labels == ["1", "2"])
    }

    @Test func noHeader() throws {
        let data = try texts(read("pos\tgood\nneg\tbad\n", "r.tsv", ReadOptions(textColumn: "2", labelColumn: "1")))
        #expect(data.texts == ["good", "bad"])
        #expect(data.lines == [1, 2])
        let forced = try texts(read("a\tb\nneg\tbad\n", "r.tsv", ReadOptions(textColumn: "2", labelColumn: "1", header: .yes)))
        #expect(forced.texts == ["bad"])
    }

    @Test func withoutLabels() throws {
        let options = ReadOptions(labelColumn: "label", requiresLabels: false)
        #expect(try texts(read("id\ttext\n1\tgood\n2\tbad\n", "r.tsv", options)).labels.isEmpty)
        #expect(try texts(read("text\ngood\nbad\n", "r.csv", options)).texts == ["good", "bad"])
        let lines = try texts(read("one\n\ntwo\n", "r.txt", options))
        #expect(lines.texts == ["one", "", "two"] && lines.lines == [1, 2, 3])
        // The first row is data: the column of the labels, which it lacks, does not make it a header.
        let stars = ReadOptions(labelColumn: "stars", requiresLabels: false)
        #expect(try texts(read("good\nbad\n", "r.csv", stars)).texts == ["good", "bad"])
        #expect(try texts(read("good\nbad\n", "r.csv", ReadOptions(textColumn: "1", labelColumn: "1", requiresLabels: false))).count == 2)
        #expect(try texts(read("text\tlabel\ngood\t1\n", "r.tsv", options)).labels == ["1"])
    }

    @Test func oldLineEnds() throws {
        let data = try texts(read("label\ttext\rpos\tgood\rneg\tbad\r", "old.tsv"))
        #expect(data.texts == ["good", "bad"] && data.labels == ["pos", "neg"])
    }

    @Test func encodings() throws {
        let chinese = try texts(DataReader.read(sample("gb18030.tsv")))
        #expect(chinese.texts == ["味道很好，下次还来", "太慢了"])
        #expect(chinese.origin.encoding == .gb18030)
        let wide = try texts(DataReader.read(sample("utf16.tsv")))
        #expect(wide.texts == ["good \"quoted", "bad"])
        #expect(wide.origin.encoding == .utf16)
    }

    @Test func jsonLines() throws {
        let data = try texts(DataReader.read(sample("rows.jsonl")))
        #expect(data.texts == ["quick & easy 😀", "slow\n\"hard\"", "fine"])
        #expect(data.labels == ["1", "0", "1"])
        #expect(data.lines == [1, 2, 4])
        #expect(data.origin.textColumn == "content")
        let array = try texts(DataReader.read(sample("array.json")))
        #expect(array.texts == ["one", "two"])
        #expect(array.lines == [2, 3])
        #expect(try texts(read("{\"text\":\"a\\ud83dz\",\"label\":true}", "r.jsonl")).texts == ["a\u{FFFD}z"])
    }

    @Test func fastText() throws {
        let data = try texts(DataReader.read(sample("marked.txt")))
        #expect(data.texts == ["a fine day", ", a grey one", "worst of all"])
        #expect(data.labels == ["pos", "neg", "neg"])
        #expect(try DataReader.format(of: sample("marked.txt")) == .fasttext)
        let own = try texts(read("#a one\n#b two\n", "r.txt", ReadOptions(labelPrefix: "#")))
        #expect(own.labels == ["a", "b"])
    }

    @Test func folders() throws {
        let data = try texts(DataReader.read(sample("reviews")))
        #expect(data.labels == ["neg", "pos", "pos"])
        #expect(data.texts == ["awful<br />train\n", "lovely train\n", "more\n"])
        #expect(data.files[2].hasSuffix("train/pos/2_8.txt"))
        #expect(DataSet.text(data).location(2) == data.files[2])
        let part = try #require(DataReader.part(["valid", "test"], of: sample("reviews")))
        #expect(try texts(DataReader.read(part)).texts.last == "lovely test\n")
        #expect(DataReader.part(["valid"], of: sample("reviews")) == nil)
    }

    @Test func seriesTable() throws {
        let data = try series(DataReader.read(sample("series.csv")))
        #expect(data.series == [[1, 2, 3, 4, -10, 0.5], [5, 6]])
        #expect(data.labels == ["up", "down"])
        #expect(data.channels == ["x", "y"] && data.width == 2)
        #expect(data.lines == [2, 3])
    }

    @Test func seriesJSON() throws {
        let data = try series(DataReader.read(sample("series.jsonl")))
        #expect(data.series == [[1, 2, 3, 4.5], [-1, 20]])
        #expect(data.labels == ["up", "down"])
        #expect(try series(read("{\"x\": [1, 2, 3], \"label\": 4}", "r.jsonl")).width == 1)
    }

    @Test func embeddedSample() throws {
        let train = try EmbeddedData.train(), test = try EmbeddedData.test()
        #expect(train.count == 10192 && test.count == 1443)
        #expect(train.name == "embedded")
        #expect(train.labels.count { $0 == "positive" } == 5105)
        #expect(EmbeddedData.attribution.contains("CC BY 4.0"))
        #expect(DataReport(training: .text(train), validation: .text(test)).shared == 0)
    }

    @Test func predictionInput() throws {
        let input = try PredictionInput(path: sample("marked.txt"))
        let first = try #require(try input.next())
        #expect(first.text == "a fine day" && first.label == "pos" && first.location.hasSuffix("marked.txt:1"))
        _ = try input.next()
        _ = try input.next()
        #expect(try input.next() == nil)
    }

    @Test func linesArriveOneByOne() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let stream = LineStream(descriptor: ends[0], name: "standard input")
        func send(_ bytes: [UInt8]) { _ = bytes.withUnsafeBytes { write(ends[1], $0.baseAddress, $0.count) } }
        send(Array("first\r\nsecond\n".utf8))
        #expect(try stream.next() == "first")
        #expect(try stream.next() == "second")
        send([0x61, 0xFF, 0x0A] + Array("last".utf8))
        close(ends[1])
        let error = #expect(throws: CarouselError.self) { try stream.next() }
        #expect(error?.location == "standard input:3")
        #expect(try stream.next() == "last")
        #expect(try stream.next() == nil)
        close(ends[0])
    }

    @Test func optionsKeepTheirDefaults() throws {
        let options = try JSONDecoder().decode(ReadOptions.self, from: Data("{\"format\": \"csv\", \"text_column\": \"3\"}".utf8))
        #expect(options == ReadOptions(format: .csv, textColumn: "3"))
        #expect(try JSONDecoder().decode(ReadOptions.self, from: JSONEncoder().encode(options)) == options)
    }

    @Test func subsetKeepsRowsTogether() throws {
        let data = try DataReader.read(sample("series.csv")).subset([1])
        #expect(data.labels == ["down"] && data.count == 1)
        #expect(data.location(0).hasSuffix("series.csv:3"))
    }
}
