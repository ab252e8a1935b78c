import Carousel
import Foundation
import Testing

/// A YAML file for one test.
private func withFile<R>(_ text: String, _ body: (String) throws -> R) throws -> R {
    let path = NSTemporaryDirectory() + "carousel-configuration-\(UUID().uuidString).yaml"
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

/// The error of loading `text`, with the file's own path replaced by FILE.
private func errorLoading(_ text: String, settings: [String] = []) throws -> CarouselError {
    try withFile(text) { path in
        var error = try #require(throws: CarouselError.self) {
            try RunConfiguration.resolve(file: path, settings: settings.map { try RunConfiguration.Setting($0) })
        }
        error.location = error.location?.replacingOccurrences(of: path, with: "FILE")
        return error
    }
}

@Suite struct ConfigurationTests {
    @Test(arguments: Preset.all.map(\.name))
    func presetsAreValidAndReadBackEqual(name: String) throws {
        let configuration = try RunConfiguration.resolve(preset: name)
        #expect(configuration == (try Preset.named(name)).configuration)
        #expect(configuration.preset == name)
        let text = try configuration.yaml()
        let again = try withFile(text) { try RunConfiguration.load(file: $0) }
        #expect(again == configuration)
    }

    @Test func everyKeyIsWritten() throws {
        let text = try RunConfiguration.resolve().yaml()
        #expect(text.contains("learning_rate: 0.003") && text.contains("momentum: 0.0"))
        for key in ["preset:", "global_norm:", "tensor_norm: null", "rho: null", "patience:", "reset_after:", "average_decay:",
                    "bidirectional: concat", "vocabulary_size:", "text_column: null"] {
            #expect(text.contains(key), "\(key) is missing in\n\(text)")
        }
    }

    @Test func layersOfConfigurationWinInOrder() throws {
        let text = "preset: stacked-lstm\ntraining:\n  epochs: 7\n  patience: null\n  clipping: {global_norm: 2}\n"
        let c = try withFile(text) {
            try RunConfiguration.resolve(file: $0, settings: try ["training.epochs=9", "model.layers.1.lstm.units=32"].map { try .init($0) })
        }
        #expect(c.training.epochs == 9)
        #expect(c.training.patience == nil)
        #expect(c.training.clipping.globalNorm == 2)
        #expect(c.training.batchSize == 64)
        #expect(c.preparation.vocabularySize == 10_000)
        guard case .recurrent(.lstm, let layer) = c.model.layers[1] else { Issue.record("not an LSTM"); return }
        #expect(layer.units == 32)
        #expect(layer.output == .sequences)
    }

    @Test func aFileWithItsOwnModelStartsFromTheDefaults() throws {
        let text = "model:\n  layers:\n    - embedding: {units: 8}\n    - gru: {units: 4, activation: relu}\n"
        let c = try withFile(text) { try RunConfiguration.load(file: $0) }
        #expect(c.preset == nil)
        #expect(c.training == TrainingConfiguration())
        #expect(c.model.layers == [.embedding(.init(units: 8)), .recurrent(.gru, .init(units: 4, activation: .relu))])
    }

    @Test func setReplacesOneValue() throws {
        var c = try RunConfiguration.resolve()
        try c.set("training.learning_rate=2e-3")
        try c.set("training.seed=18446744073709551615")
        try c.set("data.text_column=3")
        try c.set("model.layers=[{embedding: {units: 3}}, {rnn: {units: 2}}]")
        #expect(c.training.learningRate == 0.002)
        #expect(c.training.seed == .max)
        #expect(c.data.textColumn == "3")
        #expect(c.model.layers.count == 2)
        try c.set("data.text_column=")
        #expect(c.data.textColumn == nil)
    }

    @Test func unknownKeyHasItsPlaceAndASuggestion() throws {
        let e = try errorLoading("preset: bilstm\ntraining:\n  lerning_rate: 0.1\n")
        #expect(e.status == .badConfiguration)
        #expect(e.location == "FILE:3:3")
        #expect(e.message == "unknown key 'training.lerning_rate'")
        #expect(e.hint == "did you mean 'training.learning_rate'?")
    }

    @Test func unknownKeyInsideALayer() throws {
        let e = try errorLoading("model:\n  layers:\n  - embedding: {units: 8}\n  - lstm: {units: 8, activatoin: relu}\n")
        #expect(e.location == "FILE:4:22")
        #expect(e.hint == "did you mean 'model.layers.1.lstm.activation'?")
    }

    @Test func misspeltRequiredKey() throws {
        let e = try errorLoading("model:\n  layers:\n  - embedding: {unit: 8}\n")
        #expect(e.location == "FILE:3:17")
        #expect(e.hint == "did you mean 'model.layers.0.embedding.units'?")
    }

    @Test func wrongTypesNameBoth() throws {
        let number = try errorLoading("training:\n  epochs: many\n")
        #expect(number.status == .badConfiguration)
        #expect(number.description.hasPrefix("FILE:2:11: training.epochs: expected a whole number, found the text 'many'"))
        let whole = try errorLoading("training: {epochs: 1.5}")
        #expect(whole.message == "training.epochs: expected a whole number, found the number 1.5")
        let list = try errorLoading("training: {learning_rate: [1]}")
        #expect(list.message == "training.learning_rate: expected a number, found a list of 1")
        let keys = try errorLoading("training: 3")
        #expect(keys.message == "training: expected keys with values, found the number 3")
        let choice = try errorLoading("training: {schedule: cosin}")
        #expect(choice.message == "training.schedule: expected one of constant, linear, cosine, found the text 'cosin'")
        #expect(choice.hint == "did you mean 'cosine'?")
        let layer = try errorLoading("model: {layers: [{lsmt: {units: 3}}]}")
        #expect(layer.message.contains("unknown layer 'lsmt'"))
        #expect(layer.location == "FILE:1:18")
    }

    @Test func settingErrorsNameTheSetting() throws {
        let unknown = try errorLoading("preset: bilstm", settings: ["training.epoch=3"])
        #expect(unknown.location == "--set training.epoch=3")
        #expect(unknown.hint == "did you mean 'training.epochs'?")
        let position = try errorLoading("preset: bilstm", settings: ["model.layers.9.lstm.units=3"])
        #expect(position.message == "model.layers is a list of 5: there is no '9' in it")
        let type = try errorLoading("preset: bilstm", settings: ["training.epochs=x"])
        #expect(type.location == "--set training.epochs=x")
        #expect(type.message == "training.epochs: expected a whole number, found the text 'x'")
        let shape = try #require(throws: CarouselError.self) { try RunConfiguration.Setting("epochs") }
        #expect(shape.status == .usage)
    }

    @Test(arguments: [
        ("training: {epochs: 0}", "training.epochs: must be greater than 0, not 0"),
        ("training: {batch_size: -1}", "training.batch_size: must be greater than 0, not -1"),
        ("training: {learning_rate: 0}", "training.learning_rate: must be a number greater than 0, not 0.0"),
        ("training: {learning_rate: .nan}", "training.learning_rate: must be a number greater than 0, not nan"),
        ("training: {validation_split: 1}", "training.validation_split: must be at least 0 and below 1, not 1.0"),
        ("training: {clipping: {global_norm: 0}}", "training.clipping.global_norm: must be greater than 0, or null for off, not 0.0"),
        ("training: {optimizer: {beta1: 1}}", "training.optimizer.beta1: must be at least 0 and below 1, not 1.0"),
        ("preparation: {vocabulary_size: 2}", "preparation.vocabulary_size: must be at least 3, not 2"),
        ("preparation: {maximum_length: 0}", "preparation.maximum_length: must be at least 1, not 0"),
        ("model: {layers: [{embedding: {units: 0}}, {lstm: {units: 3}}]}", "model.layers.0.embedding.units: must be greater than 0, not 0"),
        ("model: {layers: []}", "model.layers: a model needs at least one layer"),
    ])
    func validationNamesTheKeyAndItsPlace(text: String, message: String) throws {
        let e = try errorLoading(text)
        #expect(e.status == .badConfiguration)
        #expect(e.message == message)
        #expect(e.location?.hasPrefix("FILE:1:") == true)
    }

    @Test func brokenYAML() throws {
        let e = try errorLoading("training:\n  epochs: [1\nmodel: 2\n")
        #expect(e.status == .badConfiguration)
        #expect(e.message.hasPrefix("not valid YAML"))
        let twice = try errorLoading("training: {epochs: 1}\ntraining: {epochs: 2}\n")
        #expect(twice.message.contains("'training'"))
        let tab = try errorLoading("training:\n\tepochs: 1\n")
        #expect(tab.location == "FILE:2:1")
    }

    /// Nine aliases nine levels deep stand for 9⁹ values, which the parser hashes when they are a key.
    @Test func aliasesOfAliases() throws {
        var text = "a: &a [x,x,x,x,x,x,x,x,x]\n"
        for (letter, before) in zip("bcdefghi", "abcdefgh") {
            text += "\(letter): &\(letter) [" + (0..<9).map { _ in "*\(before)" }.joined(separator: ",") + "]\n"
        }
        for end in ["", "? *i\n: x\n", "<<: *i\n"] {
            let error = try errorLoading(text + end)
            #expect(error.status == .badConfiguration && error.message.contains("aliases"), "\(error)")
        }
        let few = "model: {layers: [embedding: {units: 8}, lstm: &l {units: 4, output: sequences}, lstm: *l, lstm: *l, pooling: {of: [max]}]}\n"
        #expect(try withFile(few) { try RunConfiguration.load(file: $0) }.model.layers.count == 5)
    }

    @Test func everySeedReadsBack() throws {
        var configuration = try RunConfiguration.resolve()
        for seed: UInt64 in [0, 1 << 53 + 1, .max] {
            configuration.training.seed = seed
            #expect(try withFile(try configuration.yaml()) { try RunConfiguration.load(file: $0) }.training.seed == seed)
        }
    }

    /// 17 digits, and numbers that are written with an exponent.
    @Test func everyNumberReadsBack() throws {
        var configuration = try RunConfiguration.resolve()
        for number in [0.9223372036854775807, 0.1 + 0.2, 1e-300, .leastNonzeroMagnitude, 123456789.12345679, 0.001] {
            configuration.training.learningRate = number
            configuration.training.optimizer.epsilon = max(number, 1e-29)
            #expect(try withFile(try configuration.yaml()) { try RunConfiguration.load(file: $0) } == configuration)
        }
    }

    /// A value of any length is not repeated whole.
    @Test func longValuesAreCutInMessages() throws {
        let error = try errorLoading("training: {epochs: \(String(repeating: "9", count: 60_000))}\n")
        #expect(error.description.utf8.count < 2000 && error.message.contains("training.epochs: expected a whole number"))
    }

    @Test func missingFileAndUnknownPreset() throws {
        let file = try #require(throws: CarouselError.self) { try RunConfiguration.load(file: "/nonexistent.yaml") }
        #expect(file.status == .missingInput)
        let preset = try #require(throws: CarouselError.self) { try RunConfiguration.resolve(preset: "bi-lstm") }
        #expect(preset.status == .badConfiguration)
        #expect(preset.hint == "did you mean 'bilstm'?")
    }

    @Test func suggestionsAreNearOrAbsent() {
        let words = ["learning_rate", "epochs", "batch_size", "seed"]
        #expect(Suggestion.nearest(to: "learningrate", among: words) == "learning_rate")
        #expect(Suggestion.nearest(to: "epcohs", among: words) == "epochs")
        #expect(Suggestion.nearest(to: "Batch-Size", among: words) == "batch_size")
        #expect(Suggestion.nearest(to: "xyzzy", among: words) == nil)
    }
}
