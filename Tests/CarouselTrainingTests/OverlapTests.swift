import CarouselCore
import CarouselData
import CarouselNN
@testable import CarouselOpenCL
@testable import CarouselTraining
import Foundation
import Testing

/// A training whose independent work overlaps gives the bits of one where it does not.
@Suite("Overlap in training", .serialized, .enabled(if: !OpenCLBackend.devices().devices.isEmpty, "no OpenCL device on this machine"))
struct OverlapTrainingTests {
    /// Every kind of work that overlaps: both directions, gradients of weights, layers in every cell.
    private static let models: [String: [LayerConfiguration]] = [
        "directions": [.embedding(.init(units: 12, dropout: 0.2)),
                       .recurrent(.lstm, .init(units: 10, output: .sequences, bidirectional: .concat, concatInput: true)),
                       .recurrent(.gru, .init(units: 9, resetAfter: false, output: .sequences, bidirectional: .mul)),
                       .dense(.init(units: 8, activation: .tanh)), .pooling(.init(of: [.mean, .max]))],
        "stack": [.embedding(.init(units: 12)), .recurrent(.lstm, .init(units: 8, output: .sequences)),
                  .recurrent(.gru, .init(units: 8, output: .sequences)), .recurrent(.gru, .init(units: 8, resetAfter: false, output: .sequences)),
                  .recurrent(.rnn, .init(units: 8))],
    ]

    /// Losses, norms and the hash of the weights after some steps.
    private static func trace(_ model: String, _ family: OpenCLBackend.KernelFamily, _ variables: [String: String]) throws -> [UInt64] {
        var environment = ProcessInfo.processInfo.environment
        environment["CAROUSEL_KERNEL_FAMILY"] = family.rawValue
        for (name, value) in variables { environment[name] = value }
        let backend = try OpenCLBackend(device: 0, cacheDirectory: nil, environment: environment)
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.model = ModelConfiguration(layers: models[model]!)
        configuration.preparation.vocabularySize = 300
        configuration.preparation.maximumLength = 14
        configuration.training.batchSize = 12
        let data = TrainingData(train: DataSet.text(try EmbeddedData.train()).subset(Array(0..<60)))
        let trainer = try Trainer(configuration: configuration, data: data, backend: backend, folder: nil)
        let trace = try trainer.firstSteps(4)
        let weights = try backend.readFloats(trainer.model.store.weights).map { UInt64($0.bitPattern) }
        return (trace.losses + trace.gradientNorms).map(\.bitPattern) + weights
    }

    @Test(arguments: models.keys.sorted()) func bitsAreThoseOfOneQueue(model: String) throws {
        for plan in RecurrentPlan.allCases {
            let variables = ["CAROUSEL_RECURRENT_PLAN": plan.rawValue], expected = try Self.trace(model, .gpu, variables.merging(["CAROUSEL_OVERLAP": "off"]) { $1 })
            for tuning in ["", "narrow"] {
                let found = try Self.trace(model, .gpu, variables.merging(["CAROUSEL_OVERLAP": "on", "CAROUSEL_TUNING": tuning]) { $1 })
                #expect(found == expected, "\(plan), tuning \(tuning)")
            }
        }
        let rows = try ["off", "on"].map { try Self.trace(model, .cpu, ["CAROUSEL_OVERLAP": $0]) }
        #expect(rows[0] == rows[1])
    }
}
