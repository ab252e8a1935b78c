import ArgumentParser
import CAllocations
import Carousel

/// `carousel bench step`
struct BenchStepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step",
        abstract: "A whole training step by its phases, with tokens per second, allocations and memory.",
        discussion: """
            Batches of a real run: DATA is read, prepared and cut as `train` does it, and nothing is saved. Without DATA the \
            sentences inside the program are used.

              carousel bench step reviews.tsv --preset stacked-lstm
              carousel bench step --preset bilstm --set training.batch_size=64 --device opencl:0

            PRESETS
            \(ConfigurationOptions.presetList)
            """)

    @Argument(help: ArgumentHelp("Labelled data; nothing = the data inside the program.", valueName: "data"))
    var data: String?
    @OptionGroup var source: ConfigurationOptions
    @Option(help: ArgumentHelp("Batches of the first epoch at most, the largest among them.", valueName: "count"))
    var steps = 20
    @Option(help: ArgumentHelp("How long steps are repeated, once as in training and once with phases.", valueName: "seconds"))
    var seconds = 5.0
    @OptionGroup var options: BenchOptions

    func validate() throws {
        try RowSeconds.check(seconds)
        guard (1...100_000).contains(steps) else { throw ValidationError("--steps must be from 1 to 100000, not \(steps)") }
    }

    func run() throws {
        var configuration = try source.resolve()
        if let precision = options.target.products.precision { configuration.training.precision = precision }
        try options.run("step", precision: configuration.training.precision) { subject in
            var reading = configuration.data
            reading.requiresLabels = true
            let set = try data.map { try DataReader.read($0, options: reading) } ?? .text(try EmbeddedData.train())
            let trainer = try Trainer(configuration: configuration, data: TrainingData(train: set), backend: subject.backend, folder: nil)
            let benchmark = try StepBenchmark(trainer, steps: steps, seconds: seconds, status: Console.status)
            return try benchmark.run(machine: subject.machine, counting: Allocations.counter)
        }
    }
}

/// The program's own count of allocations.
private struct Allocations: AllocationCounting {
    /// nil where they cannot be counted.
    static var counter: Allocations? { carousel_allocations_countable() ? Allocations() : nil }

    func begin() { carousel_allocations_begin() }

    func end() -> AllocationCount { Self.count(carousel_allocations_end()) }
    func current() -> AllocationCount { Self.count(carousel_allocations_current()) }

    private static func count(_ count: CAllocationCount) -> AllocationCount {
        AllocationCount(calls: Int(count.ownCalls), bytes: Int(count.ownBytes), allCalls: Int(count.allCalls), allBytes: Int(count.allBytes))
    }
}
