#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The learning rate of every step: a pure function, so that nothing has to be saved.
struct LearningRate {
    let peak: Double
    let schedule: Schedule
    let warmupSteps: Int
    let totalSteps: Int

    init(_ configuration: TrainingConfiguration, stepsPerEpoch: Int) {
        peak = configuration.learningRate
        schedule = configuration.schedule
        totalSteps = max(1, stepsPerEpoch * configuration.epochs)
        warmupSteps = Int((configuration.warmupShare * Double(totalSteps)).rounded())
    }

    /// - Parameter step: 0, 1, …
    func callAsFunction(step: Int) -> Double {
        if step < warmupSteps { return peak * Double(step + 1) / Double(warmupSteps) }
        let share = Double(step - warmupSteps) / Double(max(1, totalSteps - warmupSteps))
        switch schedule {
        case .constant: return peak
        case .linear: return peak * max(0, 1 - share)
        case .cosine: return peak * 0.5 * (1 + cos(.pi * min(1, share)))
        }
    }
}
