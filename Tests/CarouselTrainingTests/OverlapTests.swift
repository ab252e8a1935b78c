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
                       .recurrent(.lstm, .init(units: 10, output: .sequences, bidirectional: .concat, concatInput: true, recurrentDropout: 0.2)),
                       .recurrent(.gru, .init(units: 9, resetAfter: false, output: .sequences, bidirectional: .mul)),
                       .dense(.init(units: 8, activation: .tanh)), .pooling(.init(of: [.mean, .max]))],
        "stack": [.embedding(.init(units: 12)), .recurrent(.lstm, .init(units: 8, output: .sequences, recurrentDropout: 0.3)),
                  .recurrent(.gru, .init(units: 8, output: .sequences, recurrentDropout: 0.3)),
                  .recurrent(.gru, .init(units: 8, resetAfter: false, output: .sequences, recurrentDropout: 0.3)),
                  .recurrent(.rnn, .init(units: 8, recurrentDropout: 0.3))],
    ]

    /// Remembers what layers were run together.
    private final class Spans: SpanObserver, @unchecked Sendable {
        private(set) var names: Set<String> = []
        func begin(_ span: Span) { names.insert(span.name) }
        func end(_ span: Span) {}
    }

    /// Losses, norms and the weights after some steps, bit by bit.
    /// - Parameter isWavefront: whether layers are expected to run as one.
    private static func trace(_ model: String, _ family: OpenCLBackend.KernelFamily, _ variables: [String: String],
                              isWavefront: Bool = false) throws -> [UInt64] {
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
        let spans = Spans()
        trainer.model.observer = spans
        let trace = try trainer.firstSteps(4)
        for direction in ["forward", "backward"] {
            #expect(spans.names.contains("\(direction) 1: lstm 0, gru 1, gru 2, rnn 3") == isWavefront, "\(variables)")
        }
        let weights = try backend.readFloats(trainer.model.store.weights).map { UInt64($0.bitPattern) }
        return (trace.losses + trace.gradientNorms).map(\.bitPattern) + weights
    }

    @Test(arguments: models.keys.sorted()) func bitsAreThoseOfOneQueue(model: String) throws {
        for plan in RecurrentPlan.allCases {
            let variables = ["CAROUSEL_RECURRENT_PLAN": plan.rawValue], expected = try Self.trace(model, .gpu, variables.merging(["CAROUSEL_OVERLAP": "off"]) { $1 })
            // Texts are too short for more than one chunk of the usual size.
            for tuning in plan == .fused ? ["", "narrow"] : ["narrow"] {
                let found = try Self.trace(model, .gpu, variables.merging(["CAROUSEL_OVERLAP": "on", "CAROUSEL_TUNING": tuning]) { $1 },
                                           isWavefront: model == "stack" && tuning == "narrow")
                #expect(found == expected, "\(plan), tuning \(tuning)")
            }
        }
        let rows = try ["off", "on"].map { try Self.trace(model, .cpu, ["CAROUSEL_OVERLAP": $0]) }
        #expect(rows[0] == rows[1])
    }
}
