import CarouselCore
import CarouselNN
import Foundation
import Testing

@Suite struct ModelConfigurationTests {
    static let embedding = LayerConfiguration.embedding(.init(units: 4))

    @Test func everyKindSurvivesCoding() throws {
        let layers: [LayerConfiguration] = [
            .embedding(.init(units: 4, dropout: 0.1)),
            .recurrent(.lstm, RecurrentConfiguration(units: 3, activation: .relu, recurrentActivation: .hardSigmoid, bias: false,
                                                     biases: .two, projection: 2, output: .sequences, bidirectional: .mul)),
            .recurrent(.gru, RecurrentConfiguration(units: 3, resetAfter: false, output: .sequences, reversed: true, recurrentDropout: 0.2)),
            .dropout(.init(rate: 0.5, perSequence: true)), .dense(.init(units: 2, activation: .tanh)),
            .pooling(.init(of: [.max, .mean])),
        ]
        let model = ModelConfiguration(layers: layers, head: .softmax, initializer: .pytorch)
        let decoded = try JSONDecoder().decode(ModelConfiguration.self, from: JSONEncoder().encode(model))
        #expect(decoded == model)
    }

    @Test func unknownLayersAreNamed() {
        let text = Data(#"{"layers": [{"lsmt": {"units": 3}}]}"#.utf8)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(ModelConfiguration.self, from: text) }
    }

    /// Each broken stack with a word its message must hold.
    @Test(arguments: [
        ([embedding, .recurrent(.lstm, RecurrentConfiguration(units: 0))], "layers.1.lstm.units"),
        ([.embedding(.init(units: -3)), .pooling(.init(of: [.mean]))], "layers.0.embedding.units"),
        ([embedding, .recurrent(.lstm, RecurrentConfiguration(units: 3)), .recurrent(.lstm, RecurrentConfiguration(units: 3))], "output: sequences"),
        ([embedding], "sequence"),
        ([embedding, .dropout(.init(rate: 1.0)), .pooling(.init(of: [.mean]))], "rate"),
        ([embedding, .pooling(.init(of: []))], "pooling.of"),
        ([embedding, .pooling(.init(of: [.last]))], "last"),
        ([embedding, .recurrent(.gru, RecurrentConfiguration(units: 3, projection: 2))], "projection"),
        ([embedding, .recurrent(.gru, RecurrentConfiguration(units: 3, bidirectional: .sum, reversed: true))], "reversed"),
        ([.recurrent(.gru, RecurrentConfiguration(units: 3))], "embedding"),
        ([embedding, .recurrent(.gru, RecurrentConfiguration(units: 3, concatInput: true))], "concat_input"),
        ([embedding, .recurrent(.lstm, RecurrentConfiguration(units: 3, recurrentDropout: 1))], "layers.1.lstm.recurrent_dropout"),
        ([embedding, .recurrent(.rnn, RecurrentConfiguration(units: 3, recurrentDropout: -0.1))], "below 1, not -0.1"),
        ([], "at least one layer"),
    ] as [([LayerConfiguration], String)])
    func brokenStacksAreRefused(_ layers: [LayerConfiguration], _ word: String) {
        let error = #expect(throws: CarouselError.self) { try ModelConfiguration(layers: layers).validate(hasTokens: true) }
        #expect(error?.status == .badConfiguration)
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
    }
}
