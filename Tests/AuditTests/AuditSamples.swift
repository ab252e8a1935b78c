import Carousel
@testable import CarouselOpenCL
import CarouselReference
import Foundation

/// Small models with every kind of layer, and devices to audit them on.
enum AuditSamples {
    static func recurrent(_ kind: RecurrentCell.Kind, _ units: Int, _ output: RecurrentOutput = .last, _ merge: BidirectionalMerge? = nil,
                          activation: Activation = .tanh, resetAfter: Bool = true, concatInput: Bool = false, dropout: Double = 0) -> LayerConfiguration {
        .recurrent(kind, RecurrentConfiguration(units: units, activation: activation, resetAfter: resetAfter, output: output,
                                                bidirectional: merge, concatInput: concatInput, recurrentDropout: dropout))
    }

    /// Widths of whole vectors and a rest; biases that are not 0.
    static let models: [String: [LayerConfiguration]] = [
        "stacked-lstm": [.embedding(.init(units: 8)), recurrent(.lstm, 20, .sequences), recurrent(.lstm, 17)],
        "simple-rnn": [.embedding(.init(units: 8)), recurrent(.rnn, 20, .sequences), .pooling(.init(of: [.last, .mean]))],
        "bilstm": [.embedding(.init(units: 8, dropout: 0.3)), recurrent(.lstm, 18, .sequences, .concat, concatInput: true),
                   .dense(.init(units: 20, activation: .tanh)), .pooling(.init(of: [.max])), .dropout(.init(rate: 0.5))],
        "gru": [.embedding(.init(units: 8)), recurrent(.gru, 20, .sequences), recurrent(.gru, 17, .last, resetAfter: false, dropout: 0.3)],
        "recurrent-dropout": [.embedding(.init(units: 8)), recurrent(.lstm, 20, .last, .concat, dropout: 0.4)],
        "everything": [.embedding(.init(units: 8)), recurrent(.lstm, 20, .sequences), .dense(.init(units: 20, activation: .tanh)),
                       .dropout(.init(rate: 0.3)), .pooling(.init(of: [.mean, .max]))],
        "gru-reset-after": [.embedding(.init(units: 8)), recurrent(.gru, 20)],
        "gru-reset-before": [.embedding(.init(units: 8)), recurrent(.gru, 20, resetAfter: false)],
        "relu-lstm": [recurrent(.lstm, 20, activation: .relu), .dropout(.init(rate: 0.2))],
    ]

    static let limits = AuditLimits(rows: 4, steps: 16, trainingSteps: 2, samples: 3)

    /// A case of `models` on 4 ragged rows, with limits on the gradients that take effect.
    static func audited(_ name: String, variant: OptimizerVariant = .keras) -> AuditCase {
        let readsText = name != "relu-lstm"
        let training = TrainingConfiguration(learningRate: 0.01, optimizer: .init(.adam, variant: variant), clipping: .init(globalNorm: 0.05),
                                             labelSmoothing: 0.1, seed: 7)
        var generator = SeededGenerator(seed: 3)
        let lengths = [9, 16, 1, 12], labels: [Int32] = [0, 1, 2, 1]
        let batch = readsText
            ? SequenceBatch(tokens: lengths.map { n in (0..<n).map { _ in Int32(generator.next() % 12) } }, labels: labels)
            : SequenceBatch(features: lengths.map { n in (0 ..< 3 * n).map { _ in Float(generator.normal()) } }, width: 3, labels: labels)
        return AuditCase(subject: name, source: "random", model: ModelConfiguration(layers: models[name] ?? [], initializer: .pytorch),
                         input: readsText ? .tokens(vocabulary: 12) : .features(width: 3), classes: 3, training: training, batch: batch)
    }

    static let hasOpenCL = !OpenCLBackend.devices().devices.isEmpty

    /// The first OpenCL device with kernels of one family, some of whose files are replaced.
    static func openCL(_ family: OpenCLBackend.KernelFamily, cache: URL, replacing edited: [String: String] = [:],
                       precision: Precision = .float32) throws -> OpenCLBackend {
        var environment = ProcessInfo.processInfo.environment
        environment["CAROUSEL_KERNEL_CACHE"] = nil
        // What a fault leaves unwritten is then always NaN.
        environment["CAROUSEL_BUFFER_REUSE"] = "off"
        // Faults are planted in what is built once, the stepwise kernels.
        return try OpenCLBackend(device: 0, cacheDirectory: cache, environment: environment, family: family, recurrentPlan: .stepwise,
                                 precision: precision, replacing: edited)
    }

    /// A fresh folder that is removed afterwards.
    static func withFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("carousel-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder)
    }
}
