import CarouselCore
import CarouselData
import CarouselNN

/// The first steps of one training on several devices, side by side.
public enum TrainingComparison {
    /// What one device computed.
    public struct Trace: Codable, Sendable {
        public var device: String
        /// Mean loss of each step.
        public var losses: [Double]
        /// Global gradient norm of each step, before clipping.
        public var gradientNorms: [Double]

        public init(device: String, losses: [Double], gradientNorms: [Double]) {
            self.device = device
            self.losses = losses
            self.gradientNorms = gradientNorms
        }
    }

    /// Largest relative differences of a trace from another.
    public struct Difference: Codable, Sendable {
        public var loss: Double
        public var gradientNorm: Double
    }

    /// Runs `steps` steps of the configured training on `backend`, from the same seed, split and batches everywhere.
    public static func trace(_ configuration: RunConfiguration, data: TrainingData, steps: Int, on backend: any Backend) throws -> Trace {
        let trainer = try Trainer(configuration: configuration, data: data, backend: backend, folder: nil)
        return try trainer.firstSteps(steps)
    }

    /// Differences of `trace` relative to `reference`, the largest over the steps.
    public static func difference(_ trace: Trace, from reference: Trace) -> Difference {
        func largest(_ a: [Double], _ b: [Double]) -> Double {
            guard a.count == b.count else { return .infinity }
            return zip(a, b).map { abs($0 - $1) / max(abs($1), 1e-3) }.max() ?? 0
        }
        return Difference(loss: largest(trace.losses, reference.losses),
                          gradientNorm: largest(trace.gradientNorms, reference.gradientNorms))
    }
}
