import CarouselCore
import CarouselData
import CarouselNN
import Foundation

/// The short audit before a long training on a device that has not been audited with this program, driver, plan and
/// kind of model.
///
/// It audits the run's own layers and optimizer with fresh weights on a few random sequences, so that it costs a few
/// seconds whatever the data. Passed audits are remembered in the cache folder.
public struct AutomaticAudit {
    /// How it ended; a failure is thrown.
    public enum Outcome: Sendable {
        /// The run is too short, or runs on the reference itself.
        case notNeeded
        /// It has passed before.
        case remembered
        case passed(seconds: Double)
        /// The model amplifies roundings too much to judge a device by it.
        case undecided
    }

    /// Floating-point operations of a training that counts as long: some minutes of a small CPU.
    public static let longRun = 1e13
    /// Multiplications of one forward pass of the audit at most: about two seconds for the reference in all.
    static let passLimit = 1e8

    private let configuration: RunConfiguration
    private let input: ModelInput
    private let classes: Int
    /// Floating-point operations of the whole training, roughly.
    let work: Double
    private let environment: [String: String]
    private let executable: String

    /// - Parameters:
    ///   - environment: says where the cache folder is.
    ///   - executable: the program; its content is part of what is remembered.
    public init(_ configuration: RunConfiguration, data: TrainingData, environment: [String: String] = ProcessInfo.processInfo.environment,
                executable: String = "/proc/self/exe") throws {
        self.configuration = configuration
        self.environment = environment
        self.executable = executable
        classes = try LabelSet(training: data.train).count
        let longest = configuration.preparation.maximumLength
        let steps: Double
        switch data.train {
        case .text(let set):
            input = .tokens(vocabulary: Self.vocabulary)
            // A word and the space behind it are five or six bytes in most languages.
            steps = set.texts.reduce(0) { $0 + Double(min(longest, $1.utf8.count / 5 + 1)) }
        case .series(let set):
            input = .features(width: set.width)
            steps = set.series.reduce(0) { $0 + Double(min(longest, $1.count / max(1, set.width))) }
        }
        // Forward once, backward twice; a multiplication and an addition each.
        work = 6 * ModelWork(configuration.model, input: input, classes: classes).multiplications * steps * Double(configuration.training.epochs)
    }

    private static let vocabulary = 64

    /// Audits `backend` if the run is long and nothing is remembered.
    /// - Throws: `checkFailed` with the table of what is wrong.
    public func run(on backend: any Backend, longRun: Double = AutomaticAudit.longRun) throws -> Outcome {
        guard work >= longRun, backend.info.kind != .reference else { return .notNeeded }
        let key = try self.key(backend)
        if remembers(key) { return .remembered }
        let clock = ContinuousClock()
        let start = clock.now
        let limits = self.limits
        let audit = try Audit(audited(limits), limits: limits)
        let device = audit.run(on: backend)
        switch device.verdict {
        case .passed:
            remember(key)
            return .passed(seconds: (clock.now - start).seconds)
        case .undecided:
            return .undecided
        case .failed:
            throw CarouselError(.checkFailed, "\(backend.info.selector) computes this model wrong; the audit before the training says\n"
                                    + device.lines(onlyBad: true).map { "  " + $0 }.joined(separator: "\n"),
                                hint: "carousel audit for the whole table, another --device, or --no-audit to train in spite of it")
        }
    }

    /// Rows and steps that keep the reference's work small.
    var limits: AuditLimits {
        let perStep = max(1, ModelWork(configuration.model, input: input, classes: classes).multiplications)
        let tokens = Int(max(8, min(64, Self.passLimit / perStep)))
        let rows = tokens >= 32 ? 4 : 2
        return AuditLimits(rows: rows, steps: max(4, tokens / rows), trainingSteps: 2, samples: 0)
    }

    private func audited(_ limits: AuditLimits) -> AuditCase {
        var model = configuration.model
        // Uniform weights and biases: quick to draw at any size, and no bias is 0.
        model.initializer = .pytorch
        let batch: SequenceBatch
        switch input {
        case .tokens(let vocabulary): batch = AuditCase.randomTokens(limits, vocabulary: vocabulary, classes: classes, seed: 1)
        case .features(let width): batch = AuditCase.randomNumbers(limits, width: width, classes: classes, seed: 1)
        }
        return AuditCase(subject: "the model of this training", source: "random sequences", model: model, input: input, classes: classes,
                         training: configuration.training, batch: batch)
    }

    // MARK: what is remembered

    /// Everything that could change the outcome.
    func key(_ backend: any Backend) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let model = String(decoding: try encoder.encode(AuditRecord.Configuration(model: configuration.model, training: keyTraining)), as: UTF8.self)
        let info = backend.info
        return (["carousel audit 1", try Self.fingerprint(of: executable), info.kind.rawValue, info.name, info.vendor, info.driver, backend.plan,
                 backend.scalarType.rawValue, model, "\(input) \(classes)"] + info.details).joined(separator: "\n")
    }

    /// Of the training only what the audit uses.
    private var keyTraining: TrainingConfiguration {
        let training = configuration.training
        return TrainingConfiguration(learningRate: training.learningRate, optimizer: training.optimizer, clipping: training.clipping,
                                     labelSmoothing: training.labelSmoothing, seed: training.seed)
    }

    /// nil where nothing is remembered: without a cache folder, and with kernels from a folder, whose text the key lacks.
    private func file(_ key: String) -> URL? {
        guard (environment[EnvironmentSettings.kernelDirectory.rawValue] ?? "").isEmpty else { return nil }
        let name = String(Self.hash(Data(key.utf8)), radix: 16)
        return CacheFolder.root(environment: environment)?.appendingPathComponent("audits").appendingPathComponent(name + ".audit")
    }

    private func remembers(_ key: String) -> Bool {
        guard let file = file(key), let data = try? Data(contentsOf: file) else { return false }
        return data == Data(key.utf8)
    }

    /// A folder that cannot be written only costs the next audit.
    private func remember(_ key: String) {
        guard let file = file(key) else { return }
        try? FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try? Data(key.utf8).write(to: file, options: .atomic)
    }

    /// Size and hash of a file's content.
    static func fingerprint(of path: String) throws -> String {
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
            return "\(data.count) " + String(hash(data), radix: 16)
        } catch {
            throw CarouselError(.inputOutput, "cannot be read: \(error.localizedDescription)", at: path)
        }
    }

    /// FNV-1a (Fowler, Noll, Vo) over words of 64 bits, then over the bytes that are left.
    private static func hash(_ data: Data) -> UInt64 {
        data.withUnsafeBytes { bytes in
            var state: UInt64 = 0xCBF2_9CE4_8422_2325
            let words = bytes.count / 8
            for i in 0..<words {
                state = (state ^ bytes.loadUnaligned(fromByteOffset: 8 * i, as: UInt64.self)) &* 0x0000_0100_0000_01B3
                // Multiplication carries upwards only; this brings the high bits down.
                state ^= state >> 32
            }
            for i in 8 * words ..< bytes.count { state = (state ^ UInt64(bytes[i])) &* 0x0000_0100_0000_01B3 }
            return state
        }
    }
}
