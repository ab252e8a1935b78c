import ArgumentParser
import Carousel

/// `carousel bench losses`
struct BenchLossesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "losses",
        abstract: "The first steps of a training on the CPU and on another device, side by side.",
        discussion: """
            The same seed, split, weights and batches everywhere: the losses of the first step differ by roundings, those of later \
            steps by what training makes of roundings. The CPU computes in float32, the other device in --precision.

              carousel bench losses --device opencl:0 --preset stacked-lstm --steps 20
            """)

    @Argument(help: ArgumentHelp("Labelled text; nothing = the data inside the program.", valueName: "data"))
    var data: String?
    @Option(help: "Steps on each device.")
    var steps = 20
    @OptionGroup var source: ConfigurationOptions
    @OptionGroup var target: DeviceOptions
    @Option(help: ArgumentHelp("One of the device's ways of computing, where it has several.", valueName: "plan"))
    var plan: String?
    @OptionGroup var printing: OutputOptions

    func validate() throws {
        guard (1...10_000).contains(steps) else { throw ValidationError("--steps must be from 1 to 10000, not \(steps)") }
    }

    /// What `--json` prints.
    private struct Result: Encodable {
        var plan: String
        var precision: Precision
        var traces: [TrainingComparison.Trace]
        /// Largest relative differences over the steps.
        var difference: TrainingComparison.Difference
    }

    func run() throws {
        printing.apply()
        var configuration = try source.resolve()
        let data = try TrainCommand.readData(configuration, RunInputs(train: data, validation: nil, test: nil))
        let precision = target.products.precision ?? configuration.training.precision
        let backend = try plan.map { try Device.open(target.device.text, plan: $0, precision: precision) } ?? target.open(precision)
        Console.status("cpu")
        configuration.training.precision = .float32
        let expected = try TrainingComparison.trace(configuration, data: data, steps: steps, on: try Device.open("cpu"))
        Console.status(backend.info.selector)
        configuration.training.precision = precision
        let found = try TrainingComparison.trace(configuration, data: data, steps: steps, on: backend)
        let difference = TrainingComparison.difference(found, from: expected)
        if printing.json { return try Console.print(json: Result(plan: backend.plan, precision: precision, traces: [expected, found], difference: difference)) }
        try Console.print("step  cpu  \(backend.info.selector), \(backend.plan)")
        for (step, pair) in zip(expected.losses, found.losses).enumerated() { try Console.print("\(step + 1)  \(pair.0)  \(pair.1)") }
        try Console.print("largest relative difference: loss \(Format.significant(difference.loss)), gradient norm \(Format.significant(difference.gradientNorm))")
    }
}
