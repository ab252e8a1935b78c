import ArgumentParser
import Carousel

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure how fast operations, layers and whole training steps are.",
        discussion: """
              carousel bench layers
              carousel bench layers --cell gru --sizes 100,64,128,128 --device opencl:0
              carousel bench step reviews.tsv --preset stacked-lstm
              carousel bench layers --output before.json
              carousel bench layers --compare before.json

            Times are medians and minima of repeated runs after a warm-up. GFLOP/s count the products that real steps need; \
            shares refer to a peak measured in the same run. Documentation/Benchmarks.md explains every column.

            A benchmark that ran ends with exit code 0, also one that is slower than the report it is compared with. A report \
            of --compare that is missing ends with 66, one that is damaged or of another command with 65.
            """,
        subcommands: [BenchLayersCommand.self, BenchOperationsCommand.self, BenchOptionsCommand.self, BenchStepCommand.self, BenchScalingCommand.self,
                      BenchDeviceCommand.self, BenchLossesCommand.self, BenchBatches.self])
}

/// Options of every benchmark.
struct BenchOptions: ParsableArguments {
    @OptionGroup var target: DeviceOptions
    @Option(help: ArgumentHelp("One of the device's ways of computing, where it has several: \"gpu kernels\" or \"cpu kernels\".", valueName: "plan"))
    var plan: String?
    @Option(help: ArgumentHelp("Save the report as JSON.", valueName: "file"))
    var output: String?
    @Option(help: ArgumentHelp("Compare with a saved report of the same command.", valueName: "file"))
    var compare: String?
    @OptionGroup var printing: OutputOptions

    /// Opens the device, runs, prints, saves and compares; what can be refused is refused before anything is measured.
    /// - Parameter usual: the precision where no option names one.
    func run(_ command: String, precision usual: Precision = .float32, _ body: (Subject) throws -> BenchReport) throws {
        printing.apply()
        if let output { try OutputFile.checkWritable(output) }
        let old = try compare.map { try BenchReport.load($0, command: command) }
        let backend = try open(usual), host = try Device.open("cpu")
        let machine = BenchMachine(program: CarouselProgram.configuration.version, processor: host.info.name, backend: backend)
        let report = try body(Subject(backend: backend, host: host, machine: machine))
        let comparison = old.map { BenchComparison(old: $0, new: report) }
        if let output { try OutputFile.write(try report.json() + "\n", to: output) }
        if printing.json {
            try Console.print(json: Result(report: report, comparison: comparison))
        } else {
            try Console.print(report.lines())
            if let comparison { try Console.print([""] + comparison.lines()) }
        }
        try Console.flush()
        for warning in comparison?.warnings ?? [] { Console.message("warning: not the same: \(warning)") }
    }

    /// What is measured.
    struct Subject {
        var backend: any Backend
        /// The CPU device.
        var host: any Backend
        var machine: BenchMachine

        /// For benchmarks of rows.
        func benchmark(_ time: RowSeconds) throws -> Benchmark {
            try Benchmark(on: backend, host: host, seconds: time.seconds, status: Console.status)
        }
    }

    /// What `--json` prints; with `--compare` beside the comparison.
    private struct Result: Encodable {
        var report: BenchReport
        var comparison: BenchComparison?

        func encode(to encoder: any Encoder) throws {
            guard let comparison else { return try report.encode(to: encoder) }
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(report, forKey: .report)
            try container.encode(comparison, forKey: .comparison)
        }

        enum Key: String, CodingKey { case report, comparison }
    }

    private func open(_ usual: Precision) throws -> any Backend {
        guard let plan else { return try target.open(usual) }
        let backend = try Device.open(target.device.text, plan: plan, precision: target.products.precision ?? usual)
        Console.message("device: \(backend.info.selector), \(backend.info.name), \(plan)")
        return backend
    }
}

/// `--seconds`, for benchmarks of many rows.
struct RowSeconds: ParsableArguments {
    @Option(help: ArgumentHelp("How long each row is measured, beside its warm-up.", valueName: "seconds"))
    var seconds = 1.0

    func validate() throws { try Self.check(seconds) }

    static func check(_ seconds: Double) throws {
        guard seconds > 0, seconds <= 3600 else { throw ValidationError("--seconds must be more than 0 and at most 3600, not \(seconds)") }
    }
}

/// Whole numbers with commas between them: `100,64,128,128`.
struct SizeList: ExpressibleByArgument {
    let values: [Int]

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.allSatisfy({ $0.map { (1...1 << 24).contains($0) } ?? false }) else { return nil }
        values = parts.compactMap { $0 }
    }
}
