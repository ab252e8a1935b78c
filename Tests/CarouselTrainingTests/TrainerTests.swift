import Carousel
import CarouselCore
import CarouselData
import CarouselNN
@testable import CarouselTraining
import Foundation
import Testing

/// Whole trainings of a few rows: what comes out at the edges.
@Suite struct TrainerTests {
    private static func data(rows: Int) throws -> TrainingData {
        TrainingData(train: DataSet.text(try EmbeddedData.train()).subset(Array(0..<rows)))
    }

    private static func configuration(_ change: (inout RunConfiguration) -> Void = { _ in }) throws -> RunConfiguration {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.model = ModelConfiguration(layers: [.embedding(EmbeddingConfiguration(units: 8)),
                                                          .recurrent(.rnn, RecurrentConfiguration(units: 8, activation: .relu))])
        configuration.training = TrainingConfiguration(epochs: 3, batchSize: 16, patience: nil)
        change(&configuration)
        return configuration
    }

    private static func values(_ folder: RunFolder, _ file: RunFolder.File) throws -> [Double] {
        try Safetensors(contentsOf: folder.path(of: file)).tensors.flatMap(\.doubles)
    }

    /// A GPU's loss is read every 16 steps; that changes nothing but the moment.
    @Test func readingLossesSeldomChangesNothing() throws {
        var runs: [TrainingResult] = []
        for interval in [1, 16] {
            let trainer = try Trainer(configuration: try Self.configuration(), data: try Self.data(rows: 400),
                                      backend: try Device.open("cpu"), folder: nil)
            trainer.lossInterval = interval
            runs.append(try trainer.run())
        }
        #expect(runs[0].epochs.map(\.trainingLoss) == runs[1].epochs.map(\.trainingLoss))
        #expect(runs[0].epochs.map(\.validationLoss) == runs[1].epochs.map(\.validationLoss))
        #expect(runs[0].bestEpoch == runs[1].bestEpoch)
    }

    /// Divergence in the first epoch, read at once or only at the epoch's end: the weights kept are numbers.
    @Test(arguments: [1, 16, 1000]) func divergenceKeepsGoodWeights(_ interval: Int) throws {
        let configuration = try Self.configuration {
            $0.training.optimizer = OptimizerConfiguration(.sgd)
            $0.training.learningRate = 1e25
        }
        try RunFolder.temporary { folder in
            let trainer = try Trainer(configuration: configuration, data: try Self.data(rows: 200),
                                      backend: try Device.open("cpu"), folder: folder)
            trainer.lossInterval = interval
            let error = try #require(throws: CarouselError.self) { try trainer.run() }
            #expect(error.status == .diverged)
            for file in [RunFolder.File.model, .lastModel] {
                #expect(try Self.values(folder, file).allSatisfy(\.isFinite))
            }
        }
    }

    /// One update that breaks the weights after a good loss, in the last step of all.
    @Test func theLastUpdateCountsToo() throws {
        let configuration = try Self.configuration {
            $0.training.epochs = 1
            $0.training.batchSize = 1000
            $0.training.optimizer = OptimizerConfiguration(.sgd)
            $0.training.learningRate = 1e300
        }
        let trainer = try Trainer(configuration: configuration, data: try Self.data(rows: 50),
                                  backend: try Device.open("cpu"), folder: nil)
        let error = try #require(throws: CarouselError.self) { try trainer.run() }
        #expect(error.status == .diverged)
        #expect(error.message.contains("after step 1 (epoch 1)") && error.message.contains("weights '"), "\(error.message)")
    }

    /// With one step per epoch the average must follow too, or the untrained model is the best for ever.
    @Test func theAverageFollowsFewSteps() throws {
        let configuration = try Self.configuration {
            $0.training.averageDecay = 0.999
            $0.training.batchSize = 1000
            $0.training.epochs = 6
        }
        let trainer = try Trainer(configuration: configuration, data: try Self.data(rows: 60),
                                  backend: try Device.open("cpu"), folder: nil)
        let losses = try trainer.run().epochs.compactMap(\.validationLoss)
        #expect(Set(losses).count == 6, "\(losses)")
        #expect(Trainer.averageInterval(stepsPerEpoch: 1) == 1 && Trainer.averageInterval(stepsPerEpoch: 64) == 4)
    }

    @Test func anInterruptionInTheFirstEpochSavesAModel() throws {
        // Before any step, after one, while validating.
        for after in [0, 1, 6] {
            try RunFolder.temporary { folder in
                let trainer = try Trainer(configuration: try Self.configuration(), data: try Self.data(rows: 100),
                                          backend: try Device.open("cpu"), folder: folder)
                trainer.lossInterval = 16
                var asked = 0
                let result = try trainer.run(shouldStop: {
                    asked += 1
                    return asked > after
                })
                #expect(result.interrupted && result.bestEpoch == 0 && result.epochs.isEmpty)
                #expect(try folder.read(.metrics).isEmpty)
                #expect(try Self.values(folder, .model) == Self.values(folder, .lastModel))
                _ = try Classifier.load(folder.path, on: try Device.open("cpu")).predict(["a film"])
            }
        }
    }

    @Test func metricsHaveOneLinePerEpoch() throws {
        try RunFolder.temporary { folder in
            let trainer = try Trainer(configuration: try Self.configuration(), data: try Self.data(rows: 100),
                                      backend: try Device.open("cpu"), folder: folder)
            let result = try trainer.run()
            let lines = try folder.read(.metrics).split(separator: "\n")
            #expect(lines.count == 3)
            for (number, line) in lines.enumerated() {
                let object = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
                #expect(object["epoch"] as? Int == number + 1)
                #expect(object["steps"] as? Int == 6)
                let loss = try #require(object["training_loss"] as? Double)
                #expect(abs(loss - result.epochs[number].trainingLoss) < 1e-12)
            }
        }
    }

    /// An infinite norm is worth a line, not the end of a training.
    @Test func metricsHoldWhatIsNotANumber() throws {
        let record = EpochRecord(epoch: 1, steps: 1, trainingLoss: 1, validationLoss: .nan, seconds: 1, tokensPerSecond: 1,
                                 learningRate: 1, gradientNorm: .infinity, isBest: true, weightsHash: "", optimizerHash: "")
        let text = try Trainer.json(record, [.sortedKeys])
        #expect(text.contains("\"gradient_norm\":\"inf\"") && text.contains("\"validation_loss\":\"nan\""), "\(text)")
    }

    /// Edges of the data: a class of one row, a batch larger than the data, weights for the classes, an empty validation part.
    @Test func smallAndUnevenDataTrains() throws {
        let rows = TextDataSet(name: "rows", texts: ["good", "bad", "good good", "", "odd", "bad bad bad"],
                               labels: ["p", "n", "p", "n", "o", "n"])
        for split in [0, 0.1, 0.5, 0.9] {
            let configuration = try Self.configuration {
                $0.training.validationSplit = split
                $0.training.classWeights = .balanced
                $0.preparation.minimumCount = 1
            }
            let trainer = try Trainer(configuration: configuration, data: TrainingData(train: .text(rows)),
                                      backend: try Device.open("cpu"), folder: nil)
            let result = try trainer.run()
            #expect(result.epochs.count == 3 && result.epochs.allSatisfy { $0.trainingLoss.isFinite }, "split \(split)")
            #expect((result.validation == nil) == (split == 0))
        }
        // One row of each class, and most of each class held out.
        let two = TextDataSet(name: "two", texts: ["good", "bad"], labels: ["p", "n"])
        let none = try #require(throws: CarouselError.self) {
            try Trainer(configuration: try Self.configuration { $0.training.validationSplit = 0.6 }, data: TrainingData(train: .text(two)),
                        backend: try Device.open("cpu"), folder: nil)
        }
        #expect(none.status == .badData && none.message.contains("all 2 rows"))
        let empty = TextDataSet(name: "empty", texts: [], labels: [])
        let trainer = try Trainer(configuration: try Self.configuration(), data: TrainingData(train: .text(rows), validation: .text(empty)),
                                  backend: try Device.open("cpu"), folder: nil)
        let result = try trainer.run()
        #expect(result.epochs.count == 3 && !result.interrupted && result.validation == nil)
    }

    @Test func impossibleSizesAreRefused() throws {
        let endless = try #require(throws: CarouselError.self) {
            try Self.configuration { $0.training.epochs = .max }.validate(hasTokens: true)
        }
        #expect(endless.status == .badConfiguration)
        let huge = try Self.configuration {
            $0.model.layers[1] = .recurrent(.lstm, RecurrentConfiguration(units: 1 << 20))
        }
        let error = try #require(throws: CarouselError.self) {
            try Trainer(configuration: huge, data: try Self.data(rows: 20), backend: try Device.open("cpu"), folder: nil)
        }
        #expect(error.status == .outOfMemory)
    }
}
