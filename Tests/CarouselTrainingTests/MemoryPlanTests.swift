import Carousel
import CarouselCPU
import CarouselCore
import CarouselData
import CarouselNN
import CarouselOpenCL
@testable import CarouselTraining
import Foundation
import Testing

/// What a training needs is known before it starts.
@Suite struct MemoryPlanTests {
    /// The devices of this machine that can be compared with their plan.
    private static func backends() throws -> [any MemoryPlanner] {
        var result: [any MemoryPlanner] = [try CPUBackend(threads: 2), try CPUBackend(threads: 1, useBLAS: true, instructions: .plain)]
        guard !OpenCLBackend.devices().devices.isEmpty else { return result }
        for family in OpenCLBackend.KernelFamily.allCases {
            var environment = ProcessInfo.processInfo.environment
            environment["CAROUSEL_KERNEL_FAMILY"] = family.rawValue
            result.append(try OpenCLBackend(device: 0, cacheDirectory: nil, environment: environment))
        }
        return result
    }

    /// Rows of very different lengths, so that batches differ.
    private static func data(rows: Int) throws -> TrainingData {
        guard case .text(let all) = try DataSet.text(EmbeddedData.train()).subset(Array(0..<rows)) else { throw Skipped() }
        var texts = all.texts
        for row in texts.indices where row % 7 == 0 { texts[row] += " " + texts[(row * 31 + 1) % texts.count] + " " + texts[(row + 5) % texts.count] }
        return TrainingData(train: .text(TextDataSet(name: "ragged", texts: texts, labels: all.labels)))
    }

    private struct Skipped: Error {}

    private static func configuration(_ name: String) throws -> RunConfiguration {
        func preset(_ name: String) throws -> RunConfiguration { try RunConfiguration.resolve(preset: name) }
        var configuration: RunConfiguration
        switch name {
        case "gru":
            configuration = try preset("stacked-lstm")
            configuration.model = ModelConfiguration(layers: [
                .embedding(.init(units: 24, dropout: 0.2)),
                .recurrent(.gru, .init(units: 40, resetAfter: false, output: .sequences, bidirectional: .ave)),
                .dropout(.init(rate: 0.3, perSequence: true)),
                .recurrent(.gru, .init(units: 33, output: .sequences, reversed: true)),
                .pooling(.init(of: [.last, .mean, .max]))])
            configuration.training.classWeights = .balanced
        case "projection":
            configuration = try preset("stacked-lstm")
            configuration.model = ModelConfiguration(layers: [
                .embedding(.init(units: 24)),
                .recurrent(.lstm, .init(units: 48, projection: 20, output: .sequences, bidirectional: .mul)),
                .recurrent(.lstm, .init(units: 30, biases: .two, projection: 30))])
            configuration.training.optimizer = .init(.rmsprop, momentum: 0.5)
        default:
            configuration = try preset(name)
        }
        configuration.preparation.vocabularySize = 600
        configuration.training.epochs = 1
        configuration.training.batchSize = 24
        return configuration
    }

    @Test(arguments: ["stacked-lstm", "simple-rnn", "bilstm", "gru", "projection"])
    func thePlanIsWhatTheRunTakes(model: String) throws {
        for backend in try Self.backends() {
            let trainer = try Trainer(configuration: try Self.configuration(model), data: try Self.data(rows: 160), backend: backend, folder: nil)
            _ = try trainer.run()
            let saving = trainer.memory.parts.first { $0.name == "saving" }?.bytes ?? 0
            let planned = trainer.memory.needed - saving, measured = backend.peakBytes
            print("memory of \(model) on \(backend.info.selector) \(backend.info.details[0]): planned \(planned), measured \(measured)")
            #expect(abs(planned - measured) <= measured / 20, "\(model), \(backend.info.details[0]): planned \(planned), measured \(measured)")
            #expect(trainer.memory.parts.reduce(0) { $0 + $1.bytes } == trainer.memory.needed)
        }
    }
}
