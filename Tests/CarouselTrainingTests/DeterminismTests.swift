import Carousel
import CarouselCPU
import CarouselCore
import CarouselData
import CarouselNN
import CarouselOpenCL
@testable import CarouselTraining
import Foundation
import Testing

/// How many threads compute and how the work is cut never changes a bit of a training.
@Suite struct DeterminismTests {
    /// Wide enough that threads, blocks and slices share every kind of work.
    private static let models: [String: [LayerConfiguration]] = [
        "lstm": [.embedding(.init(units: 32, dropout: 0.3)),
                 .recurrent(.lstm, .init(units: 48, output: .sequences, bidirectional: .concat, concatInput: true)),
                 .dense(.init(units: 40, activation: .tanh)), .pooling(.init(of: [.mean, .max])), .dropout(.init(rate: 0.2))],
        "projection": [.embedding(.init(units: 32)), .recurrent(.lstm, .init(units: 48, projection: 24, output: .sequences, reversed: true)),
                       .recurrent(.lstm, .init(units: 33))],
        "gru": [.embedding(.init(units: 32)), .recurrent(.gru, .init(units: 48, output: .sequences, bidirectional: .mul, recurrentDropout: 0.3)),
                .recurrent(.gru, .init(units: 40, resetAfter: false))],
        "rnn": [.embedding(.init(units: 32)), .recurrent(.rnn, .init(units: 64, output: .sequences, bidirectional: .sum)),
                .pooling(.init(of: [.last, .max]))],
    ]

    /// The bits of all weights after a short training with a validation part, an average and clipping.
    private static func weights(_ model: String, on backend: any Backend, rows: Int, rowSteps: RowSteps? = nil) throws -> [UInt32] {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.model = ModelConfiguration(layers: models[model]!)
        configuration.training.epochs = 1
        configuration.training.batchSize = 36
        let data = TrainingData(train: DataSet.text(try EmbeddedData.train()).subset(Array(0..<rows)))
        let trainer = try Trainer(configuration: configuration, data: data, backend: backend, folder: nil, rowSteps: rowSteps)
        _ = try trainer.run()
        return try backend.readFloats(trainer.model.store.weights).map(\.bitPattern)
    }

    @Test(arguments: models.keys.sorted()) func threadsAndTuningOfTheCPU(model: String) throws {
        // OpenBLAS serves the two smaller instruction sets.
        for instructions in InstructionSet.allCases where instructions.isAvailable {
            let expected = try Self.weights(model, on: try CPUBackend(threads: 1, instructions: instructions), rows: 120)
            for tuning in CPUTuning.table {
                for threads in [1, 2, 4] {
                    let backend = try CPUBackend(threads: threads, instructions: instructions, tuning: tuning)
                    #expect(try Self.weights(model, on: backend, rows: 120) == expected, "\(instructions.name), \(tuning.name), \(threads) threads")
                }
            }
        }
    }

    /// A table that is stepped row by row: threads share its rows.
    @Test func threadsShareRows() throws {
        let expected = try Self.weights("rnn", on: try CPUBackend(threads: 1), rows: 120, rowSteps: .always)
        for threads in [2, 4] {
            #expect(try Self.weights("rnn", on: try CPUBackend(threads: threads), rows: 120, rowSteps: .always) == expected, "\(threads) threads")
        }
    }

    /// The kernels of one cell, which must be built for each row of the table; Scripts/check-determinism tries all cells,
    /// rows and threads of both families.
    @Test func tuningOfOpenCL() throws {
        guard !OpenCLBackend.devices().devices.isEmpty else { return }
        var results: [[UInt32]] = []
        for tuning in Tuning.table.prefix(2) {
            var environment = ProcessInfo.processInfo.environment
            environment["CAROUSEL_KERNEL_FAMILY"] = "cpu"
            environment["CAROUSEL_TUNING"] = tuning.name
            let backend = try OpenCLBackend(device: 0, cacheDirectory: nil, environment: environment)
            #expect(backend.tuning.name == tuning.name)
            results.append(try Self.weights("lstm", on: backend, rows: 120))
        }
        #expect(results[0] == results[1])
    }
}
