import Carousel
import CarouselCore
import CarouselData
import CarouselNN
@testable import CarouselTraining
import Foundation
import Testing

/// A training that diverges says where: step, layer, gate, tensor, rows.
@Suite struct AutopsyTests {
    private static let rows = (0..<24).map { "word\($0 % 5) word\($0 % 3) \($0 % 2 == 0 ? "good" : "bad")" }

    private static func trainer(_ layers: [LayerConfiguration], on device: String, _ change: (inout TrainingConfiguration) -> Void = { _ in })
        throws -> Trainer
    {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.model = ModelConfiguration(layers: layers)
        configuration.preparation.minimumCount = 1
        configuration.training = TrainingConfiguration(epochs: 2, batchSize: 8, optimizer: OptimizerConfiguration(.sgd), validationSplit: 0)
        change(&configuration.training)
        let set = TextDataSet(name: "rows.tsv", texts: rows, labels: (0..<24).map { $0 % 2 == 0 ? "p" : "n" }, lines: Array(2..<26))
        return try Trainer(configuration: configuration, data: TrainingData(train: .text(set)), backend: try Device.open(device), folder: nil)
    }

    private static func diverge(_ trainer: Trainer) throws -> CarouselError {
        let error = try #require(throws: CarouselError.self) { try trainer.run() }
        #expect(error.status == .diverged)
        return error
    }

    private static func devices() throws -> [String] { try Device.available().devices.map(\.selector) }

    /// A weight that is not a number from the start is named, with its gate.
    @Test func aBrokenWeightIsNamed() throws {
        for device in try Self.devices() {
            let trainer = try Self.trainer([.embedding(EmbeddingConfiguration(units: 4)), .recurrent(.lstm, RecurrentConfiguration(units: 3))], on: device)
            let number = try #require(trainer.model.store.parameters.firstIndex { $0.name == "rnn.0.weight_hh_l0" })
            var values = try trainer.backend.readFloats(trainer.model.store.weight(number))
            values[3 * 3 + 2] = .nan // gate f (rows 3 to 5), its unit 0, state 2
            try trainer.backend.write(values, to: trainer.model.store.weight(number))
            let error = try Self.diverge(trainer)
            #expect(error.message.contains("at step 1 (epoch 1)"), "\(device): \(error.message)")
            #expect(error.message.contains("weights 'rnn.0.weight_hh_l0' [12, 3] at lstm 0, gate f, unit 0, state 2: nan"), "\(device): \(error.message)")
        }
    }

    /// A state that overflows over the steps of a text: the step, the layer and the row, not the weights.
    @Test func anOverflowInTimeIsFound() throws {
        for device in try Self.devices() {
            let cell = RecurrentConfiguration(units: 2, activation: .relu)
            let trainer = try Self.trainer([.embedding(EmbeddingConfiguration(units: 4)), .recurrent(.rnn, cell)], on: device)
            for (number, parameter) in trainer.model.store.parameters.enumerated() where parameter.name.hasPrefix("rnn.0") {
                // h(1) about 1e18, h(2) about 1e36, h(3) beyond float32.
                try trainer.backend.fill(trainer.model.store.weight(number), with: 1e18)
            }
            let error = try Self.diverge(trainer)
            #expect(error.message.contains("of layer 'rnn 0', step 2, unit 0: inf"), "\(device): \(error.message)")
            #expect(error.message.contains("its row: rows.tsv:") && error.message.contains("rows of the batch: rows.tsv:"), "\(device): \(error.message)")
            #expect(error.hint?.contains("bounded") == true && error.hint?.contains("global_norm=1") == true, "\(error.hint ?? "")")
        }
    }

    /// Finite outputs and a loss, but gradients whose squares are beyond float32.
    @Test func aGradientThatOverflowsIsFound() throws {
        for device in try Self.devices() {
            let cell = RecurrentConfiguration(units: 2, activation: .linear)
            let trainer = try Self.trainer([.embedding(EmbeddingConfiguration(units: 4)), .recurrent(.rnn, cell)], on: device)
            for (number, parameter) in trainer.model.store.parameters.enumerated() {
                let value = ["embedding.weight": 0, "rnn.0.weight_ih_l0": 1e22, "rnn.0.weight_hh_l0": 0, "rnn.0.bias_ih_l0": 0, "head.weight": 1, "head.bias": 0]
                try trainer.backend.fill(trainer.model.store.weight(number), with: try #require(value[parameter.name]))
            }
            let error = try Self.diverge(trainer)
            #expect(error.message.contains("the gradient norm is inf at step 1"), "\(device): \(error.message)")
            #expect(error.message.contains("the gradient of 'embedding.weight'") && error.message.contains("token"), "\(device): \(error.message)")
        }
    }

    /// Found only readings later, the weights are those before the bad step all the same.
    @Test(arguments: [1, 4, 16]) func theWeightsBeforeTheBadStepStay(_ interval: Int) throws {
        let layers: [LayerConfiguration] = [.embedding(EmbeddingConfiguration(units: 4)), .recurrent(.gru, RecurrentConfiguration(units: 3))]
        func run(_ steps: Int) throws -> [Float] {
            let trainer = try Self.trainer(layers, on: "cpu")
            _ = try trainer.firstSteps(steps)
            return try trainer.backend.readFloats(trainer.model.store.weights)
        }
        let trainer = try Self.trainer(layers, on: "cpu")
        trainer.lossInterval = interval
        // The fourth step's gradients are poisoned through an infinite row weight.
        let row = trainer.plan(epoch: 1)[0][0]
        let poisoned = try Self.poisoned(trainer, row: row)
        let error = try #require(throws: CarouselError.self) { try poisoned.run() }
        let step = try #require((0..<6).first { trainer.plan(epoch: $0 / 3)[$0 % 3].contains(row) })
        #expect(error.message.contains("at step \(step + 1) "), "\(error.message)")
        #expect(try poisoned.backend.readFloats(poisoned.model.store.weights) == run(step))
    }

    /// The same training, one of whose rows weighs infinitely much.
    private static func poisoned(_ trainer: Trainer, row: Int) throws -> Trainer {
        var weights = [Float](repeating: 1, count: 24)
        weights[row] = .infinity
        trainer.rowWeights = weights
        return trainer
    }
}
