import CarouselCore
import CarouselNN
import CarouselReference
import Testing

/// Whole models on the Double reference: every parameter's gradient against central differences of the loss.
@Suite struct ModelGradientTests {
    struct Sample: CustomTestStringConvertible, Sendable {
        var name: String
        var layers: [LayerConfiguration]
        var head = HeadKind.auto
        var classes = 3
        var numeric = false
        var testDescription: String { name }
    }

    static func lstm(_ units: Int, _ output: RecurrentOutput = .last, _ merge: BidirectionalMerge? = nil,
                     projection: Int? = nil, reversed: Bool = false) -> LayerConfiguration {
        .recurrent(.lstm, RecurrentConfiguration(units: units, projection: projection, output: output, bidirectional: merge,
                                                 reversed: reversed))
    }

    static let embedding = LayerConfiguration.embedding(EmbeddingConfiguration(units: 4))

    static let samples: [Sample] = [
        Sample(name: "rnn, last, sigmoid head", layers: [embedding, .recurrent(.rnn, RecurrentConfiguration(units: 5))], classes: 2),
        Sample(name: "stacked lstm with widths of their own", layers: [embedding, lstm(5, .sequences), lstm(3)]),
        Sample(name: "bidirectional concat", layers: [embedding, lstm(4, .last, .concat)]),
        Sample(name: "bidirectional sum over sequences", layers: [embedding, lstm(4, .sequences, .sum), lstm(3)]),
        Sample(name: "bidirectional mul over sequences", layers: [embedding, lstm(4, .sequences, .mul), .pooling(.init(of: [.mean]))]),
        Sample(name: "bidirectional ave, last and mul", layers: [embedding, lstm(4, .sequences, .ave), lstm(3, .last, .mul)]),
        Sample(name: "reversed with projection", layers: [embedding, lstm(5, .sequences, projection: 3, reversed: true), lstm(3, reversed: true)]),
        Sample(name: "pooling of all kinds over both directions",
               layers: [embedding, lstm(4, .sequences, .concat), .pooling(.init(of: [.last, .mean, .max]))]),
        Sample(name: "dropout everywhere",
               layers: [.embedding(.init(units: 4, dropout: 0.3)), lstm(4, .sequences, .concat), .dropout(.init(rate: 0.3, perSequence: true)),
                        .pooling(.init(of: [.last, .max])), .dropout(.init(rate: 0.4))]),
        Sample(name: "dropout between embedding and gru",
               layers: [embedding, .dropout(.init(rate: 0.25)), .recurrent(.gru, RecurrentConfiguration(units: 4, bidirectional: .concat))]),
        Sample(name: "recurrent dropout in a stack",
               layers: [embedding, .recurrent(.lstm, RecurrentConfiguration(units: 4, output: .sequences, bidirectional: .concat, recurrentDropout: 0.4)),
                        .recurrent(.gru, RecurrentConfiguration(units: 4, recurrentDropout: 0.3))]),
        Sample(name: "gru, reset before", layers: [embedding, .recurrent(.gru, RecurrentConfiguration(units: 4, resetAfter: false))]),
        Sample(name: "dense on sequences and vectors",
               layers: [embedding, .dense(.init(units: 5, activation: .tanh)), .recurrent(.gru, RecurrentConfiguration(units: 4)),
                        .dense(.init(units: 6, activation: .sigmoid))]),
        Sample(name: "mean of embeddings", layers: [embedding, .pooling(.init(of: [.mean, .max]))]),
        Sample(name: "input beside both directions, indexed and dense",
               layers: [embedding, .recurrent(.lstm, RecurrentConfiguration(units: 3, output: .sequences, bidirectional: .concat, concatInput: true)),
                        .recurrent(.gru, RecurrentConfiguration(units: 3, output: .sequences, bidirectional: .sum, concatInput: true)),
                        .pooling(.init(of: [.mean, .max]))]),
        Sample(name: "numbers beside their states",
               layers: [.recurrent(.rnn, RecurrentConfiguration(units: 3, output: .sequences, concatInput: true)), .pooling(.init(of: [.max]))],
               numeric: true),
        Sample(name: "numbers", layers: [lstm(4, .sequences, .concat), lstm(3)], numeric: true),
        Sample(name: "two biases, softmax of two",
               layers: [embedding, .recurrent(.lstm, RecurrentConfiguration(units: 4, biases: .two))], head: .softmax, classes: 2),
    ]

    @Test(arguments: samples) func gradientsMatchDifferences(_ sample: Sample) throws {
        let backend = ReferenceBackend()
        let model = try SequenceClassifier(ModelConfiguration(layers: sample.layers, head: sample.head),
                                           input: sample.numeric ? .features(width: 2) : .tokens(vocabulary: 9),
                                           classes: sample.classes, seed: 3, on: backend)
        var generator = SeededGenerator(seed: 5)
        let lengths = [5, 3, 0, 1]
        let labels = (0..<4).map { Int32($0 % sample.classes) }
        let batch: SequenceBatch
        if sample.numeric {
            batch = SequenceBatch(features: lengths.map { n in (0 ..< n * 2).map { _ in Float(generator.normal()) } }, width: 2,
                                  labels: labels, weights: [1, 0.5, 2, 1])
        } else {
            batch = SequenceBatch(tokens: lengths.map { n in (0..<n).map { _ in Int32(generator.next() % 9) } }, labels: labels,
                                  weights: [1, 0.5, 2, 1])
        }
        let uploaded = try model.upload(batch)
        let context = PassContext(mode: .training, seed: 11, step: 4)
        // Keras' small embeddings would hide errors behind tiny gradients.
        let start = try backend.readDoubles(model.store.weights).map { $0 * 3 }
        func loss(_ weights: [Double]) throws -> Double {
            try backend.write(weights, to: model.store.weights)
            let losses = try model.loss(try model.forward(uploaded, context), uploaded, labelSmoothing: 0.1, gradient: false).losses
            return try backend.readDoubles(losses).reduce(0, +) / uploaded.weightSum
        }
        try backend.write(start, to: model.store.weights)
        let (_, dLogits) = try model.loss(try model.forward(uploaded, context), uploaded, labelSmoothing: 0.1, gradient: true)
        try model.store.zeroGradients()
        try model.backward(dLogits!, context)
        let gradients = try backend.readDoubles(model.store.gradients)
        let scale = gradients.map(abs).max()!
        #expect(scale > 1e-4)
        for parameter in model.store.parameters {
            for sampled in 0 ..< min(12, parameter.shape.count) {
                let index = parameter.offset + (sampled * 7919) % parameter.shape.count
                var weights = start
                weights[index] = start[index] + 1e-5
                let above = try loss(weights)
                weights[index] = start[index] - 1e-5
                let below = try loss(weights)
                let expected = (above - below) / 2e-5
                #expect(abs(gradients[index] - expected) <= 1e-7 * max(scale, 1), "\(parameter.name)[\(index - parameter.offset)]")
            }
        }
    }

    /// A mask per batch, layer and direction in training, the same for all steps; none in inference.
    @Test func recurrentDropoutIsOfTraining() throws {
        func states(_ rate: Double, _ context: PassContext, tokens: [[Int32]] = [[2, 3, 4], [5]]) throws -> [Double] {
            let backend = ReferenceBackend()
            let layer = RecurrentConfiguration(units: 6, output: .sequences, bidirectional: .concat, recurrentDropout: rate)
            let model = try SequenceClassifier(ModelConfiguration(layers: [Self.embedding, .recurrent(.lstm, layer), .pooling(.init(of: [.mean]))]),
                                               input: .tokens(vocabulary: 9), classes: 3, seed: 1, on: backend)
            return try backend.readDoubles(try model.forward(try model.upload(SequenceBatch(tokens: tokens, labels: [0, 1])), context))
        }
        let plain = try states(0, PassContext(mode: .training, seed: 1)), dropped = try states(0.5, PassContext(mode: .training, seed: 1))
        #expect(try states(0.5, PassContext(mode: .inference, seed: 1)) == plain)
        #expect(try states(0.5, PassContext(mode: .training, seed: 1)) == dropped && dropped != plain)
        #expect(try states(0.5, PassContext(mode: .training, seed: 1, step: 1)) != dropped)
        // A text of one step has no state before it.
        let short: [[Int32]] = [[2], [5]]
        #expect(try states(0.5, PassContext(mode: .training, seed: 1), tokens: short) == states(0, PassContext(mode: .training), tokens: short))
        let layer = LayerConfiguration.recurrent(.lstm, RecurrentConfiguration(units: 6, recurrentDropout: 0.5))
        let model = try SequenceClassifier(ModelConfiguration(layers: [Self.embedding, layer]), input: .tokens(vocabulary: 9), classes: 3, seed: 1,
                                           on: ReferenceBackend())
        #expect(try model.summary(batch: 2, steps: 3, moments: 2).layers[1].plan?.hasSuffix("recurrent dropout 0.5") == true)
    }

    @Test func inferenceEqualsTrainingWithoutDropout() throws {
        let backend = ReferenceBackend()
        let model = try SequenceClassifier(ModelConfiguration(layers: [Self.embedding, Self.lstm(4, .sequences, .concat), .pooling(.init(of: [.last, .mean, .max]))]),
                                           input: .tokens(vocabulary: 9), classes: 3, seed: 1, on: backend)
        let batch = try model.upload(SequenceBatch(tokens: [[2, 3, 4], [5], []], labels: [0, 1, 2]))
        let training = try backend.readDoubles(try model.forward(batch, PassContext(mode: .training)))
        let inference = try backend.readDoubles(try model.forward(batch, PassContext(mode: .inference)))
        #expect(training == inference)
    }
}
