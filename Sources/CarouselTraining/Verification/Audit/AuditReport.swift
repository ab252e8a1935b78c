import CarouselCore

/// One device with one plan, judged.
public struct AuditedDevice: Codable, Sendable {
    /// The name the user selects it by.
    public var device: String
    public var name: String
    public var driver: String
    public var plan: String
    /// `float32`, `float64`, or what the operands of products are rounded to
    public var precision: String
    public private(set) var tensors: [AuditTensor]
    /// Failed if any tensor failed or the device could not compute; else undecided if any tensor is.
    public private(set) var verdict = AuditTensor.Verdict.failed
    /// Why the device could not compute the model; nil when it could.
    public private(set) var problem: String?
    public var seconds: Double

    init(info: DeviceInfo, plan: String, precision backend: any Backend) {
        device = info.selector
        name = info.name
        driver = info.driver
        self.plan = plan
        precision = backend.precision == .float32 ? backend.scalarType.rawValue : backend.precision.rawValue
        tensors = []
        seconds = 0
    }

    /// A device that could not even be opened.
    public init(device: String, plan: String, problem: String) {
        self.device = device
        self.plan = plan
        self.problem = problem
        (name, driver, precision, tensors, seconds) = ("", "", "", [], 0)
    }

    /// Takes the compared tensors and judges the device by them.
    mutating func take(_ tensors: [AuditTensor]) {
        self.tensors = tensors
        let verdicts = Set(tensors.map(\.verdict))
        verdict = tensors.isEmpty || verdicts.contains(.failed) ? .failed : verdicts.contains(.undecided) ? .undecided : .passed
    }

    /// The tensors as comparisons of a recorded case.
    /// - Throws: `internalError` when the device could not compute the model.
    func comparisons() throws -> [GoldenComparison] {
        if let problem { throw CarouselError(.internalError, problem, at: device) }
        return tensors.map { GoldenComparison(name: "\($0.kind.rawValue) \($0.name)", error: $0.maximum, tolerance: $0.tolerance) }
    }

    /// Notes why the device could not compute the model.
    mutating func fail(_ problem: String) {
        self.problem = problem
        verdict = .failed
    }
}

/// The outcome of an audit.
public struct AuditReport: Codable, Sendable {
    /// What was audited, for people.
    public var subject: String
    public var source: String
    /// Sequences of the batch.
    public var rows: Int
    /// Steps of the longest.
    public var steps: Int
    /// Steps of all.
    public var tokens: Int
    public var parameters: Int
    public var trainingSteps: Int
    /// nil without kinks.
    public var kinkDistance: Double?
    /// How often the weights were moved away from kinks.
    public var moves: Int
    public var differences: [AuditDifference]
    public var devices: [AuditedDevice]
    /// The worst verdict of all.
    public var verdict: AuditTensor.Verdict
    public var seconds: Double

    public init(_ audit: Audit, differences: [AuditDifference], devices: [AuditedDevice], took time: Duration) {
        let layout = audit.audited.batch.layout
        subject = audit.audited.subject
        source = audit.audited.source
        rows = layout.batchSize
        steps = layout.steps
        tokens = layout.rows
        parameters = audit.oracle.model.store.parameterCount
        trainingSteps = audit.limits.trainingSteps
        kinkDistance = audit.kinkDistance.isFinite ? audit.kinkDistance : nil
        moves = audit.moves
        self.differences = differences
        self.devices = devices
        seconds = time.seconds
        if devices.isEmpty || devices.contains(where: { $0.verdict == .failed }) || differences.contains(where: { !$0.passed }) {
            verdict = .failed
        } else {
            verdict = devices.contains { $0.verdict == .undecided } ? .undecided : .passed
        }
    }
}
