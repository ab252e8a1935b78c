import CarouselCore
import CarouselData
import CarouselNN
import Foundation

/// The short audit before a long training on a device that has not been audited with this program, driver, plan and
/// kind of model.
///
/// It audits the run's own layers and optimizer with fresh weights on a few random sequences, so that it costs a few
/// seconds whatever the data. Outcomes other than a failure are remembered in the cache folder.
public struct AutomaticAudit {
    /// How it ended; a failure is thrown.
    public enum Outcome: Sendable {
        /// The run is too short, or runs on the reference itself.
        case notNeeded
        /// It has passed, or was undecided, before.
        case remembered(undecided: Bool)
        case passed(seconds: Double)
        /// The model amplifies roundings too much to judge a device by it.
        case undecided
        /// It would have taken too much time or memory; the text says which.
        case skipped(String)
    }

    /// Floating-point operations of a training that counts as long: some minutes of a small CPU.
    public static let longRun = 1e13
    /// Multiplications of one forward pass of the audit at most: about two seconds for the reference in all.
    static let passLimit = 1e8

    /// Parameters, or multiplications a step, of a model that is audited at most. Drawing, reading, replaying and comparing cost
    /// about a microsecond for each parameter.
    static let largestModel = 4e6
    /// Steps of all sequences of the smallest audit together.
    private static let fewestTokens = 8

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
    /// - Parameter available: bytes of memory the host has; nil = asked for.
    /// - Throws: `checkFailed` with the table of what is wrong; `outOfMemory`, `deviceUnavailable` and `internalError` of the
    ///   device as they are, since they say nothing about its results.
    public func run(on backend: any Backend, longRun: Double = AutomaticAudit.longRun, available: Int? = nil) throws -> Outcome {
        guard work >= longRun, backend.info.kind != .reference else { return .notNeeded }
        let key = try self.key(backend)
        if let outcome = remembered(key) { return outcome }
        let clock = ContinuousClock()
        let start = clock.now
        let limits = self.limits, audited = audited(limits)
        if let reason = try obstacle(audited, available: available ?? AuditMemory.available()) { return .skipped(reason) }
        let audit = try Audit(audited, limits: limits, precision: backend.precision)
        let device: AuditedDevice
        do {
            device = try audit.judge(backend)
        } catch let error as CarouselError where Self.passedOn.contains(error.status) {
            throw error
        } catch {
            throw failure(of: backend, ["could not compute the model: \(error)"])
        }
        switch device.verdict {
        case .passed:
            remember(key, .passed)
            return .passed(seconds: (clock.now - start).seconds)
        case .undecided:
            remember(key, .undecided)
            return .undecided
        case .failed:
            throw failure(of: backend, device.lines(onlyBad: true))
        }
    }

    /// Errors that do not mean that results are wrong.
    static let passedOn: Set<ExitStatus> = [.outOfMemory, .deviceUnavailable, .internalError]

    private func failure(of backend: any Backend, _ lines: [String]) -> CarouselError {
        CarouselError(.checkFailed, "\(backend.info.selector) computes this model wrong; the audit before the training says\n"
                          + lines.map { "  " + $0 }.joined(separator: "\n"),
                      hint: "carousel audit for the whole table, another --device, or --no-audit to train in spite of it")
    }

    /// Why the audit would take more time or memory than it may; nil where it does not.
    private func obstacle(_ audited: AuditCase, available: Int) -> String? {
        let work = ModelWork(configuration.model, input: input, classes: classes)
        guard max(work.parameters, work.multiplications) <= Self.largestModel else {
            return "in double precision this model takes more than a few seconds, however short the sequences"
        }
        return AuditMemory(audited).problem(available: available)
    }

    /// Rows and steps that keep the reference's work small.
    var limits: AuditLimits {
        let perStep = max(1, ModelWork(configuration.model, input: input, classes: classes).multiplications)
        let tokens = Int(max(Double(Self.fewestTokens), min(64, Self.passLimit / perStep)))
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
        let name = SHA256.hexadecimal(of: key) + ".audit"
        return CacheFolder.root(environment: environment)?.appendingPathComponent("audits").appendingPathComponent(name)
    }

    /// What is remembered.
    enum Remembered: String, CaseIterable { case passed, undecided }

    /// How the audit ended before; nil where that is not known.
    private func remembered(_ key: String) -> Outcome? {
        guard let file = file(key), let data = try? Data(contentsOf: file) else { return nil }
        return Remembered.allCases.first { data == Self.entry(key, $0) }.map { .remembered(undecided: $0 == .undecided) }
    }

    private static func entry(_ key: String, _ outcome: Remembered) -> Data { Data("\(outcome.rawValue)\n\(key)".utf8) }

    /// A folder that cannot be written only costs the next audit.
    func remember(_ key: String, _ outcome: Remembered) {
        guard let file = file(key) else { return }
        try? FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try? Self.entry(key, outcome).write(to: file, options: .atomic)
    }

    /// Hash of a file's content.
    static func fingerprint(of path: String) throws -> String {
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
            var hash = SHA256()
            data.withUnsafeBytes { hash.update($0) }
            return hash.hexadecimal()
        } catch {
            throw CarouselError(.inputOutput, "cannot be read: \(error.localizedDescription)", at: path)
        }
    }
}
