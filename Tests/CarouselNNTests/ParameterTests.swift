import CarouselCore
import CarouselNN
import CarouselReference
import Testing

@Suite struct ParameterTests {
    static let layers: [LayerConfiguration] = [
        .embedding(.init(units: 3)),
        .recurrent(.lstm, RecurrentConfiguration(units: 4, output: .sequences, bidirectional: .concat)),
        .recurrent(.gru, RecurrentConfiguration(units: 2)),
    ]

    private func model(seed: UInt64 = 1, _ family: InitializerFamily = .keras) throws -> SequenceClassifier {
        try SequenceClassifier(ModelConfiguration(layers: Self.layers, initializer: family), input: .tokens(vocabulary: 10), classes: 2,
                               seed: seed, on: ReferenceBackend())
    }

    @Test func filesUsePyTorchNamesAndShapes() throws {
        let exported = try model().store.export()
        let shapes = Dictionary(uniqueKeysWithValues: exported.map { ($0.name, $0.shape) })
        #expect(shapes["embedding.weight"] == [10, 3])
        #expect(shapes["rnn.0.weight_ih_l0"] == [16, 3])
        #expect(shapes["rnn.0.weight_hh_l0_reverse"] == [16, 4])
        #expect(shapes["rnn.0.bias_hh_l0_reverse"] == [16], "saved as zeros beside the one trained bias")
        #expect(shapes["rnn.1.weight_ih_l0"] == [6, 8])
        #expect(shapes["rnn.1.bias_hh_l0"] == [6])
        #expect(shapes["head.weight"] == [1, 2])
        #expect(exported.count == 1 + 8 + 4 + 2)
    }

    @Test func exportedWeightsLoadAgainAndBiasesAddUp() throws {
        let first = try model(seed: 1), second = try model(seed: 2)
        var tensors = try first.store.export()
        let place = try #require(tensors.firstIndex { $0.name == "rnn.0.bias_hh_l0" })
        tensors[place].values = .float32([Float](repeating: 0.25, count: 16))
        try second.store.load(tensors, from: "memory")
        let loaded = try second.store.export()
        for (a, b) in zip(tensors, loaded) where a.name == "rnn.0.bias_ih_l0" {
            #expect(zip(a.doubles, b.doubles).allSatisfy { $0 + 0.25 == $1 })
        }
        for (a, b) in zip(tensors, loaded) where !a.name.hasPrefix("rnn.0.bias") { #expect(a == b) }
    }

    @Test func foreignFilesAreNamed() throws {
        let model = try model()
        var missing = try model.store.export()
        missing.removeAll { $0.name == "rnn.1.weight_hh_l0" }
        #expect(throws: CarouselError.self) { try model.store.load(missing, from: "x.safetensors") }
        var wrong = try model.store.export()
        wrong[0].shape = [3, 10]
        let error = #expect(throws: CarouselError.self) { try model.store.load(wrong, from: "x.safetensors") }
        #expect(error?.status == .badData)
        #expect(error?.description.contains("embedding.weight") == true)
        #expect(error?.description.contains("[3, 10]") == true)
        var extra = try model.store.export()
        extra.append(HostTensor(name: "more", shape: [1], values: .float32([0])))
        #expect(throws: CarouselError.self) { try model.store.load(extra, from: "x.safetensors") }
    }

    @Test func kerasInitialisers() throws {
        var generator = SeededGenerator(seed: 1)
        let q = Initializer.orthogonal(rows: 12, columns: 4).values(count: 48, generator: &generator)
        for a in 0..<4 {
            for b in 0..<4 {
                let dot = (0..<12).reduce(0) { $0 + q[$1 * 4 + a] * q[$1 * 4 + b] }
                #expect(abs(dot - (a == b ? 1 : 0)) < 1e-12)
            }
        }
        let bias = Initializer.forgetBias(hidden: 2).values(count: 8, generator: &generator)
        #expect(bias == [0, 0, 1, 1, 0, 0, 0, 0])
        let glorot = Initializer.glorotUniform(fanIn: 30, fanOut: 70).values(count: 2100, generator: &generator)
        let limit = (6.0 / 100).squareRoot()
        #expect(glorot.allSatisfy { abs($0) <= limit })
        let variance = glorot.reduce(0) { $0 + $1 * $1 } / 2100
        #expect(abs(variance - limit * limit / 3) < 0.1 * limit * limit / 3)
        let normal = Initializer.normal.values(count: 4000, generator: &generator)
        #expect(abs(normal.reduce(0, +) / 4000) < 0.06)
        #expect(abs(normal.reduce(0) { $0 + $1 * $1 } / 4000 - 1) < 0.1)
    }

    @Test func sameSeedSameWeights() throws {
        #expect(try model(seed: 4).store.export() == model(seed: 4).store.export())
        #expect(try model(seed: 4).store.export() != model(seed: 5).store.export())
    }
}

@Suite struct SummaryTests {
    /// Layers behind the pooling keep one row per sequence, those before it one per step.
    @Test func activationsCountRowsOrSequences() throws {
        let layers: [LayerConfiguration] = [
            .embedding(.init(units: 3)), .recurrent(.rnn, RecurrentConfiguration(units: 4, output: .sequences)),
            .dense(.init(units: 5, activation: .tanh)), .dropout(.init(rate: 0.5)), .pooling(.init(of: [.max])), .dropout(.init(rate: 0.5)),
        ]
        let model = try SequenceClassifier(ModelConfiguration(layers: layers), input: .tokens(vocabulary: 10), classes: 2, seed: 1,
                                           on: ReferenceBackend())
        let summary = try model.summary(batch: 2, steps: 7, moments: 2)
        let elements = summary.layers.map { $0.activationBytes / 8 }
        #expect(elements[2] == 14 * (2 * 5 + 4), "dense on every step: y, dz, dx")
        #expect(elements[3] == 14 * 2 * 5, "dropout on every step: y, dx")
        #expect(elements[5] == 2 * 2 * 5, "dropout on a vector")
        #expect(elements[6] == 2 * (1 + 5), "head: y, dx")
        #expect(summary.layers.map(\.output) == ["[T, B, 3]", "[T, B, 4]", "[T, B, 5]", "[T, B, 5]", "[B, 5]", "[B, 5]", "[B, 1]"])
        #expect(summary.parameters == 30 + (12 + 16 + 4) + (20 + 5) + 6)
    }
}
