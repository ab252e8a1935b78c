import Carousel
import CarouselCPU
import CarouselCore
@testable import CarouselNN
import CarouselOpenCL
import CarouselReference
@testable import CarouselTraining
import Foundation
import Testing

/// A table that is stepped row by row holds the bits of one that is stepped as a whole.
@Suite struct RowStepsTests {
    private static func backends() throws -> [(name: String, backend: any Backend)] {
        var result: [(name: String, backend: any Backend)] = [("reference", ReferenceBackend())]
        for instructions in InstructionSet.allCases where instructions.isAvailable {
            result.append((instructions.name, try CPUBackend(threads: 2, instructions: instructions)))
        }
        guard !OpenCLBackend.devices().devices.isEmpty else { return result }
        for family in OpenCLBackend.KernelFamily.allCases {
            result.append((family.plan, try OpenCLBackend(device: 0, family: family)))
        }
        return result
    }

    private static let optimizers: [(name: String, configuration: OptimizerConfiguration)] = [
        ("Adam of Keras", .init(.adam)), ("Adam of PyTorch", .init(.adam, variant: .pytorch)),
        ("AdamW of Keras", .init(.adamw)), ("AdamW of PyTorch", .init(.adamw, variant: .pytorch, weightDecay: 0.3)),
    ]

    /// Bits of weights, moments and average.
    private static func bits(_ optimizer: Optimizer, _ store: ParameterStore) throws -> [[UInt64]] {
        let backend = store.backend
        let buffers = [try store.weights] + (try optimizer.moments.sorted { $0.key < $1.key }.map(\.value)) + (try optimizer.average.map { [$0] } ?? [])
        return try buffers.map { try backend.readDoubles($0).map(\.bitPattern) }
    }

    /// A small classifier with a table of which a batch touches little, and what trains it.
    private struct Run {
        let model: SequenceClassifier
        let optimizer: Optimizer
        let step: TrainingStep
        let lossSum: Tensor

        init(_ configuration: OptimizerConfiguration, _ rowSteps: RowSteps, clipping: ClippingConfiguration = .init(), on backend: any Backend) throws {
            // 21 columns: whole vectors and a rest on every instruction set.
            let layers: [LayerConfiguration] = [.embedding(.init(units: 21, dropout: 0.2)), .recurrent(.rnn, .init(units: 4))]
            model = try SequenceClassifier(ModelConfiguration(layers: layers), input: .tokens(vocabulary: 90), classes: 3, seed: 5, on: backend)
            optimizer = try Optimizer(configuration, clipping: clipping, store: model.store, rowSteps: rowSteps)
            try optimizer.keepAverage()
            step = TrainingStep(model: model, optimizer: optimizer)
            lossSum = try backend.makeTensor([0.0], shape: [1])
        }

        /// The next step, of another batch each time; some rows come often, some after long, some never.
        func take() throws {
            let number = optimizer.step
            var generator = SeededGenerator(seed: UInt64(number), purpose: 1)
            let rows = [3, 2, 1, 0].map { length in
                (0..<length).map { _ in Int32(generator.uniform() * generator.uniform() * (number % 5 == 0 ? 80 : 20)) }
            }
            let batch = try model.upload(SequenceBatch(tokens: rows, labels: [0, 1, 2, 1]))
            let settings = TrainingConfiguration(epochs: 1, learningRate: 0.02, schedule: .cosine, warmupShare: 0.2)
            try step.run(batch, PassContext(mode: .training, seed: 9, step: number), learningRate: LearningRate(settings, stepsPerEpoch: 60)(step: number),
                         lossSum: lossSum)
            if optimizer.step % 4 == 0 { try optimizer.updateAverage(decay: 0.9) }
        }
    }

    /// Sixty steps with a schedule, an average and dropout; looked at in the end, now and then, and in every step.
    @Test(arguments: optimizers.indices) func sixtyStepsHoldTheSameBits(_ number: Int) throws {
        let (name, configuration) = Self.optimizers[number]
        for (device, backend) in try Self.backends() {
            let whole = try Run(configuration, .never, on: backend)
            for _ in 0..<60 { try whole.take() }
            let expected = try Self.bits(whole.optimizer, whole.model.store)
            #expect(!whole.optimizer.stepsRows)
            for interval in [1, 7, 1000] {
                let rows = try Run(configuration, .always, on: backend)
                #expect(rows.optimizer.stepsRows)
                for step in 1...60 {
                    try rows.take()
                    if step % interval == 0 { _ = try rows.model.store.weights }
                }
                #expect(try Self.bits(rows.optimizer, rows.model.store) == expected, "\(name) on \(device), looked at every \(interval) steps")
            }
        }
    }

    /// Limits on values act on each number alone; the norm is a sum of other parts.
    @Test func clippingActsOnTheRows() throws {
        let value = ClippingConfiguration(value: 1e-3), norms = ClippingConfiguration(globalNorm: 0.01, tensorNorm: 0.005)
        for (device, backend) in try Self.backends() {
            let whole = try Run(.init(.adam), .never, clipping: value, on: backend), rows = try Run(.init(.adam), .always, clipping: value, on: backend)
            for _ in 0..<6 { try whole.take(); try rows.take() }
            #expect(try Self.bits(rows.optimizer, rows.model.store) == Self.bits(whole.optimizer, whole.model.store), "\(device)")
            let limited = try Run(.init(.adam), .never, clipping: norms, on: backend), other = try Run(.init(.adam), .always, clipping: norms, on: backend)
            for _ in 0..<3 {
                try limited.take()
                try other.take()
                let expected = try limited.optimizer.gradientNorm(), norm = try other.optimizer.gradientNorm()
                #expect(expected > 0 && abs(norm - expected) < 1e-6 * expected, "\(device)")
                // The gradients after clipping, seen as a whole; after that they are stepped as a whole.
                let difference = zip(try backend.readDoubles(limited.model.store.gradients), try backend.readDoubles(other.model.store.gradients))
                    .reduce(0) { max($0, abs($1.0 - $1.1)) }
                #expect(difference < 1e-8, "\(device)")
            }
            // Adam multiplies a rounding of a gradient near 0 by much; most weights are the same all the same.
            let pairs = zip(try backend.readDoubles(limited.model.store.weights), try backend.readDoubles(other.model.store.weights))
            #expect(pairs.allSatisfy { abs($0 - $1) < 1e-3 }, "\(device)")
        }
    }

    /// Steps after a loss that is not finite count for no row, whenever it is looked at.
    @Test func nothingChangesAfterAFault() throws {
        for (device, backend) in try Self.backends() {
            func run(_ rowSteps: RowSteps, looksAt: Set<Int>) throws -> [[UInt64]] {
                let run = try Run(.init(.adamw), rowSteps, on: backend)
                for step in 0..<20 {
                    if step == 9 { try run.optimizer.watch(backend.makeTensor([Double.infinity], shape: [1])) }
                    try run.take()
                    if looksAt.contains(step) { _ = try run.model.store.weights }
                }
                // The average is of no use any more and follows its own rule.
                return try Array(Self.bits(run.optimizer, run.model.store).prefix(3))
            }
            let expected = try run(.never, looksAt: [])
            for looksAt in [[], [8], [9], [12, 15]] { #expect(try run(.always, looksAt: Set(looksAt)) == expected, "\(device), looked at after \(looksAt)") }
        }
    }

    /// Whoever takes the gradients as a whole may change them, and the step after is one of the whole table.
    @Test func gradientsThatWereHandedOverAreUsed() throws {
        let backend = try CPUBackend(threads: 1)
        func run(_ rowSteps: RowSteps) throws -> [[UInt64]] {
            let run = try Run(.init(.adam), rowSteps, on: backend)
            for _ in 0..<3 { try run.take() }
            try backend.fill(run.model.store.gradients, with: 0.25)
            try run.optimizer.clip()
            try run.optimizer.update(learningRate: 0.1)
            for _ in 0..<3 { try run.take() }
            return try Self.bits(run.optimizer, run.model.store)
        }
        #expect(try run(.always) == run(.never))
    }

    /// Another flat buffer in place of the weights has no steps to make up for.
    @Test func exchangedWeightsAreReadAsTheyAre() throws {
        let backend = try CPUBackend(threads: 1)
        let run = try Run(.init(.adam), .always, on: backend)
        for _ in 0..<9 { try run.take() }
        let other = try run.model.store.makeCompanion()
        try backend.fill(other, with: 0.5)
        let batch = try run.model.upload(SequenceBatch(tokens: [[1, 2, 3]], labels: [0]))
        _ = try run.model.store.exchanging(other) { try run.model.forward(batch, PassContext(mode: .inference)) }
        #expect(try backend.readFloats(other).allSatisfy { $0 == 0.5 })
        let whole = try Run(.init(.adam), .never, on: backend)
        for _ in 0..<9 { try whole.take() }
        #expect(try Self.bits(run.optimizer, run.model.store) == Self.bits(whole.optimizer, whole.model.store))
    }

    @Test func itSwitchesItselfOnWhereATableIsLarge() throws {
        #expect(RowSteps.automatic(touched: 4_000).pays(rows: 400_000))
        #expect(!RowSteps.automatic(touched: 4_000).pays(rows: 5_000))
        #expect(!RowSteps.never.pays(rows: 1 << 30) && RowSteps.always.pays(rows: 1))
        let backend = try CPUBackend(threads: 1)
        #expect(try !Run(.init(.sgd, momentum: 0.9), .always, on: backend).optimizer.stepsRows, "only Adam has rows")
        #expect(try Run(.init(.adam), .automatic(touched: 2), on: backend).optimizer.stepsRows)
        #expect(try !Run(.init(.adam), .automatic(touched: 80), on: backend).optimizer.stepsRows)
    }
}
