import CarouselCore
import CarouselNN
import CarouselReference

/// Computes a model's outputs, losses, gradients and first training steps in Double, then judges devices by them.
///
/// The reference side is computed once; `run` may be called for any number of devices. Weights near a kink of relu or
/// hard sigmoid are moved a little, because there two devices may rightly differ (Documentation/Numerics.md).
public final class Audit {
    public let audited: AuditCase
    public let limits: AuditLimits
    /// Smallest distance from a kink in everything the reference computed; infinite without kinks.
    public let kinkDistance: Double
    /// How often the weights were moved to get away from kinks.
    public let moves: Int
    let oracle: AuditSubject
    /// The flat weights everything starts from.
    let start: [Double]
    /// What a device should compute: the reference's numbers, or recorded ones.
    let expected: AuditTrace
    let meaning: ParameterMeaning
    /// Whether `expected` was read from a file.
    private let isRecorded: Bool
    /// What the reference computes, also where `expected` was recorded.
    private let own: AuditTrace
    /// How far rounding-size noise moves each tensor in Double, by kind and name; for devices that keep compact activations, and
    /// for others.
    private var sensitivities: [Bool: [String: Double]] = [:]

    /// - Throws: `badData` when weights do not fit the model or the reference itself is not finite; `outOfMemory` before
    ///   anything is made that the host has no memory for.
    /// - Parameter precision: of the devices to judge; the reference rounds the operands of products as they do.
    public convenience init(_ audited: AuditCase, limits: AuditLimits, precision: Precision = .float32) throws {
        try self.init(audited, limits: limits, precision: precision, recorded: { _ in nil })
    }

    /// - Parameter recorded: gives numbers that take the place of the reference's, in the layout of the model it is given.
    init(_ audited: AuditCase, limits: AuditLimits, precision: Precision = .float32, recorded: (AuditSubject) throws -> AuditTrace?) throws {
        try AuditMemory(audited).check(available: AuditMemory.available(), at: audited.subject)
        let reference = ReferenceBackend(precision: precision)
        let oracle = try AuditSubject(audited, on: reference)
        let recorded = try recorded(oracle)
        let drawn = try oracle.weights()
        var best: (start: [Double], trace: AuditTrace, distance: Double, attempt: Int)?
        for attempt in 0..<Self.attempts {
            let start = Self.moved(drawn, attempt: attempt)
            let watch = KinkWatch(everywhere: true)
            reference.kinkWatch = watch
            let subject = attempt == 0 ? oracle : try AuditSubject(audited, on: reference)
            let trace = try subject.trace(from: start, trainingSteps: limits.trainingSteps)
            if watch.smallest > best?.distance ?? -1 { best = (start, trace, watch.smallest, attempt) }
            // Recorded numbers belong to the recorded weights.
            if watch.smallest >= AuditTolerance.kinkDistance || recorded != nil { break }
        }
        reference.kinkWatch = nil
        guard let best else { throw CarouselError(.internalError, "the reference computed nothing") }
        let finite = best.trace.gradients.allSatisfy(\.isFinite) && best.trace.losses?.allSatisfy(\.isFinite) ?? true
            && best.trace.parameters?.allSatisfy(\.isFinite) ?? true
        guard finite else {
            throw CarouselError(.badData, "the losses or gradients of this model are not finite, in double precision too", at: audited.subject,
                                hint: "weights of a training that did not diverge")
        }
        self.audited = audited
        self.limits = limits
        self.oracle = oracle
        start = best.start
        kinkDistance = best.distance
        moves = best.attempt
        expected = recorded ?? best.trace
        isRecorded = recorded != nil
        meaning = ParameterMeaning(audited.model, words: audited.words)
        own = best.trace
        try oracle.backend.write(start, to: oracle.model.store.weights)
    }

    private static let attempts = 24

    /// Whether the device being judged keeps what it needs for its way back in fewer bits.
    private var isCompact = false

    /// Of the devices it judges.
    private var precision: Precision { oracle.backend.precision }

    /// Judges one device with one plan. An error of the device is a failed audit.
    public func run(on backend: any Backend) -> AuditedDevice {
        var result = AuditedDevice(info: backend.info, plan: backend.plan, precision: backend)
        do {
            result = try judge(backend)
        } catch {
            // A device that cannot compute the model has failed the audit.
            result.fail("\(error)")
        }
        return result
    }

    /// Judges one device with one plan.
    /// - Throws: what kept the device from computing the model; `internalError` for a device of another precision.
    func judge(_ backend: any Backend) throws -> AuditedDevice {
        guard backend.precision == precision else {
            throw CarouselError(.internalError, "an audit in \(precision.rawValue) was given a device of \(backend.precision.rawValue)")
        }
        isCompact = backend.keepsCompactActivations
        do {
            try measureSensitivity()
        } catch {
            throw CarouselError(.internalError, "the reference, not the device, failed: \(error)")
        }
        let clock = ContinuousClock()
        let begin = clock.now
        var result = AuditedDevice(info: backend.info, plan: backend.plan, precision: backend)
        let replay = try OptimizerReplay(audited, oracle: oracle, meaning: meaning)
        // Row by row on every device, as in a training with a large vocabulary: the rule of a whole buffer is audited beside it,
        // on all other parameters. In double precision both sides must be the same numbers, so they sum in the same order.
        let rowSteps = backend.scalarType == .float64 ? RowSteps.never : .always
        let trace = try AuditSubject(audited, on: backend, rowSteps: rowSteps).trace(from: start, trainingSteps: limits.trainingSteps, replay: replay)
        let isExact = expected.isDouble && backend.scalarType == .float64 && precision == .float32
        result.take(compare(trace, with: expected, isExact: isExact) + replay.tensors)
        result.seconds = (clock.now - begin).seconds
        return result
    }

    /// Every tensor of `trace` that `expected` has.
    /// - Parameter isExact: both sides are in double precision, so no float32 rounding excuses anything.
    func compare(_ trace: AuditTrace, with expected: AuditTrace, isExact: Bool = false) -> [AuditTensor] {
        var tensors: [AuditTensor] = []
        func add(_ kind: AuditTensor.Kind, _ name: String, _ got: [Double]?, _ wanted: [Double]?, _ base: Double, floor: Double,
                 _ place: (Int) -> String) {
            guard let got, let wanted else { return }
            let measure = AuditMeasure(got, wanted, floor: floor)
            tensors.append(judged(kind, name, measure, isExact ? nil : base, place(measure.index), got, wanted, measure.index))
        }
        let indices = audited.batch.indices, width = oracle.model.lossKind == .sigmoid ? 1 : audited.classes
        func row(_ b: Int) -> String { "row \(b) (data row \(indices[b] + 1))" }
        add(.output, "logits in inference", trace.inference, expected.inference, AuditTolerance.output, floor: 1e-3) { "\(row($0 / width)), class \($0 % width)" }
        add(.output, "logits", trace.logits, expected.logits, AuditTolerance.output, floor: 1e-3) { "\(row($0 / width)), class \($0 % width)" }
        add(.output, "losses", trace.losses, expected.losses, AuditTolerance.output, floor: 1e-3, row)
        let largest = expected.gradients.reduce(0) { max($0, abs($1)) }
        let base = AuditTolerance.gradient(rows: audited.batch.layout.rows)
        for parameter in oracle.model.store.parameters {
            let range = parameter.offset ..< parameter.offset + parameter.shape.count
            let measure = AuditMeasure(trace.gradients, expected.gradients, in: range, blocks: meaning.gates(of: parameter),
                                       floor: max(largest * AuditTolerance.gradientFloor, 1e-12))
            tensors.append(judged(.gradient, parameter.name, measure, isExact ? nil : base, meaning.describe(parameter, measure.index),
                                  trace.gradients, expected.gradients, range.lowerBound + measure.index))
        }
        add(.steps, "losses", trace.stepLosses, expected.stepLosses, AuditTolerance.steps, floor: 1e-3) { "step \($0 + 1)" }
        add(.steps, "gradient norms", trace.stepNorms, expected.stepNorms, AuditTolerance.steps, floor: 1e-12) { "step \($0 + 1)" }
        if let got = trace.parameters, let wanted = expected.parameters, limits.trainingSteps > 0 {
            tensors.append(parameters(got, wanted, isExact ? nil : AuditTolerance.parameters))
        }
        return tensors
    }

    /// How far the parameters have gone apart after several steps, relative to the way they went: ‖a − b‖ / ‖b − start‖
    /// of the worst tensor. Single weights with gradients near 0 may go either way, so no maximum is taken.
    private func parameters(_ got: [Double], _ wanted: [Double], _ base: Double?) -> AuditTensor {
        var worst = AuditMeasure([], [], floor: 1), place = ""
        for parameter in oracle.model.store.parameters {
            let range = parameter.offset ..< parameter.offset + parameter.shape.count
            var apart = 0.0, way = 0.0
            for i in range {
                apart += (got[i] - wanted[i]) * (got[i] - wanted[i])
                way += (wanted[i] - start[i]) * (wanted[i] - start[i])
            }
            let error = apart == 0 ? 0 : apart.isFinite ? (apart / max(way, 1e-30)).squareRoot() : .infinity
            if error > worst.maximum || place.isEmpty {
                (worst.maximum, worst.rms, worst.index, place) = (error, error, parameter.offset, parameter.name)
            }
        }
        return judged(.steps, "\(Self.ways) after \(limits.trainingSteps) steps", worst, base, place, got, wanted, worst.index)
    }

    /// - Parameter base: the tolerance without amplified roundings; nil = both sides are in double precision.
    private func judged(_ kind: AuditTensor.Kind, _ name: String, _ measure: AuditMeasure, _ base: Double?, _ place: String,
                        _ got: [Double], _ wanted: [Double], _ at: Int) -> AuditTensor {
        var tensor = AuditTensor(kind: kind, name: name, maximum: measure.maximum, rms: measure.rms, tolerance: base ?? AuditTolerance.exact, worst: place,
                                 got: got.indices.contains(at) ? got[at] : .nan, expected: wanted.indices.contains(at) ? wanted[at] : .nan,
                                 verdict: .passed)
        guard let base = base.map({ AuditTolerance.rounded($0, kind, precision, isCompact: isCompact, isRecorded: isRecorded) }) else {
            tensor.verdict = measure.maximum <= tensor.tolerance ? .passed : .failed
            return tensor
        }
        // References with noise are compared before anything is known of it.
        let noise = (sensitivities[isCompact]?[Self.key(tensor)] ?? 0) * AuditTolerance.noiseFactor(precision)
        let ceiling = AuditTolerance.ceiling(precision, isWay: name.hasPrefix(Self.ways))
        tensor.tolerance = AuditTolerance.widened(base, noise: noise, ceiling: ceiling)
        tensor.verdict = AuditTolerance.verdict(measure.maximum, base: base, noise: noise, ceiling: ceiling)
        return tensor
    }

    /// Lets noise go through the model, once for each kind of device. It is judged by the reference's own trace, whatever was recorded.
    private func measureSensitivity() throws {
        guard sensitivities[isCompact] == nil else { return }
        let reference = ReferenceBackend(precision: precision)
        var result: [String: Double] = [:]
        for draw in 1...AuditTolerance.noiseDraws(precision) {
            reference.operandNoise = AuditTolerance.operandNoise(precision, isCompact: isCompact, draw: draw)
            let noisy = try AuditSubject(audited, on: reference).trace(from: Self.noisy(start, draw), trainingSteps: limits.trainingSteps)
            result.merge(Self.sensitivities(compare(noisy, with: own)), uniquingKeysWith: max)
        }
        sensitivities[isCompact] = result
    }

    /// What noise did to each tensor. A single number may be moved little by luck, so each counts for a tenth of the most
    /// sensitive of its kind at least; outputs are no less sure because a gradient is not, nor losses because the ways of parameters
    /// are not.
    static func sensitivities(_ moved: [AuditTensor]) -> [String: Double] {
        func group(_ tensor: AuditTensor) -> String { tensor.name.hasPrefix(ways) ? ways : tensor.kind.rawValue }
        let largest = Dictionary(moved.map { (group($0), $0.maximum) }, uniquingKeysWith: max)
        return Dictionary(moved.map { (key($0), max($0.maximum, (largest[group($0)] ?? 0) / 10)) }, uniquingKeysWith: max)
    }

    /// How the name begins of what is said of the parameters after several steps.
    private static let ways = "parameters"

    static func key(_ tensor: AuditTensor) -> String { "\(tensor.kind.rawValue) \(tensor.name)" }

    /// The weights moved by up to one part in a thousand; unchanged for attempt 0.
    private static func moved(_ weights: [Double], attempt: Int) -> [Double] {
        guard attempt > 0 else { return weights }
        var generator = SeededGenerator(seed: UInt64(attempt), purpose: 0x6B69_6E6B)
        return weights.map { Double(Float($0 * (1 + 1e-3 * (2 * generator.uniform() - 1)))) }
    }

    /// The weights moved by up to half a unit in the last place of a float32.
    private static func noisy(_ weights: [Double], _ draw: Int) -> [Double] {
        var generator = SeededGenerator(seed: UInt64(draw), purpose: 0x6E6F_6973)
        return weights.map { $0 * (1 + AuditTolerance.noise * (2 * generator.uniform() - 1)) }
    }
}
