import CarouselCore

/// One call (or one forward and backward pair) of the contract with inputs of its own.
public struct ConformanceCase: Sendable {
    /// Unique: the operation with its sizes and options.
    public let name: String
    /// The area: `vector`, `matrix`, `embedding`, `rnn`, `lstm`, `gru`, `pooling`, `loss`, `optimizer`.
    public let operation: String
    /// The smallest set it belongs to.
    public let level: Conformance.Level
    let body: @Sendable (CaseRun) throws -> Void

    init(_ operation: String, _ name: String, level: Conformance.Level,
         _ body: @escaping @Sendable (CaseRun) throws -> Void) {
        self.name = name
        self.operation = operation
        self.level = level
        self.body = body
    }

    /// Distance that arguments of relu and hard sigmoid keep from their kinks: a float32 device rounds them by
    /// about 1e-6, and on the other side of a kink the gradient is another number, not an error.
    static let kinkDistance = 1e-5

    /// Runs the case on `backend` and on a fresh reference and compares all results.
    ///
    /// Where an argument of the reference lies at a kink, the next seed is taken. With `guardedEnds` zones of known
    /// numbers follow the tensors, which show a write past a tensor's end; without them a tensor ends where its
    /// buffer does, so that a memory checker sees reads past it too.
    public func run(on backend: any Backend, guardedEnds: Bool = true) throws -> [ComparedTensor] {
        for attempt in 0..<64 {
            let reference = ReferenceBackend(precision: backend.precision)
            let watch = KinkWatch(everywhere: false)
            reference.kinkWatch = watch
            let expected = CaseRun(on: reference, seed: seed(attempt), guardedEnds: guardedEnds)
            try body(expected)
            guard watch.smallest >= Self.kinkDistance else { continue }
            try expected.settle()
            let device = CaseRun(on: backend, seed: seed(attempt), guardedEnds: guardedEnds)
            try body(device)
            try device.settle()
            try backend.finish()
            let violations = (device.violations + expected.violations).map {
                ComparedTensor(name: "memory", error: .infinity, tolerance: 0, message: $0)
            }
            return zip(device.records, expected.records).map(CaseRecord.compare) + violations
        }
        throw CarouselError(.internalError, "\(name): no seed keeps its distance from the kinks")
    }

    /// From the name, so that adding a case changes no other (FNV-1a; Fowler, Noll, Vo).
    private func seed(_ attempt: Int) -> UInt64 {
        name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 } &+ UInt64(attempt)
    }
}

/// The outcome of one case.
public struct CaseResult: Sendable {
    public let name: String
    public let operation: String
    public let passed: Bool
    /// The tensor closest to, or furthest beyond, its tolerance.
    public let worstTensor: String
    /// Of that tensor.
    public let maximumRelativeError: Double
    /// Of that tensor.
    public let tolerance: Double
    /// The first failure of each bad tensor; nil when the case passed.
    public let message: String?
    public let seconds: Double
}

/// The single suite all devices run: in the tests, in `carousel check`, before a benchmark is believed.
public enum Conformance {
    /// How much of the suite runs; each set contains those before it.
    public enum Level: String, Sendable, CaseIterable, Comparable {
        /// Small enough for an interpreter of kernels that checks every access (`Scripts/check-kernels`), and
        /// still every operation, cell and kernel. Tensors end where their buffers do.
        case tiny
        /// Seconds on a CPU device.
        case quick
        case full

        public static func < (a: Level, b: Level) -> Bool { a.position < b.position }

        private var position: Int {
            switch self {
            case .tiny: 0
            case .quick: 1
            case .full: 2
            }
        }
    }

    /// The outcome of a run.
    public struct Summary: Sendable {
        public var cases = 0
        public var failures: [CaseResult] = []
        /// The result with the largest share of its tolerance, per operation.
        public var worst: [String: CaseResult] = [:]
        public var seconds = 0.0

        public var passed: Bool { failures.isEmpty && cases > 0 }
        /// Largest relative error of all cases that passed.
        public var maximumRelativeError: Double {
            worst.values.filter(\.passed).map(\.maximumRelativeError).max() ?? 0
        }
    }

    /// All cases of a level.
    public static func cases(_ level: Level) -> [ConformanceCase] {
        let all = vectorCases() + matrixCases() + embeddingCases() + poolingCases() + lossCases() + optimizerCases() + adamRowsCases()
            + recurrentCases()
        return all.filter { $0.level <= level }
    }

    /// Runs the cases one after the other; `report` hears of each as it ends. Errors of the device become
    /// failed cases.
    public static func run(on backend: any Backend, level: Level, filter: ((ConformanceCase) -> Bool)? = nil,
                           report: (CaseResult) -> Void) -> Summary {
        var summary = Summary()
        let start = ContinuousClock.now
        for item in cases(level) where filter?(item) ?? true {
            let result = run(item, on: backend, guardedEnds: level != .tiny)
            summary.cases += 1
            if !result.passed { summary.failures.append(result) }
            if share(result) >= summary.worst[item.operation].map(share) ?? 0 { summary.worst[item.operation] = result }
            report(result)
        }
        summary.seconds = (ContinuousClock.now - start).inSeconds
        return summary
    }

    /// Runs one case; an error becomes a failed result.
    public static func run(_ item: ConformanceCase, on backend: any Backend, guardedEnds: Bool = true) -> CaseResult {
        let start = ContinuousClock.now
        do {
            let tensors = try item.run(on: backend, guardedEnds: guardedEnds)
            let worst = tensors.max { share($0.error, $0.tolerance) < share($1.error, $1.tolerance) }
            let bad = tensors.filter { !$0.passed }
            let messages = bad.compactMap { tensor in
                tensor.message.map { $0 + (tensor.error.isFinite ? ", relative error \(tensor.error)" : "") }
            }
            return CaseResult(name: item.name, operation: item.operation, passed: bad.isEmpty,
                              worstTensor: worst?.name ?? "", maximumRelativeError: worst?.error ?? 0,
                              tolerance: worst?.tolerance ?? 0,
                              message: bad.isEmpty ? nil : messages.joined(separator: "; "),
                              seconds: (ContinuousClock.now - start).inSeconds)
        } catch {
            return CaseResult(name: item.name, operation: item.operation, passed: false, worstTensor: "",
                              maximumRelativeError: .infinity, tolerance: 0, message: "\(error)",
                              seconds: (ContinuousClock.now - start).inSeconds)
        }
    }

    private static func share(_ result: CaseResult) -> Double { share(result.maximumRelativeError, result.tolerance) }

    /// Error as a share of its tolerance; a tolerance of 0 is used up by any error.
    private static func share(_ error: Double, _ tolerance: Double) -> Double {
        error == 0 ? 0 : tolerance == 0 ? .infinity : error / tolerance
    }
}

extension Duration {
    fileprivate var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
