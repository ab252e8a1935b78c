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
            environment["CAROUSEL_OVERLAP"] = family == .gpu ? "on" : "off"
            result.append(try OpenCLBackend(device: 0, cacheDirectory: nil, environment: environment))
        }
        return result
    }

    /// Rows of very different lengths, so that batches differ.
    private static func data(rows: Int) throws -> TrainingData {
        let all = try EmbeddedData.train()
        var texts = Array(all.texts.prefix(rows))
        for row in texts.indices where row % 7 == 0 { texts[row] += " " + texts[(row * 31 + 1) % texts.count] + " " + texts[(row + 5) % texts.count] }
        return TrainingData(train: .text(TextDataSet(name: "ragged", texts: texts, labels: Array(all.labels.prefix(rows)))))
    }

    private static func configuration(_ name: String) throws -> RunConfiguration {
        func preset(_ name: String) throws -> RunConfiguration { try RunConfiguration.resolve(preset: name) }
        var configuration: RunConfiguration
        switch name {
        case "gru":
            configuration = try preset("stacked-lstm")
            configuration.model = ModelConfiguration(layers: [
                .embedding(.init(units: 24, dropout: 0.2)),
                .recurrent(.gru, .init(units: 40, resetAfter: false, output: .sequences, bidirectional: .ave, recurrentDropout: 0.2)),
                .dropout(.init(rate: 0.3, perSequence: true)),
                .recurrent(.gru, .init(units: 33, output: .sequences, reversed: true, recurrentDropout: 0.2)),
                .pooling(.init(of: [.last, .mean, .max]))])
            configuration.training.classWeights = .balanced
        case "projection":
            configuration = try preset("stacked-lstm")
            configuration.model = ModelConfiguration(layers: [
                .embedding(.init(units: 24)),
                .recurrent(.lstm, .init(units: 48, projection: 20, output: .sequences, bidirectional: .mul, recurrentDropout: 0.2)),
                .recurrent(.lstm, .init(units: 30, biases: .two, projection: 30))])
            configuration.training.optimizer = .init(.rmsprop, momentum: 0.5)
        case "rows":
            configuration = try preset("bilstm")
            configuration.preparation.minimumCount = 1
        default:
            configuration = try preset(name)
        }
        configuration.preparation.vocabularySize = name == "rows" ? 4000 : 600
        configuration.training.epochs = 1
        configuration.training.batchSize = name == "rows" ? 2 : 24
        return configuration
    }

    @Test(arguments: ["stacked-lstm", "simple-rnn", "bilstm", "gru", "projection", "rows"])
    func thePlanIsWhatTheRunTakes(model: String) throws {
        for backend in try Self.backends() {
            let trainer = try Trainer(configuration: try Self.configuration(model), data: try Self.data(rows: 160), backend: backend, folder: nil)
            #expect(trainer.optimizer.stepsRows == (model == "rows"))
            _ = try trainer.run()
            let saving = trainer.memory.parts.first { $0.name == "saving" }?.bytes ?? 0
            let planned = trainer.memory.needed - saving, measured = backend.peakBytes
            #expect(abs(planned - measured) <= measured / 20, "\(model), \(backend.info.details[0]): planned \(planned), measured \(measured)")
            #expect(trainer.memory.parts.reduce(0) { $0 + $1.bytes } == trainer.memory.needed)
        }
    }

    /// A plan for `rows` rows of `data` under a limit.
    private static func plan(_ configuration: RunConfiguration, limit: Int?, on backend: any Backend) throws -> MemoryPlan {
        let data = try data(rows: 160)
        let labels = try LabelSet(training: data.train), preparation = try InputPreparation.fit(configuration.preparation, to: data.train)
        return try MemoryPlan(configuration, input: preparation.modelInput, classes: labels.count,
                              training: preparation.encode(data.train, labels: labels), evaluated: [], on: backend, limit: limit)
    }

    /// Every suggestion is a plan of its own that keeps the limit, and the next larger one would not.
    @Test func whatIsSuggestedFits() throws {
        for backend in try Self.backends() {
            var configuration = try Self.configuration("stacked-lstm")
            let full = try Self.plan(configuration, limit: nil, on: backend)
            try full.check()
            #expect(full.fits && full.suggestions.isEmpty)
            let limit = full.needed * 3 / 4
            let refused = try Self.plan(configuration, limit: limit, on: backend)
            let error = try #require(throws: CarouselError.self) { try refused.check() }
            #expect(error.status == .outOfMemory && error.message.contains("training needs"), "\(error)")
            #expect(refused.suggestions.count == 2 && error.hint?.contains(refused.suggestions[0]) == true, "\(error)")

            let sizes = refused.suggestions.compactMap { Int($0.prefix { $0 != "(" }.filter(\.isNumber)) }
            configuration.training.batchSize = sizes[0]
            #expect(try Self.plan(configuration, limit: limit, on: backend).fits, "\(refused.suggestions)")
            configuration.training.batchSize += sizes[0] > 16 ? 9 : 1
            #expect(try !Self.plan(configuration, limit: limit, on: backend).fits, "\(refused.suggestions)")

            configuration = try Self.configuration("stacked-lstm")
            configuration.preparation.maximumLength = sizes[1]
            #expect(try Self.plan(configuration, limit: limit, on: backend).fits, "\(refused.suggestions)")
        }
    }

    /// Where the weights alone are too large, no batch size is offered.
    @Test func nothingIsSuggestedWhereNothingHelps() throws {
        let configuration = try Self.configuration("stacked-lstm")
        let refused = try Self.plan(configuration, limit: 100_000, on: try CPUBackend(threads: 1))
        #expect(!refused.fits && refused.suggestions.isEmpty)
        let error = try #require(throws: CarouselError.self) { try refused.check() }
        #expect(error.hint?.contains("smaller layers") == true)
    }

    /// A device that runs out in spite of the plan says what the plan was; other errors stay as they are.
    @Test func failuresComeWithThePlan() throws {
        let plan = try Self.plan(try Self.configuration("simple-rnn"), limit: nil, on: try CPUBackend(threads: 1))
        let error = try #require(throws: CarouselError.self) {
            try plan.explaining { _ = try CPUBackend(threads: 1).makeBuffer(count: 1 << 55, type: .float32) }
        }
        #expect(error.status == .outOfMemory && error.message.contains("cannot allocate") && error.message.contains(plan.line))
        let other = try #require(throws: CarouselError.self) { try plan.explaining { throw CarouselError(.badData, "odd") } }
        #expect(other.status == .badData && other.message == "odd")
    }

    /// Buffers have their final size before the first step: no step makes one, whatever its batch.
    @Test(arguments: ["stacked-lstm", "gru", "projection"]) func stepsMakeNoBuffers(_ name: String) throws {
        let backend = try CPUBackend(threads: 2), configuration = try Self.configuration(name)
        let trainer = try Trainer(configuration: configuration, data: try Self.data(rows: 300), backend: backend, folder: nil)
        let monitor = try StepMonitor(model: trainer.model, optimizer: trainer.optimizer, interval: 1)
        try trainer.reserve()
        let before = backend.madeBuffers
        for rows in trainer.plan(epoch: 0) {
            try trainer.take(trainer.training.batch(rows, weights: trainer.rowWeights), learningRate: 0.001, averageInterval: 1, monitor: monitor)
        }
        try monitor.settle()
        #expect(backend.madeBuffers == before, "\(backend.madeBuffers - before) buffers made")
        #expect(backend.peakBytes <= trainer.memory.needed)
    }

    /// A planner counts and touches nothing: a model far beyond this machine takes no time.
    @Test func planningCostsNothing() throws {
        var configuration = try Self.configuration("stacked-lstm")
        for backend in try Self.backends() {
            let time = try ContinuousClock().measure { _ = try Self.plan(configuration, limit: nil, on: backend) }
            #expect(time < .seconds(1), "milliseconds, unless the machine is busy")
            configuration.model.layers[2] = .recurrent(.lstm, .init(units: 4_000))
            let large = try MemoryPlan(configuration, input: .tokens(vocabulary: 600), classes: 2, batch: 1 << 12, steps: 1 << 12, on: backend)
            #expect(large.needed > 1 << 40 && !large.fits, "\(large.line)")
            configuration = try Self.configuration("stacked-lstm")
        }
    }
}
