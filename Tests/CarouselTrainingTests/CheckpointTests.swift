import Carousel
import CarouselCore
import CarouselData
import CarouselNN
@testable import CarouselTraining
import Foundation
import Testing

/// A run that is stopped and continued is the run that was never stopped.
@Suite struct CheckpointTests {
    private static func data(rows: Int = 120) throws -> TrainingData {
        TrainingData(train: DataSet.text(try EmbeddedData.train()).subset(Array(0..<rows)))
    }

    /// Everything a checkpoint has to carry: dropout of three kinds, an average, a schedule with warm-up, early stopping.
    private static func configuration(_ optimizer: OptimizerConfiguration.Name = .adam, _ change: (inout RunConfiguration) -> Void = { _ in })
        throws -> RunConfiguration
    {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.model = ModelConfiguration(layers: [
            .embedding(EmbeddingConfiguration(units: 8, dropout: 0.3)),
            .recurrent(.lstm, RecurrentConfiguration(units: 8, bidirectional: .concat, recurrentDropout: 0.3)), .dropout(.init(rate: 0.4))])
        configuration.training = TrainingConfiguration(epochs: 3, batchSize: 16, learningRate: 0.01,
                                                       optimizer: OptimizerConfiguration(optimizer, momentum: optimizer == .adam ? 0 : 0.9),
                                                       clipping: .init(globalNorm: 1), schedule: .cosine, warmupShare: 0.2,
                                                       averageDecay: 0.9, patience: 2)
        change(&configuration)
        return configuration
    }

    /// Trains in `folder`, stopping after `steps` steps of this process; nil = to the end.
    @discardableResult
    private static func train(_ configuration: RunConfiguration, in folder: RunFolder?, resume: Bool = false, stopAfter steps: Int? = nil,
                              every interval: CheckpointInterval = .seconds(1e9), device: String = "cpu", lossInterval: Int = 1,
                              data: TrainingData? = nil, rowSteps: RowSteps? = nil, observe: @escaping (TrainingEvent) -> Void = { _ in }) throws -> TrainingResult {
        let trainer = try Trainer(configuration: configuration, data: try data ?? Self.data(), backend: try Device.open(device), folder: folder,
                                  rowSteps: rowSteps)
        trainer.lossInterval = lossInterval
        var asked = 0
        return try trainer.run(resume: resume, checkpoints: interval, observe: observe, shouldStop: {
            asked += 1
            return steps.map { asked > $0 } ?? false
        })
    }

    private static func files(_ folder: RunFolder) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for file in [RunFolder.File.model, .lastModel, .metrics, .vocabulary, .labels, .preparation, .configuration] {
            files[file.rawValue] = try Data(contentsOf: URL(fileURLWithPath: folder.path(of: file)))
        }
        return files
    }

    /// Stopped in the first epoch, at an epoch's end, while validating, again and again; with every optimizer, and
    /// with losses read every 16 steps as on a GPU.
    @Test(arguments: [OptimizerConfiguration.Name.adam, .sgd, .rmsprop], [1, 16])
    func aResumedRunEndsWithTheSameBytes(_ optimizer: OptimizerConfiguration.Name, _ lossInterval: Int) throws {
        let configuration = try Self.configuration(optimizer)
        try RunFolder.temporary { whole in
            let result = try Self.train(configuration, in: whole)
            #expect(result.epochs.count == 3 && !FileManager.default.fileExists(atPath: CheckpointFolder(in: whole).path))
            let expected = try Self.files(whole)
            // An epoch asks 7 times in training and once for each validation batch.
            for stops in [[3], [0, 1, 1], [7, 7], [8], [10, 3, 1]] {
                try RunFolder.temporary { folder in
                    for (number, steps) in stops.enumerated() {
                        let stopped = try Self.train(configuration, in: folder, resume: number > 0, stopAfter: steps, lossInterval: lossInterval)
                        #expect(stopped.interrupted)
                    }
                    let resumed = try Self.train(configuration, in: folder, resume: true, lossInterval: lossInterval)
                    #expect(try Self.files(folder) == expected, "stopped after \(stops)")
                    #expect(resumed.sessions.count == stops.count + 1)
                    #expect(resumed.validation == result.validation && resumed.bestEpoch == result.bestEpoch)
                }
            }
        }
    }

    /// Checkpoints written on the way change nothing, and only the newest stay.
    @Test func checkpointsOnTheWay() throws {
        let configuration = try Self.configuration()
        try RunFolder.temporary { folder in
            var seen: [[Int]] = []
            let trainer = try Trainer(configuration: configuration, data: try Self.data(), backend: try Device.open("cpu"), folder: folder)
            let result = try trainer.run(checkpoints: .steps(2), shouldStop: {
                seen.append((try? CheckpointFolder(in: folder).steps()) ?? [])
                return false
            })
            #expect(seen.contains([2]) && seen.contains([4, 2]) && seen.contains([6, 4]) && !seen.contains { $0.count > 2 })
            let plain = try Self.train(configuration, in: nil)
            #expect(result.epochs.map(\.weightsHash) == plain.epochs.map(\.weightsHash))
            #expect(result.epochs.map(\.optimizerHash) == plain.epochs.map(\.optimizerHash))
        }
    }

    /// A table that is stepped row by row is brought up to date at other moments in a run that is stopped, or that writes
    /// checkpoints; on every device.
    @Test func rowsOfATableResume() throws {
        let configuration = try Self.configuration()
        for info in try Device.available().devices {
            try RunFolder.temporary { whole in
                let result = try Self.train(configuration, in: whole, device: info.selector, rowSteps: .always)
                for interval in [CheckpointInterval.seconds(1e9), .steps(2)] {
                    try RunFolder.temporary { folder in
                        try Self.train(configuration, in: folder, stopAfter: 9, every: interval, device: info.selector, lossInterval: 16, rowSteps: .always)
                        let resumed = try Self.train(configuration, in: folder, resume: true, every: interval, device: info.selector, rowSteps: .always)
                        #expect(try Self.files(folder) == Self.files(whole), "\(info.selector)")
                        #expect(resumed.epochs.map(\.optimizerHash) == result.epochs.map(\.optimizerHash), "\(info.selector)")
                    }
                }
            }
        }
    }

    @Test func everyOpenCLDeviceResumes() throws {
        let configuration = try Self.configuration()
        for info in try Device.available().devices where info.kind == .opencl {
            try RunFolder.temporary { whole in
                try Self.train(configuration, in: whole, device: info.selector)
                try RunFolder.temporary { folder in
                    try Self.train(configuration, in: folder, stopAfter: 9, device: info.selector)
                    try Self.train(configuration, in: folder, resume: true, device: info.selector)
                    #expect(try Self.files(folder) == Self.files(whole), "\(info.selector)")
                }
            }
        }
    }

    /// A run can move to another device; it says so and remembers.
    @Test func anotherDeviceIsRecorded() throws {
        try RunFolder.temporary { folder in
            try Self.train(try Self.configuration(), in: folder, stopAfter: 3)
            var changes: [String] = []
            let result = try Self.train(try Self.configuration(), in: folder, resume: true, device: "reference") {
                if case .resumed(let record) = $0 { changes = record.changes }
            }
            #expect(changes.first?.contains("cpu") == true && changes.first?.contains("reference") == true)
            #expect(result.sessions.map(\.device) == ["cpu", "reference"] && result.sessions.map(\.firstStep) == [0, 3])
        }
    }

    // MARK: Damage

    private static func alter(_ path: String, _ change: (inout Data) -> Void) throws {
        var data = try Data(contentsOf: URL(fileURLWithPath: path))
        change(&data)
        try data.write(to: URL(fileURLWithPath: path))
    }

    /// Cut short, one bit flipped anywhere, emptied, missing: noticed, and the checkpoint before is used.
    @Test(arguments: ["json", "safetensors"]) func aDamagedCheckpointIsPassedOver(_ ending: String) throws {
        let configuration = try Self.configuration()
        try RunFolder.temporary { whole in
            try Self.train(configuration, in: whole)
            let expected = try Self.files(whole)
            let damages: [(String, (inout Data) -> Void)] = [
                ("cut short", { $0.removeLast($0.count / 3) }), ("empty", { $0.removeAll() }), ("longer", { $0.append(0) }),
                ("first bit", { $0[0] ^= 1 }), ("a bit inside", { $0[$0.count / 2] ^= 0x10 }), ("last bit", { $0[$0.count - 1] ^= 0x80 }),
                ("header", { $0[min(20, $0.count - 1)] ^= 4 }),
            ]
            for (what, damage) in damages {
                try RunFolder.temporary { folder in
                    try Self.train(configuration, in: folder, stopAfter: 9, every: .steps(3))
                    let steps = try CheckpointFolder(in: folder).steps()
                    #expect(steps.count == 2)
                    try Self.alter(CheckpointFolder(in: folder).path + "/" + CheckpointFolder.name(step: steps[0]) + "." + ending, damage)
                    var records: [ResumeRecord] = []
                    try Self.train(configuration, in: folder, resume: true) { if case .resumed(let record) = $0 { records.append(record) } }
                    #expect(records.first?.damaged.count == 1 && records.first?.step == steps[1], "\(what): \(records)")
                    #expect(try Self.files(folder) == expected, "\(what)")
                }
            }
        }
    }

    /// Two checkpoints of one step have files of their own, and what was passed over as damaged does not take a whole one's place.
    @Test func noCheckpointTakesThePlaceOfAWholeOne() throws {
        let configuration = try Self.configuration()
        try RunFolder.temporary { folder in
            let checkpoints = CheckpointFolder(in: folder)
            func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: checkpoints.path).sorted() }
            // Stopped while validating, with and without the next step of the way: the same step, another state.
            try Self.train(configuration, in: folder, stopAfter: 7)
            #expect(try names() == ["step-00000007.json", "step-00000007.safetensors"])
            try Self.train(configuration, in: folder, resume: true, stopAfter: 1)
            #expect(try names() == ["step-00000007-2.safetensors", "step-00000007.json"])
            try Self.train(configuration, in: folder, resume: true, stopAfter: 4, every: .steps(2))
            #expect(try checkpoints.steps() == [11, 9])
            let newest = try #require(try names().first { $0.hasPrefix("step-00000011") && $0.hasSuffix(".safetensors") })
            try Self.alter(checkpoints.path + "/" + newest) { $0[$0.count / 2] ^= 1 }
            try Self.train(configuration, in: folder, resume: true, stopAfter: 3)
            #expect(try checkpoints.steps() == [12, 9], "the damaged one went, the whole one stayed")
        }
    }

    /// After falling back, the folder holds the model of the epochs it knows.
    @Test func theModelIsThatOfTheCheckpoint() throws {
        let configuration = try Self.configuration { $0.training.patience = nil }
        try RunFolder.temporary { folder in
            try Self.train(configuration, in: folder, stopAfter: 10)
            let kept = try FileManager.default.contentsOfDirectory(atPath: CheckpointFolder(in: folder).path).map { name in
                (name, try Data(contentsOf: URL(fileURLWithPath: CheckpointFolder(in: folder).path + "/" + name)))
            }
            let model = try Data(contentsOf: URL(fileURLWithPath: folder.path(of: .model)))
            // Two epochs later the process is killed: its checkpoint is the old one again.
            try Self.train(configuration, in: folder, resume: true)
            try FileManager.default.createDirectory(atPath: CheckpointFolder(in: folder).path, withIntermediateDirectories: true)
            for (name, data) in kept { try data.write(to: URL(fileURLWithPath: CheckpointFolder(in: folder).path + "/" + name)) }
            let result = try Self.train(configuration, in: folder, resume: true, stopAfter: 1)
            #expect(result.bestEpoch == 1)
            #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path(of: .model))) == model)
        }
    }

    @Test func withoutAWholeCheckpointTheRunIsNotBegunAnew() throws {
        let configuration = try Self.configuration()
        try RunFolder.temporary { folder in
            try Self.train(configuration, in: folder, stopAfter: 9, every: .steps(3))
            for step in try CheckpointFolder(in: folder).steps() {
                try Self.alter(CheckpointFolder(in: folder).path + "/" + CheckpointFolder.name(step: step) + ".safetensors") { $0.removeLast() }
            }
            let model = FileManager.default.contents(atPath: folder.path(of: .lastModel))
            let error = try #require(throws: CarouselError.self) { try Self.train(configuration, in: folder, resume: true) }
            #expect(error.status == .badData && error.message.contains("no checkpoint is whole") && error.message.contains("bytes instead of"), "\(error)")
            #expect(FileManager.default.contents(atPath: folder.path(of: .lastModel)) == model)
            #expect(try CheckpointFolder(in: folder).steps().count == 2)
        }
    }

    /// Leftovers of a killed process are not taken for checkpoints and are cleared away.
    @Test func halfWrittenFilesAreIgnored() throws {
        let configuration = try Self.configuration()
        try RunFolder.temporary { folder in
            try Self.train(configuration, in: folder, stopAfter: 5)
            let checkpoints = CheckpointFolder(in: folder)
            for name in [".step-00000006.safetensors.4711", ".step-00000006.json.4711", "step-00000006.safetensors"] {
                try Data("half".utf8).write(to: URL(fileURLWithPath: checkpoints.path + "/" + name))
            }
            try Data("mine".utf8).write(to: URL(fileURLWithPath: checkpoints.path + "/notes.txt"))
            var steps: [Int] = []
            try Self.train(configuration, in: folder, resume: true, stopAfter: 3) { if case .resumed(let record) = $0 { steps.append(record.step) } }
            #expect(steps == [5])
            #expect(try FileManager.default.contentsOfDirectory(atPath: checkpoints.path).sorted()
                == ["notes.txt", "step-00000005.json", "step-00000005.safetensors", "step-00000007.json", "step-00000007.safetensors"])
        }
    }

    // MARK: What has changed

    @Test func anotherConfigurationIsRefusedWithTheDifference() throws {
        try RunFolder.temporary { folder in
            try Self.train(try Self.configuration(), in: folder, stopAfter: 3)
            let other = try Self.configuration { $0.training.learningRate = 0.02; $0.model.layers[2] = .dropout(.init(rate: 0.5)) }
            let error = try #require(throws: CarouselError.self) { try Self.train(other, in: folder, resume: true) }
            #expect(error.status == .badConfiguration)
            #expect(error.message.contains("training.learning_rate: 0.01 then, 0.02 now"), "\(error)")
            #expect(error.message.contains("model.layers.2.dropout.rate: 0.4 then, 0.5 now"), "\(error)")
        }
    }

    @Test func otherDataIsRefusedWithTheDifference() throws {
        let configuration = try Self.configuration()
        try RunFolder.temporary { folder in
            try Self.train(configuration, in: folder, stopAfter: 3)
            guard case .text(var set) = try Self.data().train else { return }
            func refusal(_ data: TrainingData) throws -> String {
                let error = try #require(throws: CarouselError.self) { try Self.train(configuration, in: folder, resume: true, data: data) }
                #expect(error.status == .badData)
                return error.message
            }
            #expect(try refusal(try Self.data(rows: 119)).contains("training data: 120 rows then, 119 now"))
            set.texts[77] += " indeed"
            #expect(try refusal(TrainingData(train: .text(set))).contains("rows 77 to 78"))
            #expect(try refusal(TrainingData(train: try Self.data().train, test: try Self.data().train)).contains("test data: not given then, given now"))
        }
    }

    /// Doubles come back as they were, and what is not a number too.
    @Test func theDescriptionSurvivesItsFile() throws {
        var state = TrainingState()
        state.lossSum = 0.1 + 0.2
        state.squaredGradientNorm = .infinity
        state.seconds = 1 / 3
        state.best = BestEpoch(epoch: 1, report: nil, score: -.infinity, negativeLoss: -.infinity)
        let configuration = try Self.configuration()
        let trainer = try Trainer(configuration: configuration, data: try Self.data(), backend: try Device.open("cpu"), folder: nil)
        let manifest = CheckpointManifest(state: state, configuration: configuration, data: trainer.fingerprint,
                                          tensors: "step-00000000.safetensors", bytes: 12, sha256: "ab")
        #expect(try CheckpointManifest(data: Data(try manifest.encoded().utf8), name: "x") == manifest)
        for change in [{ $0.best?.epoch = .min }, { $0.best?.epoch = 7 }, { $0.step = .max }, { $0.stepInEpoch = -1 }, { $0.epoch = 1 }]
            as [(inout TrainingState) -> Void] {
            var wrong = manifest
            change(&wrong.state)
            #expect(throws: CarouselError.self) { try CheckpointManifest(data: Data(try wrong.encoded().utf8), name: "x") }
        }
        for text in ["", "{}\n", "{}\n\n", "{}\n" + SHA256.hexadecimal(of: "{}") + "\n", "[]\nx\n", String(repeating: "\n", count: 9)] {
            let error = try #require(throws: CarouselError.self) { try CheckpointManifest(data: Data(text.utf8), name: "x") }
            #expect(error.status == .badData)
        }
    }
}
