import CarouselCore
import CarouselData
import CarouselNN
import Foundation

/// Allocations of host memory.
public struct AllocationCount: Sendable, Equatable {
    /// Calls for memory and bytes asked for, by the thread that counts.
    public var calls = 0, bytes = 0
    /// The same of all threads together.
    public var allCalls = 0, allBytes = 0

    /// Nothing counted yet, unless said.
    public init(calls: Int = 0, bytes: Int = 0, allCalls: Int = 0, allBytes: Int = 0) {
        self.calls = calls
        self.bytes = bytes
        self.allCalls = allCalls
        self.allBytes = allBytes
    }
}

/// What can count allocations: a matter of the program, not of a library.
public protocol AllocationCounting {
    /// Counts from 0, this thread's and all threads'.
    func begin()
    /// So far.
    func current() -> AllocationCount
    /// Stops counting.
    func end() -> AllocationCount
}

/// Where the time of a whole training step goes, on batches of a real run.
///
/// The batches are run once to warm up, so that every buffer has met its largest batch. Then they are run as a training does,
/// with batches prepared on another thread and without any wait, for speed and allocations; and with a wait after each phase,
/// for the phases.
public final class StepBenchmark {
    private let trainer: Trainer
    private let backend: any Backend
    private let seconds: Double
    private let batches: [[Int]]
    private let monitor: StepMonitor
    private var best: BestModel
    private let stepsPerEpoch: Int
    private let averageInterval: Int
    private let rate: LearningRate
    private let status: (String) -> Void

    /// - Parameters:
    ///   - steps: batches at most, from the first epoch at equal distances, the largest among them.
    ///   - seconds: of each of the two kinds of runs, beside the warm-up.
    public init(_ trainer: Trainer, steps: Int, seconds: Double, status: @escaping (String) -> Void = { _ in }) throws {
        self.trainer = trainer
        self.seconds = seconds
        self.status = status
        backend = trainer.model.backend
        let plan = trainer.plan(epoch: 0), lengths = trainer.training.lengths
        func rows(_ batch: [Int]) -> Int { batch.reduce(0) { $0 + lengths[$1] } }
        let count = min(steps, plan.count)
        var chosen = (0..<count).map { plan[$0 * plan.count / count] }
        if let largest = plan.max(by: { rows($0) < rows($1) }), !chosen.isEmpty { chosen[0] = largest }
        batches = chosen
        let settings = trainer.configuration.training
        monitor = try StepMonitor(model: trainer.model, optimizer: trainer.optimizer, interval: trainer.lossInterval)
        best = try BestModel(monitor: settings.monitor, store: trainer.model.store)
        stepsPerEpoch = plan.count
        averageInterval = Trainer.averageInterval(stepsPerEpoch: plan.count)
        rate = LearningRate(settings, stepsPerEpoch: plan.count)
    }

    /// - Throws: `diverged` when a loss is not finite.
    public func run(machine: BenchMachine, counting counter: (any AllocationCounting)? = nil) throws -> BenchReport {
        do {
            return try measure(machine, counter)
        } catch let divergence as Divergence {
            throw CarouselError(.diverged, "training diverged at step \(divergence.step + 1) of the benchmark", hint: "a smaller --set training.learning_rate")
        }
    }

    private func measure(_ machine: BenchMachine, _ counter: (any AllocationCounting)?) throws -> BenchReport {
        status("warm-up, \(batches.count) steps")
        try pass(prefetching: true)
        try monitor.settle()
        _ = try best.offer(nil, epoch: 1, weights: trainer.average ?? trainer.model.store.weights)
        var (undisturbed, memory) = try passes(counter)
        let phases = try phases(counter)
        let tokens = batches.joined().reduce(0) { $0 + trainer.training.lengths[$1] }, steps = Double(batches.count)
        for i in undisturbed.samples.indices { undisturbed.samples[i] /= steps }
        undisturbed.processor = undisturbed.processor.map { $0 / steps }
        var report = BenchReport(command: "step", machine: machine)
        report.rows = phases + [BenchRow("a step as in training", undisturbed)]
        report.facts = [
            BenchFact("tokens per second", Double(tokens) / steps / max(undisturbed.median, 1e-12)),
            BenchFact("tokens per step", Double(tokens) / steps),
            BenchFact("distinct tokens per step", try distinctTokens()),
        ] + memory
        report.notes = [
            "\(batches.count) batches; phases are timed with a wait for the device at both ends, \"a step as in training\" without,",
            "and with batches prepared on another thread",
        ]
        return report
    }

    /// All batches once, as a training takes them.
    /// - Parameter begin: called before the first step, when the thread that prepares batches is there.
    private func pass(prefetching: Bool, begin: () -> Void = {}) throws {
        let data = trainer.training
        let observer = trainer.model.observer, pool = trainer.batchPool
        var made: BatchPrefetcher?
        if prefetching { made = BatchPrefetcher(data, batches: batches, weights: trainer.rowWeights, reversed: trainer.model.readsBackwards, pool: pool) }
        begin()
        for rows in batches {
            // A fixed place in the schedule: the rate must not fall to 0 over many passes.
            let number = trainer.optimizer.step % stepsPerEpoch
            func take(_ batch: SequenceBatch) throws {
                try trainer.take(batch, learningRate: rate(step: number), averageInterval: averageInterval, monitor: monitor)
            }
            if let made {
                guard let batch = made.next() else { break }
                try take(batch)
            } else {
                try observer.span(.step(0)) {
                    try take(observer.span(.preparation) {
                        let batch = pool.batch(rows, of: data, weights: trainer.rowWeights, reversed: trainer.model.readsBackwards)
                        pool.lend(batch)
                        return batch
                    })
                }
            }
        }
        try monitor.flush()
    }

    /// Undisturbed passes, and what they take of memory.
    private func passes(_ counter: (any AllocationCounting)?) throws -> (Timing, [BenchFact]) {
        status("steps as in training")
        let planner = backend as? any MemoryPlanner, steps = Double(batches.count)
        let buffersBefore = planner?.madeBuffers ?? 0
        try pass(prefetching: true) { counter?.begin() }
        try backend.finish()
        let allocations = counter?.end()
        var facts: [BenchFact] = []
        if let planner { facts.append(BenchFact("device buffers made per step", Double(planner.madeBuffers - buffersBefore) / steps)) }
        if let allocations {
            facts += [
                BenchFact("heap allocations per step, training thread", Double(allocations.calls) / steps),
                BenchFact("heap bytes per step, training thread", Double(allocations.bytes) / steps),
                BenchFact("heap allocations per step, all threads", Double(allocations.allCalls) / steps),
                BenchFact("heap bytes per step, all threads", Double(allocations.allBytes) / steps),
            ]
        }
        let timing = try repeated { try pass(prefetching: true) }
        if let planner {
            let planned = try plannedBytes()
            facts += [
                BenchFact("peak device memory", Double(planner.peakBytes) / 0x1p20, unit: "MiB"),
                BenchFact("planned for these batches", Double(planned) / 0x1p20, unit: "MiB"),
                BenchFact("peak of planned", 100 * Double(planner.peakBytes) / Double(max(1, planned)), unit: "%"),
                BenchFact("peak memory of the whole program", Double(Self.residentPeak) / 0x1p20, unit: "MiB"),
            ]
        }
        return (timing, facts)
    }

    /// Seconds of whole passes until the time is up; at least one.
    private func repeated(_ pass: () throws -> Void) throws -> Timing {
        var timing = Timing(samples: [])
        let before = HostClock.processorNanoseconds
        repeat {
            timing.samples.append(try HostClock.seconds {
                try pass()
                try backend.finish()
            })
        } while timing.samples.reduce(0, +) * (1 + 0.5 / Double(timing.samples.count)) < seconds
        timing.processor = Double(HostClock.processorNanoseconds - before) * 1e-9 / Double(timing.samples.count)
        return timing
    }

    /// A row for every phase, then their sum with the work between them.
    private func phases(_ counter: (any AllocationCounting)?) throws -> [BenchRow] {
        status("phases")
        let clock = PhaseClock(backend, counting: counter), steps = Double(batches.count), whole = Span.step(0)
        trainer.model.observer = clock
        defer { trainer.model.observer = nil }
        var passes: [[Span: Double]] = [], processor: [Span: Double] = [:]
        counter?.begin()
        _ = try repeated {
            clock.reset()
            try pass(prefetching: false)
            passes.append(clock.seconds)
            processor.merge(clock.processor, uniquingKeysWith: +)
        }
        _ = counter?.end()
        if let problem = clock.problem { throw problem }
        func timing(_ span: Span) -> Timing {
            Timing(samples: passes.map { ($0[span] ?? 0) / steps }, processor: processor[span].map { $0 / steps / Double(passes.count) })
        }
        let all = timing(whole)
        let named = clock.order.filter { $0 != whole }
        let between = passes.map { times in ((times[whole] ?? 0) - named.reduce(0) { $0 + (times[$1] ?? 0) }) / steps }
        func row(_ name: String, _ timing: Timing, allocations: Int? = nil) -> BenchRow {
            var row = BenchRow(name, timing)
            row.allocations = allocations.map { Double($0) / steps }
            row.share = all.median > 0 ? timing.median / all.median : 0
            return row
        }
        let rows = named.map { span in
            row(span.name, timing(span), allocations: counter == nil ? nil : clock.allocations[span])
        }
        return rows + [row("between", Timing(samples: between)), row("all phases", all)]
    }

    /// Largest resident set of this process so far, in bytes.
    private static var residentPeak: Int {
        var usage = rusage()
        return getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 ? usage.ru_maxrss * 1024 : 0
    }

    // MARK: Figures of the batches

    /// What the planner says of a run with exactly these batches; saving, which does not happen here, left out.
    private func plannedBytes() throws -> Int {
        let settings = trainer.configuration.training
        let shapes = try batches.map { rows in
            BatchShape(lengths: rows.map { trainer.training.lengths[$0] }.sorted(by: >), distinct: try distinct(rows),
                       isWeighted: settings.classWeights == .balanced)
        }
        let model = trainer.model
        let plan = try Rehearsal(trainer.configuration, input: model.input, classes: model.classes, backend: backend, limit: nil)
            .plan(LargestBatches(training: shapes, evaluation: []))
        return plan.needed - (plan.parts.first { $0.name == "saving" }?.bytes ?? 0)
    }

    private func distinct(_ rows: [Int]) throws -> Int? {
        guard case .tokens(let sequences) = trainer.training.sequences else { return nil }
        return Set(rows.flatMap { sequences[$0] }).count
    }

    private func distinctTokens() throws -> Double {
        try batches.reduce(0) { $0 + Double(try distinct($1) ?? 0) } / Double(max(1, batches.count))
    }
}
