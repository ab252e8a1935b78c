import CarouselCore
import Foundation

/// Looks for sizes with which a device computes faster, and keeps them for later runs.
///
/// From the sizes inside the program it goes to the best neighbour as long as one is faster. A candidate's results are compared
/// first, bit by bit, with those of the sizes inside the program, and these with sums in double precision; one that differs, or
/// does not build, is dropped with a line. Times are taken in turns, so that what else the machine does slows both down.
public struct Tuner {
    /// What was found for one operation and shape.
    public struct Outcome: Sendable {
        /// The sizes inside the program.
        public var plain: TuningChoice
        /// The best found; `plain` where nothing was clearly faster.
        public var best: TuningChoice
        /// Seconds of the work with either, measured in turns at the end.
        public var plainSeconds: Double, bestSeconds: Double
        /// Candidates that were measured, and those dropped with the reason.
        public var measured: Int
        public var dropped: [String]
        /// False when the time was up before every neighbour of the best was tried.
        public var isComplete: Bool

        public var gain: Double { plainSeconds / max(bestSeconds, 1e-12) }
    }

    private let device: any Tunable
    private let seconds: Double
    private let status: (String) -> Void

    /// Faster by less than this is noise.
    private static let smallestGain = 1.03
    /// Seconds of work before anything is measured: devices raise their clocks when they have something to do.
    private static let warmUp = 0.3

    /// - Parameters:
    ///   - seconds: for all choices together.
    ///   - status: hears what is measured now, and why a candidate was dropped.
    public init(on device: any Tunable, seconds: Double, status: @escaping (String) -> Void = { _ in }) {
        self.device = device
        self.seconds = seconds
        self.status = status
    }

    /// Goes through the choices of the device, which computes with the best afterwards.
    /// - Parameters:
    ///   - subjects: what is to be tuned; nil = everything the device has sizes for.
    ///   - most: candidates tried for each.
    /// - Throws: `checkFailed` when the sizes inside the program give a wrong result: then the device computes wrong.
    public func run(_ subjects: [String]? = nil, most: Int = .max) throws -> [Outcome] {
        let choices = device.tuningChoices.filter { subjects?.contains($0.subject) ?? true }, start = ContinuousClock.now
        var outcomes: [Outcome] = []
        for (place, choice) in choices.enumerated() {
            let spent = Self.seconds(since: start)
            let share = max(0.05, (seconds - spent) / Double(choices.count - place))
            if let outcome = try tune(choice, seconds: share, most: most) { outcomes.append(outcome) }
        }
        return outcomes
    }

    /// Writes what was clearly faster where later runs find it, in place of what was kept before for the same work.
    /// - Returns: the file's path.
    /// - Throws: `cannotCreateOutput`, `inputOutput`.
    public func save(_ outcomes: [Outcome]) throws -> String {
        let better = outcomes.filter { $0.best != $0.plain }.map { MeasuredChoice($0.best, gain: $0.gain) }
        // A search that found nothing because its time was up says nothing against what an earlier one found.
        let settled = outcomes.filter { $0.isComplete || $0.best != $0.plain }.map(\.plain.subject)
        let file = try device.tuningFile(with: better, replacing: Set(settled))
        try DurableFile.makeFolder(file.folder)
        try DurableFile.replace(file.name, in: file.folder) { try $0.write(file.text) }
        return file.folder + "/" + file.name
    }

    private func tune(_ plain: TuningChoice, seconds: Double, most: Int) throws -> Outcome? {
        guard let problem = try TuningProblem.make(for: plain, on: device) else { return nil }
        status("\(plain.subject): \(plain.text)")
        let start = ContinuousClock.now
        let wanted = try results(problem, plain)
        if let deviation = problem.deviation(wanted.map { $0.map(Float.init(bitPattern:)) }) {
            throw CarouselError(.checkFailed, "\(plain.subject) on \(device.info.selector): \(deviation)", hint: "carousel check --device \(device.info.selector)")
        }
        let warm = ContinuousClock.now
        while Self.seconds(since: warm) < min(Self.warmUp, seconds / 4) {
            try problem.run()
            try device.finish()
        }
        let stopwatch = Stopwatch(backend: device, seconds: min(0.1, max(0.005, seconds / 40)))
        var outcome = Outcome(plain: plain, best: plain, plainSeconds: 0, bestSeconds: 0, measured: 0, dropped: [], isComplete: true)
        var tried: Set<TuningChoice> = [plain], improved = true
        while improved && outcome.isComplete {
            improved = false
            var next = outcome.best, ratioOfNext = 1 / Self.smallestGain
            for candidate in device.alternatives(to: outcome.best) where tried.insert(candidate).inserted {
                guard Self.seconds(since: start) < seconds, tried.count - 1 <= most else {
                    outcome.isComplete = false
                    break
                }
                status("\(candidate.subject): \(candidate.text)")
                if let reason = refusal(of: candidate, problem, wanted) {
                    outcome.dropped.append("\(candidate.text): \(reason)")
                    continue
                }
                let times = try stopwatch.time([work(problem, outcome.best), work(problem, candidate)])
                outcome.measured += 1
                let ratio = times[1].median / max(times[0].median, 1e-12)
                if ratio < ratioOfNext { (next, ratioOfNext, improved) = (candidate, ratio, true) }
            }
            outcome.best = next
        }
        let times = try stopwatch.time([work(problem, plain), work(problem, outcome.best)])
        (outcome.plainSeconds, outcome.bestSeconds) = (times[0].median, times[1].median)
        if outcome.gain < Self.smallestGain { (outcome.best, outcome.bestSeconds) = (plain, outcome.plainSeconds) }
        try device.choose(outcome.best)
        return outcome
    }

    private func work(_ problem: TuningProblem, _ choice: TuningChoice) -> () throws -> Void {
        { try device.choose(choice); try problem.run() }
    }

    /// Why a candidate must not be used; nil when it computes what it should.
    private func refusal(of candidate: TuningChoice, _ problem: TuningProblem, _ wanted: [[UInt32]]) -> String? {
        do {
            let found = try results(problem, candidate)
            for (values, right) in zip(found, wanted) {
                let wrong = zip(values, right).filter { $0 != $1 }.count
                if wrong > 0 { return "\(wrong) of \(right.count) results are wrong" }
            }
            return nil
        } catch {
            return "\(error)".split(separator: "\n").first.map(String.init) ?? "it does not run"
        }
    }

    /// The bits of all results, over NaN, so that what is not written is not taken for right.
    private func results(_ problem: TuningProblem, _ choice: TuningChoice) throws -> [[UInt32]] {
        for result in problem.results { try device.fill(result, with: .nan) }
        try device.choose(choice)
        try problem.run()
        return try problem.results.map { try device.readFloats($0).map(\.bitPattern) }
    }

    private static func seconds(since start: ContinuousClock.Instant) -> Double {
        let passed = (ContinuousClock.now - start).components
        return Double(passed.seconds) + Double(passed.attoseconds) * 1e-18
    }
}
