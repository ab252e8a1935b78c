import Carousel
import Foundation

// The files of a run folder. A model is loaded from a folder with one damaged file among good ones, and used.

extension FuzzReader {
    private static let reviews = ["good film", "bad film", "a fine day", "a poor story"]
    private static let small = "model.layers=[{embedding: {units: 3}}, {lstm: {units: 2}}]"

    /// A folder as `train` leaves it, made by training for one step.
    private static func trained(_ folder: String, _ data: DataSet, _ preset: String, _ layers: String) throws {
        let configuration = try RunConfiguration.resolve(preset: preset, settings: [
            .init(layers), .init("training.epochs=1"), .init("training.batch_size=4"), .init("training.validation_split=0")])
        let trainer = try Trainer(configuration: configuration, data: TrainingData(train: data), backend: try Device.open("cpu"),
                                  folder: try RunFolder.create(folder))
        _ = try trainer.run()
    }

    private static func contents(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    /// The configuration of a model, by loading the model and using it.
    static func runConfiguration(_ scratch: String) throws -> FuzzReader {
        let folder = scratch + "/run", backend = try Device.open("cpu")
        try trained(folder, .text(TextDataSet(name: "texts", texts: reviews, labels: ["pos", "neg", "pos", "neg"])), "bilstm", small)
        let path = try RunFolder.open(folder).path(of: .configuration)
        let words = ["units: ", "lstm", "gru", "pooling: {of: [max]}", "dense: {units: 2}", "true", "null", "[", "]", "{", "}", "\n", "- ", "head: sigmoid"]
        return FuzzReader(name: "run-configuration", samples: [try contents(path)], hostile: [[0], Array(laughs.utf8)], tokens: words,
                          refusals: [.badData, .badConfiguration, .outOfMemory, .missingInput]) { input, _ in
            try write(input, path)
            let answers = try Classifier.load(folder, on: backend).predict(["a good day", ""])
            try Violation.require(answers.count == 2 && answers.allSatisfy { $0.probabilities.count == 2 }, "not two answers for two texts")
        }
    }

    /// The description of a checkpoint. Its second line is the SHA-256 of the first, which mutations would never hit: it is put
    /// right for most inputs, so that they get past it.
    static func checkpoint(_ scratch: String) throws -> FuzzReader {
        let folder = scratch + "/run"
        let configuration = try RunConfiguration.resolve(preset: "bilstm", settings: [
            .init(small), .init("training.epochs=3"), .init("training.batch_size=2"), .init("training.validation_split=0")])
        let data = DataSet.text(TextDataSet(name: "texts", texts: reviews, labels: ["pos", "neg", "pos", "neg"]))
        let trainer = try Trainer(configuration: configuration, data: TrainingData(train: data), backend: try Device.open("cpu"),
                                  folder: try RunFolder.create(folder))
        // Asked before each step: two epochs of two steps and one more.
        var asked = 0
        _ = try trainer.run(shouldStop: {
            asked += 1
            return asked > 5
        })
        let run = try RunFolder.open(folder), path = folder + "/checkpoints/step-00000005.json"
        let line = Array(try contents(path).prefix { $0 != UInt8(ascii: "\n") })
        let tokens = ["{", "}", "[", "]", ":", ",", "null", "true", "-1", "1e999", "9223372036854775807", "\"inf\"", "\"nan\"", "\"step\":", "\"epoch\":",
                      "\"records\":[]", "\"tensors\":\"../x.safetensors\"", "\"bytes\":1000000000000", "\"format\":\"carousel-checkpoint/2\""]
        var reader = FuzzReader(name: "checkpoint", samples: [line],
                                hostile: ["", "{}", "[]", String(repeating: "[", count: Mutator.largest), String(repeating: "{\"a\":", count: 10_000)].map { Array($0.utf8) },
                                tokens: tokens, refusals: [.badData]) { input, _ in
            try write(input, path)
            let found = try run.newestCheckpoint()
            try Violation.require(found?.step == 5 && found?.epoch == 2, "another step or epoch than that of the file's name")
        }
        reader.assemble = { bytes in
            var hash = SHA256()
            bytes.withUnsafeBytes { hash.update($0) }
            return bytes + [UInt8(ascii: "\n")] + Array(hash.hexadecimal().utf8) + [UInt8(ascii: "\n")]
        }
        reader.disturb = { file, generator in
            guard generator.next() % 8 == 0, !file.isEmpty else { return }
            file[Int(generator.next() % UInt64(file.count))] ^= 1 << UInt8(generator.next() % 8)
        }
        return reader
    }

    /// The preparation of a model of texts or of numbers.
    static func preparation(_ name: String, _ data: DataSet, _ preset: String, _ layers: String, _ scratch: String) throws -> FuzzReader {
        let folder = scratch + "/run"
        try trained(folder, data, preset, layers)
        let run = try RunFolder.open(folder), path = run.path(of: .preparation)
        let words = ["{", "}", "[", "]", ":", ",", "\"text\"", "\"series\"", "\"mean\"", "\"deviation\"", "null", "true", "0", "-1", "1e-45", "1e99",
                     "\"words\"", "\"characters\"", "\"icu\"", "\"auto\"", "-"]
        return FuzzReader(name: name, samples: [try contents(path)], hostile: [[0], Array(String(repeating: "[", count: Mutator.largest).utf8)],
                          tokens: words, refusals: [.badData, .badConfiguration, .missingInput]) { input, _ in
            try write(input, path)
            let encoded = try InputPreparation.load(from: run).encode(data, labels: nil)
            try Violation.require(encoded.count == data.count, "\(data.count) rows became \(encoded.count)")
        }
    }

    static func textPreparation(_ scratch: String) throws -> FuzzReader {
        let data = DataSet.text(TextDataSet(name: "texts", texts: reviews, labels: ["pos", "neg", "pos", "neg"]))
        return try preparation("preparation", data, "bilstm", small, scratch)
    }

    static func seriesPreparation(_ scratch: String) throws -> FuzzReader {
        let data = DataSet.series(SeriesDataSet(name: "series", series: [[1, 2, 3, 4], [5, 6], [1, 1], [0, 2, 4, 6]], width: 2, channels: ["x", "y"],
                                                labels: ["up", "down", "up", "down"]))
        return try preparation("series-preparation", data, "relu-lstm", "model.layers=[{lstm: {units: 2}}]", scratch)
    }

    /// Tokens, one per line.
    static func vocabulary() -> FuzzReader {
        let samples = ["<padding>\n<unknown>\nfilm\n\\s\n\\n\na\\\\b\n正面\n", "<padding>\n<unknown>\n"]
        return FuzzReader(name: "vocabulary", samples: samples.map { Array($0.utf8) }, hostile: ["", "\u{0}", "<padding>\n", "<padding>\n<unknown>\n\\u{110000}\n"].map { Array($0.utf8) },
                          tokens: escapes + ["<padding>", "<unknown>"], refusals: [.badData]) { input, _ in
            let read = try Vocabulary(text: String(decoding: input, as: UTF8.self))
            try Violation.require(try Vocabulary(text: read.text) == read, "what is written does not read back as the same")
            try Violation.require(read.tokens.indices.dropFirst(2).allSatisfy { read[read.tokens[$0]] == Int32($0) }, "a token has another number than its line")
        }
    }

    /// Classes, one per line.
    static func labels() -> FuzzReader {
        FuzzReader(name: "labels", samples: ["neg\npos\n", "0\n1\n2\n", "a b\n\\t\n\\u{2028}\n正面\n"].map { Array($0.utf8) },
                   hostile: ["", "one\n", "a\na\n", "\\"].map { Array($0.utf8) }, tokens: escapes + ["pos", "neg"], refusals: [.badData]) { input, _ in
            let read = try LabelSet(text: String(decoding: input, as: UTF8.self))
            let again = try LabelSet(text: read.text)
            try Violation.require(zip(again.names, read.names).allSatisfy { $0.utf8.elementsEqual($1.utf8) } && again.count == read.count,
                                  "what is written does not read back as the same")
        }
    }

    private static let escapes = ["\\", "\\\\", "\\n", "\\s", "\\t", "\\r", "\\u{", "}", "\\u{0}", "\\u{D800}", "\\u{10FFFF}", "\\u{FFFFFFFFF}", "\n", "\r\n", " ", "\u{301}", "e\u{301}", "é", "\u{2028}"]
}
