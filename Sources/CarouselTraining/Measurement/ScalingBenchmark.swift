import CarouselCore
import CarouselNN
import Foundation

/// What a series of measurements varies; everything else stays at `ScalingBenchmark`'s base.
public enum ScalingAxis: String, Sendable, CaseIterable {
    /// T, B, H, L: forward and backward of an LSTM. V: a whole training step with an embedding.
    case steps = "T", batch = "B", hidden = "H", layers = "L", vocabulary = "V"

    /// Doubling.
    var points: [Int] {
        switch self {
        case .steps: [32, 64, 128, 256, 512]
        case .batch: [16, 32, 64, 128, 256]
        case .hidden: [64, 128, 256, 512]
        case .layers: [1, 2, 4, 8]
        case .vocabulary: [8_192, 16_384, 32_768, 65_536, 131_072]
        }
    }

    /// What the slope should be, for people.
    var expectation: String {
        switch self {
        case .steps: "1 expected"
        case .batch: "1 expected, less where small batches leave the device idle"
        case .hidden: "2 expected: weights are H x (I + H), and I = H here"
        case .layers: "1 expected, a little more: only the first layer needs no gradient of its input"
        case .vocabulary: "1 at most: only the optimizer and the norms pass over the whole table"
        }
    }
}

/// How time and memory grow with each size.
public struct ScalingBenchmark {
    private let open: () throws -> any Backend
    private let axes: [ScalingAxis]
    private let largest: Int
    private let seconds: Double
    private let status: (String) -> Void

    /// T, B, H as they are where they do not vary; I = H and one layer.
    private static let base = (steps: 64, batch: 64, hidden: 128)

    /// - Parameters:
    ///   - open: makes the device anew for every point, so that each has its own peak of memory.
    ///   - points: of each axis at most.
    ///   - seconds: of samples for all points together, beside their warm-up.
    public init(axes: [ScalingAxis] = ScalingAxis.allCases, points: Int, seconds: Double, opening open: @escaping () throws -> any Backend,
                status: @escaping (String) -> Void = { _ in }) {
        (self.axes, self.largest, self.seconds, self.open, self.status) = (axes, points, seconds, open, status)
    }

    /// A row for every point; two slopes for every axis.
    public func run(machine: BenchMachine) throws -> BenchReport {
        var report = BenchReport(command: "scaling", machine: machine)
        let isGPU = try open().info.isGPU
        let count = axes.reduce(0) { $0 + $1.points.prefix(largest).count }
        for axis in axes {
            var points: [(size: Int, seconds: Double)] = [], processor: [(size: Int, seconds: Double)] = []
            for size in axis.points.prefix(largest) {
                status("\(axis.rawValue) \(size)")
                let (row, timing) = try measure(axis, size, seconds: seconds / Double(max(1, count)))
                report.rows.append(row)
                points.append((size, timing.minimum))
                if let time = timing.processor { processor.append((size, time)) }
            }
            guard points.count > 1 else { continue }
            report.facts.append(BenchFact("slope of \(axis.rawValue)", Self.slope(points), unit: axis.expectation))
            report.facts.append(BenchFact("slope of \(axis.rawValue), last doubling", Self.slope(points.suffix(2))))
            // The host's processor says nothing of a GPU's work.
            if !isGPU { report.facts.append(BenchFact("slope of \(axis.rawValue), processor time", Self.slope(processor))) }
        }
        report.notes = ["slopes are those of log time by log size, of the fastest samples; \"of plan\" is the peak of the device's memory "
            + "as a share of what its planner said"]
        return report
    }

    private func measure(_ axis: ScalingAxis, _ size: Int, seconds: Double) throws -> (BenchRow, Timing) {
        let backend = try open()
        let (work, operations) = try work(axis, size, on: backend)
        let timing = try Stopwatch(backend: backend, seconds: seconds).time([work])[0]
        var row = BenchRow("\(axis.rawValue) \(size)", timing, operations: operations)
        row.bytes = (backend as? any MemoryPlanner)?.peakBytes
        row.plannedBytes = try Benchmark.bytes(on: backend) { planner in
            // Twice, as the real work runs more than once: what it reuses shows.
            let work = try self.work(axis, size, on: planner).0
            try work()
            try work()
        }
        return (row, timing)
    }

    /// One run of what an axis measures, and its operations where they are counted.
    private func work(_ axis: ScalingAxis, _ size: Int, on backend: any Backend) throws -> (() throws -> Void, Double?) {
        if axis == .vocabulary {
            let work = try StepWork(vocabulary: size, on: backend)
            return ({ try work.run() }, nil)
        }
        let base = Self.base, hidden = axis == .hidden ? size : base.hidden
        let subject = LayerCase(.lstm, LayerSize(steps: axis == .steps ? size : base.steps, batch: axis == .batch ? size : base.batch,
                                                 input: hidden, hidden: hidden, layers: axis == .layers ? size : 1))
        let work = try LayerWork(subject, on: backend)
        return ({ try work.forwardAndBackward() }, subject.operations(backward: true))
    }

    /// Of log time by log size, by least squares.
    static func slope(_ points: some Collection<(size: Int, seconds: Double)>) -> Double {
        let x = points.map { log(Double($0.size)) }, y = points.map { log(max($0.seconds, 1e-12)) }
        let meanX = x.reduce(0, +) / Double(x.count), meanY = y.reduce(0, +) / Double(y.count)
        let covariance = zip(x, y).reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) }
        let variance = x.reduce(0) { $0 + ($1 - meanX) * ($1 - meanX) }
        return variance > 0 ? covariance / variance : 0
    }
}

/// A whole training step of a small model of texts with a vocabulary of any size.
private final class StepWork {
    private let step: TrainingStep
    private let batch: DeviceBatch
    private let lossSum: Tensor
    private var number = 0

    /// 32 texts of 32 words; D and H 64.
    init(vocabulary: Int, on backend: any Backend) throws {
        let size = 32
        let layers: [LayerConfiguration] = [.embedding(EmbeddingConfiguration(units: 64)), .recurrent(.lstm, RecurrentConfiguration(units: 64))]
        let model = try SequenceClassifier(ModelConfiguration(layers: layers), input: .tokens(vocabulary: vocabulary), classes: 2, seed: 1, on: backend)
        let tokens = BenchValues.tokens(size * size, vocabulary: vocabulary)
        // As a training does it: large tables are stepped row by row.
        let optimizer = try Optimizer(OptimizerConfiguration(.adam), clipping: ClippingConfiguration(globalNorm: 1), store: model.store,
                                      rowSteps: .automatic(touched: Set(tokens).count))
        step = TrainingStep(model: model, optimizer: optimizer)
        let texts = (0..<size).map { Array(tokens[$0 * size ..< ($0 + 1) * size]) }
        batch = try model.upload(SequenceBatch(tokens: texts, labels: (0..<size).map { Int32($0 % 2) }))
        lossSum = try backend.makeTensor(shape: [1])
    }

    func run() throws {
        try step.run(batch, PassContext(mode: .training, step: number), learningRate: 1e-5, lossSum: lossSum)
        number += 1
    }
}
