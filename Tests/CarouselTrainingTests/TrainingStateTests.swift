import Carousel
import CarouselCore
import CarouselNN
@testable import CarouselTraining
import Foundation
import Testing

/// What a run keeps beside the model: losses, the rate, the best weights.
@Suite struct TrainingStateTests {
    private static func model(on backend: (any Backend)? = nil) throws -> SequenceClassifier {
        let layers: [LayerConfiguration] = [.recurrent(.rnn, RecurrentConfiguration(units: 3))]
        return try SequenceClassifier(ModelConfiguration(layers: layers), input: .features(width: 2), classes: 2, seed: 1,
                                      on: try backend ?? Device.open("cpu"))
    }

    private static func monitor(interval: Int) throws -> (StepMonitor, SequenceClassifier, Optimizer) {
        let model = try model()
        let optimizer = try Optimizer(OptimizerConfiguration(.sgd), clipping: ClippingConfiguration(), store: model.store)
        return (try StepMonitor(model: model, optimizer: optimizer, interval: interval), model, optimizer)
    }

    /// Leaves the loss and the squared gradient norm of a step where the step would.
    private static func add(_ loss: Double, norm: Double = 4, _ step: Int, to monitor: StepMonitor, _ model: SequenceClassifier, _ optimizer: Optimizer) throws {
        try model.backend.write([loss], to: monitor.slot)
        try model.backend.write([norm], to: optimizer.squaredNorm)
        try monitor.add(weight: 2, step: step)
    }

    private static func report(loss: Double, accuracy: Double = 0.5, f1: Double = 0.5) -> ClassificationReport {
        var report = ClassificationReport(names: ["a", "b"], truth: [0, 1], predicted: [0, 1], losses: [])
        report.loss = loss
        report.accuracy = accuracy
        report.macro.f1 = f1
        return report
    }

    // MARK: Steps

    /// Reading every 16 steps sums the same losses, each once, over readings and epochs of any length.
    @Test(arguments: [1, 5, 16]) func lossesAreSummedWhateverTheInterval(_ interval: Int) throws {
        let (monitor, model, optimizer) = try Self.monitor(interval: interval)
        var step = 0
        for epoch in 0..<3 {
            let steps = [40, 3, 16][epoch]
            for _ in 0..<steps {
                try Self.add(Double(step), step, to: monitor, model, optimizer)
                step += 1
            }
            try monitor.settle()
            // Losses step − steps … step − 1, each a sum over weight 2.
            #expect(monitor.mean == (Double(step - steps) + Double(step - 1)) / 4, "interval \(interval), epoch \(epoch)")
            try monitor.settle()
            #expect(monitor.mean == (Double(step - steps) + Double(step - 1)) / 4, "nothing is read twice")
            monitor.reset()
            #expect(monitor.mean == 0)
        }
        #expect(monitor.history == [Double](repeating: 2, count: 32))
    }

    @Test func theMeanWaitsForTheNextReading() throws {
        let (monitor, model, optimizer) = try Self.monitor(interval: 16)
        for step in 0..<15 { try Self.add(4, step, to: monitor, model, optimizer) }
        #expect(monitor.mean == 0)
        try Self.add(4, 15, to: monitor, model, optimizer)
        #expect(monitor.mean == 2)
        #expect(monitor.slot.offset == 0, "the ring starts anew")
    }

    /// The sign names the step that broke, not the one at which the loss was read.
    @Test(arguments: [Double.nan, .infinity]) func divergenceNamesTheStep(_ broken: Double) throws {
        let (monitor, model, optimizer) = try Self.monitor(interval: 16)
        for step in 0..<31 { try Self.add(step >= 20 ? broken : 1, step, to: monitor, model, optimizer) }
        let divergence = try #require(throws: Divergence.self) { try Self.add(1, 31, to: monitor, model, optimizer) }
        #expect(divergence.step == 20)
        guard case .loss = divergence.sign else { return #expect(Bool(false), "\(divergence)") }
    }

    /// A loss can be finite where a gradient is not.
    @Test func aGradientIsASignToo() throws {
        let (monitor, model, optimizer) = try Self.monitor(interval: 16)
        for step in 0..<18 { try Self.add(1, norm: step == 17 ? .infinity : Double(step * step), step, to: monitor, model, optimizer) }
        let divergence = try #require(throws: Divergence.self) { try monitor.settle() }
        #expect(divergence.step == 17 && divergence.sign == .gradientNorm(.infinity))
        #expect(divergence.gradientNorms == (0..<17).map(Double.init) + [.infinity])
    }

    /// A finite loss says nothing about the update after it.
    @Test func brokenWeightsAreFoundAndTheLastGoodOnesComeBack() throws {
        let (monitor, model, optimizer) = try Self.monitor(interval: 1)
        let backend = model.backend
        try backend.fill(model.store.weight(0), with: 0.25)
        try Self.add(1, 0, to: monitor, model, optimizer)
        try monitor.settle()
        let good = try backend.readFloats(model.store.weights)
        try backend.fill(model.store.weight(1), with: .nan)
        try Self.add(1, 1, to: monitor, model, optimizer)
        let divergence = try #require(throws: Divergence.self) { try monitor.settle() }
        #expect(divergence.step == 1 && divergence.sign == .weights)
        try monitor.restoreLastGood()
        #expect(try backend.readFloats(model.store.weights) == good)
    }

    /// From the first bad step on nothing changes any more, on every device, whatever the optimizer.
    @Test(arguments: [OptimizerConfiguration.Name.sgd, .adam, .rmsprop]) func updatesStopAtTheFirstBadStep(_ name: OptimizerConfiguration.Name) throws {
        for info in try Device.available().devices {
            let model = try Self.model(on: try Device.open(info.selector)), backend = model.backend
            let optimizer = try Optimizer(OptimizerConfiguration(name, momentum: name == .sgd ? 0.9 : 0), clipping: ClippingConfiguration(globalNorm: 1), store: model.store)
            func update(_ gradient: Double) throws -> [[Float]] {
                try backend.fill(model.store.gradients, with: gradient)
                try optimizer.clip()
                try optimizer.update(learningRate: 0.1)
                return try ([model.store.weights] + optimizer.moments.sorted { $0.key < $1.key }.map(\.value)).map { try backend.readFloats($0) }
            }
            let first = try update(0.5), second = try update(0.25)
            #expect(first != second, "\(info.selector)")
            let bad = try update(.infinity), later = try update(0.5)
            #expect(bad == second, "\(info.selector): a bad step changes nothing")
            #expect(later == second, "\(info.selector): nor does a later one")
            let sound = second.joined().allSatisfy { $0.isFinite }
            #expect(sound)
        }
    }

    // MARK: Learning rate

    private static func rate(_ schedule: Schedule, warmup: Double = 0, epochs: Int = 2, stepsPerEpoch: Int = 50) -> LearningRate {
        LearningRate(TrainingConfiguration(epochs: epochs, learningRate: 0.4, schedule: schedule, warmupShare: warmup),
                     stepsPerEpoch: stepsPerEpoch)
    }

    @Test func schedulesFallFromThePeak() {
        for step in [0, 1, 99, 100, 5000] { #expect(Self.rate(.constant)(step: step) == 0.4) }
        let linear = Self.rate(.linear), cosine = Self.rate(.cosine)
        for schedule in [linear, cosine] {
            #expect(schedule(step: 0) == 0.4)
            #expect(abs(schedule(step: 50) - 0.2) < 1e-12)
            #expect(schedule(step: 99) > 0, "the last step still learns")
            #expect(abs(schedule(step: 100)) < 1e-12 && abs(schedule(step: 1000)) < 1e-12)
            #expect((1..<100).allSatisfy { schedule(step: $0) < schedule(step: $0 - 1) })
        }
        #expect(abs(cosine(step: 25) - 0.2 * (1 + 0.5.squareRoot())) < 1e-12)
    }

    @Test func theWarmUpRisesToThePeak() {
        let rate = Self.rate(.linear, warmup: 0.1)
        #expect(rate.warmupSteps == 10)
        for step in 0..<10 { #expect(abs(rate(step: step) - 0.04 * Double(step + 1)) < 1e-12) }
        #expect(rate(step: 10) == 0.4)
        #expect(abs(rate(step: 55) - 0.2) < 1e-12)
    }

    @Test func shortRunsHaveARate() {
        for warmup in [0, 0.1, 0.5, 0.99] {
            for schedule in Schedule.allCases {
                for steps in 1...4 {
                    let rate = Self.rate(schedule, warmup: warmup, epochs: 1, stepsPerEpoch: steps)
                    for step in 0..<steps {
                        let value = rate(step: step)
                        #expect(value > 0 && value <= 0.4 + 1e-12, "\(schedule), warm-up \(warmup), step \(step) of \(steps)")
                    }
                }
            }
        }
    }

    // MARK: Best model

    /// Epochs offered with weights 1, 2, …; the epochs that counted as the best, and the weight kept.
    private static func best(_ monitor: Monitor, _ reports: [ClassificationReport?]) throws -> (epochs: [Int], kept: Float) {
        let model = try Self.model()
        let weights = try model.store.makeCompanion()
        var best = try BestModel(monitor: monitor, store: model.store), epochs: [Int] = []
        for (number, report) in reports.enumerated() {
            try model.backend.fill(weights, with: Double(number + 1))
            if try best.offer(report, epoch: number + 1, weights: weights) { epochs.append(number + 1) }
        }
        #expect(best.epoch == epochs.last)
        #expect((best.report == nil) == (reports[0] == nil))
        try best.restore()
        return (epochs, try model.backend.readFloats(model.store.weights)[0])
    }

    @Test func theMonitorDecides() throws {
        let reports = [Self.report(loss: 0.9, accuracy: 0.7, f1: 0.2), Self.report(loss: 0.5, accuracy: 0.7, f1: 0.4),
                       Self.report(loss: 0.5, accuracy: 0.6, f1: 0.3), Self.report(loss: 0.6, accuracy: 0.8, f1: 0.3)]
        #expect(try Self.best(.loss, reports) == (epochs: [1, 2], kept: 2), "equal is not better")
        #expect(try Self.best(.accuracy, reports) == (epochs: [1, 2, 4], kept: 4), "among equals the smaller loss")
        #expect(try Self.best(.macroF1, reports) == (epochs: [1, 2], kept: 2))
    }

    @Test func withoutAValidationPartTheLatestIsTheBest() throws {
        #expect(try Self.best(.loss, [nil, nil, nil]) == (epochs: [1, 2, 3], kept: 3))
    }

    @Test func aLossThatIsNotANumberGivesWay() throws {
        let reports = [Self.report(loss: .nan), Self.report(loss: 7), Self.report(loss: .nan), Self.report(loss: 6)]
        #expect(try Self.best(.loss, reports) == (epochs: [1, 2, 4], kept: 4))
        #expect(try Self.best(.loss, [Self.report(loss: .infinity), Self.report(loss: 7)]).kept == 2)
    }

    @Test func nothingOfferedNothingRestored() throws {
        let model = try Self.model()
        let before = try model.backend.readFloats(model.store.weights)
        try BestModel(monitor: .loss, store: model.store).restore()
        #expect(try model.backend.readFloats(model.store.weights) == before)
    }
}
