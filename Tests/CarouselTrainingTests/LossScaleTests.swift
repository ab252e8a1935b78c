import Carousel
import CarouselCore
import CarouselData
import CarouselNN
import CarouselReference
@testable import CarouselTraining
import Foundation
import Testing

/// The scale of a loss: it follows the gradients, changes nothing where nothing overflows, and outlives the process.
@Suite struct LossScaleTests {
    private static func devices() throws -> [any Backend] {
        let found = try Device.available().devices.flatMap { info in
            try Device.plans(info.selector).map { try Device.open(info.selector, plan: $0) }
        }
        return [ReferenceBackend()] + found
    }

    private static let layers: [LayerConfiguration] = [.embedding(EmbeddingConfiguration(units: 5)), .recurrent(.gru, RecurrentConfiguration(units: 4))]

    private static func model(on backend: any Backend) throws -> SequenceClassifier {
        try SequenceClassifier(ModelConfiguration(layers: layers), input: .tokens(vocabulary: 20), classes: 2, seed: 3, on: backend)
    }

    /// Steps with gradients of one value; the scale after each, and whether the weights moved.
    @Test func theScaleFollowsTheGradients() throws {
        for backend in try Self.devices() {
            let model = try Self.model(on: backend), name = "\(backend.info.selector) \(backend.plan)"
            let optimizer = try Optimizer(OptimizerConfiguration(.adam), clipping: .init(), store: model.store,
                                          lossScale: LossScaleRule(start: 8, growthInterval: 2, smallest: 2, largest: 16))
            let scale = try #require(optimizer.lossScale)
            func take(_ gradient: Double) throws -> (scale: Double, moved: Bool) {
                let before = try backend.readDoubles(model.store.weights), m = try backend.readDoubles(try #require(try optimizer.moments["m"]))
                try backend.fill(try model.store.gradients, with: gradient)
                try optimizer.clip()
                try optimizer.update(learningRate: 0.01)
                let moved = try backend.readDoubles(model.store.weights) != before
                #expect(try moved == (backend.readDoubles(try #require(try optimizer.moments["m"])) != m), "\(name): weights and moments go together")
                return (try scale.current.scale, moved)
            }
            #expect(try take(8) == (8, true), "\(name)")
            #expect(try abs(optimizer.gradientNorm() - Double(model.store.count).squareRoot()) < 1e-3, "\(name): gradients are divided by the scale")
            for (gradient, expected, moves) in [(8.0, 16.0, true), (16, 16, true), (16, 16, true), (.infinity, 8, false), (8, 8, true), (.nan, 4, false),
                                                (.infinity, 2, false), (2, 2, true)] {
                #expect(try take(gradient) == (expected, moves), "\(name): gradient \(gradient)")
            }
            #expect(try scale.current.goodSteps == 1)
            // At the smallest scale nothing is left to try: from here on no step is taken.
            #expect(try take(.infinity) == (2, false) && take(2) == (2, false), "\(name)")
        }
    }

    /// Powers of two round nothing: the weights are those of a loss that is not scaled, to the bit.
    @Test func scalingChangesNothingByItself() throws {
        let texts = (0..<24).map { "word\($0 % 5) word\($0 % 3) \($0 % 2 == 0 ? "good" : "bad")" }
        func weights(_ rule: LossScaleRule?, on backend: any Backend) throws -> [UInt32] {
            var configuration = try RunConfiguration.resolve(preset: "bilstm")
            configuration.model = ModelConfiguration(layers: Self.layers)
            configuration.preparation.minimumCount = 1
            configuration.training = TrainingConfiguration(epochs: 1, batchSize: 8, clipping: .init(globalNorm: 0.1), validationSplit: 0)
            let set = TextDataSet(name: "rows.tsv", texts: texts, labels: (0..<24).map { $0 % 2 == 0 ? "p" : "n" }, lines: Array(2..<26))
            let trainer = try Trainer(configuration: configuration, data: TrainingData(train: .text(set)), backend: backend, folder: nil,
                                      rowSteps: .never, lossScale: rule)
            _ = try trainer.firstSteps(5)
            return try backend.readFloats(trainer.model.store.weights).map(\.bitPattern)
        }
        for backend in try Self.devices() where backend.info.kind != .reference {
            #expect(try weights(LossScaleRule(start: 0x1p10, growthInterval: 2), on: backend) == weights(nil, on: backend), "\(backend.info.selector)")
        }
    }

    // MARK: Trainings in float16, on the reference that rounds the operands of products

    private static func trainer(_ change: (inout TrainingConfiguration) -> Void = { _ in }, folder: RunFolder? = nil,
                                lossScale: LossScaleRule? = nil, device: String = "reference") throws -> Trainer {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.model = ModelConfiguration(layers: layers)
        configuration.training = TrainingConfiguration(epochs: 2, batchSize: 8, validationSplit: 0)
        if device == "reference" { configuration.training.precision = .float16 }
        change(&configuration.training)
        let data = TrainingData(train: DataSet.text(try EmbeddedData.train()).subset(Array(0..<48)))
        return try Trainer(configuration: configuration, data: data, backend: try Device.open(device, precision: configuration.training.precision),
                           folder: folder, lossScale: lossScale)
    }

    private static func fillHead(_ trainer: Trainer, with value: Double) throws {
        let store = trainer.model.store
        try trainer.backend.fill(store.weight(try #require(store.parameters.firstIndex { $0.name == "head.weight" })), with: value)
    }

    /// Without a scale the gradients of the cell round to 0 here.
    @Test func smallGradientsAreNotLost() throws {
        func gradient(_ rule: LossScaleRule) throws -> Double {
            let trainer = try Self.trainer(lossScale: rule)
            // With equal columns the gradient of the state would vanish by itself.
            let store = trainer.model.store, head = try #require(store.parameters.firstIndex { $0.name == "head.weight" })
            let count = store.parameters[head].shape.count
            try trainer.backend.write((0..<count).map { $0 < count / 2 ? 1e-7 : -1e-7 }, to: store.weight(head))
            _ = try trainer.firstSteps(1)
            let cell = try #require(store.parameters.firstIndex { $0.name == "rnn.0.weight_hh_l0" })
            return try trainer.backend.readDoubles(store.gradient(cell)).map(abs).max() ?? 0
        }
        #expect(try gradient(LossScaleRule(start: 1)) == 0)
        #expect(try gradient(LossScaleRule()) > 0)
    }

    /// Gradients beyond 65,504 cost a step, not the training, and every change is told.
    @Test(arguments: [1, 16]) func anOverflowHalvesTheScale(_ lossInterval: Int) throws {
        let trainer = try Self.trainer { $0.optimizer = OptimizerConfiguration(.sgd) }
        trainer.lossInterval = lossInterval
        try Self.fillHead(trainer, with: 500)
        var changes: [LossScaleChange] = []
        let result = try trainer.run(observe: { if case .lossScale(let change) = $0 { changes.append(change) } })
        #expect(changes.first == LossScaleChange(step: 1, scale: 0x1p15, isSkipped: true))
        #expect(changes.count >= 2 && changes.count < 12)
        for (before, after) in zip(changes, changes.dropFirst()) {
            #expect(after.scale == before.scale / 2 && after.isSkipped && after.step > before.step)
        }
        #expect(result.epochs.allSatisfy { $0.trainingLoss.isFinite } && result.epochs.last?.gradientNorm.isFinite == true)
    }

    /// A forward pass that overflows is none of the scale's business.
    @Test func anInfiniteLossStillEndsTheTraining() throws {
        let trainer = try Self.trainer()
        try Self.fillHead(trainer, with: 1e6)
        let error = try #require(throws: CarouselError.self) { try trainer.run() }
        #expect(error.status == .diverged && error.message.contains("at step 1 "), "\(error.message)")
    }

    /// What a run that is stopped again and again does to the scale is what one that is not does.
    @Test func aResumedRunGoesOnWithItsScale() throws {
        let rule = LossScaleRule(start: 4, growthInterval: 5, largest: 64)
        func run(_ folder: RunFolder, resume: Bool, stopAfter steps: Int?) throws -> (changes: [LossScaleChange], end: LossScaleRecord, interrupted: Bool) {
            let trainer = try Self.trainer(folder: folder, lossScale: rule, device: "cpu")
            var changes: [LossScaleChange] = [], asked = 0
            let result = try trainer.run(resume: resume, checkpoints: .seconds(1e9), observe: { if case .lossScale(let change) = $0 { changes.append(change) } },
                                         shouldStop: {
                asked += 1
                return steps.map { asked > $0 } ?? false
            })
            return (changes, try #require(try trainer.optimizer.lossScale?.current), result.interrupted)
        }
        try RunFolder.temporary { whole in
            let expected = try run(whole, resume: false, stopAfter: nil)
            #expect(expected.changes.map(\.step) == [5, 10] && expected.end == LossScaleRecord(scale: 16, goodSteps: 2))
            try RunFolder.temporary { parts in
                var changes: [LossScaleChange] = [], part = try run(parts, resume: false, stopAfter: 3)
                changes += part.changes
                for _ in 0..<8 where part.interrupted {
                    part = try run(parts, resume: true, stopAfter: 3)
                    changes += part.changes
                }
                #expect(!part.interrupted && changes == expected.changes && part.end == expected.end)
                for file in [RunFolder.File.model, .lastModel, .metrics] {
                    #expect(try Data(contentsOf: URL(fileURLWithPath: whole.path(of: file))) == Data(contentsOf: URL(fileURLWithPath: parts.path(of: file))))
                }
            }
        }
    }
}
