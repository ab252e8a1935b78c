import ArgumentParser
import Carousel

struct SummaryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "summary",
        abstract: "Show a model's layers, shapes, parameters, memory and the plan each layer runs with.",
        discussion: """
            In shapes T is the number of steps and B the rows of a batch. Memory is what training needs at \
            most, with every row as long as --steps and as many different words as there can be. The plan is the way the device computes a layer.

              carousel summary runs/reviews
              carousel summary --preset stacked-lstm --device opencl
              carousel summary --preset bilstm --yaml > mine.yaml

            PRESETS
            \(ConfigurationOptions.presetList)
            """)

    @Argument(help: ArgumentHelp("The run folder of a training.", valueName: "run"))
    var runFolder: String?
    @OptionGroup var source: ConfigurationOptions
    @OptionGroup var target: DeviceOptions
    @Option(help: "Rows per batch; the configuration's if not given.")
    var batchSize: Int?
    @Option(help: "Steps per row; the configuration's maximum_length if not given.")
    var steps: Int?
    @Option(help: "Classes, for a preset.")
    var classes = 2
    @Option(help: "Numbers per step, for a model of numeric sequences.")
    var width = 1
    @Flag(help: "Print the whole configuration as YAML instead.")
    var yaml = false
    @OptionGroup var printing: OutputOptions

    func validate() throws {
        let hasSource = source.preset != nil || source.file != nil
        if runFolder != nil && hasSource { throw ValidationError("give a run folder or --preset or --config, not both") }
        if runFolder == nil && !hasSource { throw ValidationError("give a run folder, --preset NAME or --config FILE") }
        if runFolder != nil && !source.settings.isEmpty { throw ValidationError("--set changes a preset or a file, not a finished run") }
        for (name, value, least) in [("--batch-size", batchSize, 1), ("--steps", steps, 1), ("--classes", classes, 2), ("--width", width, 1)] {
            guard let value else { continue }
            if value < least { throw ValidationError("\(name) must be at least \(least), not \(value)") }
            if value > 1 << 20 { throw ValidationError("\(name) must be at most \(1 << 20), not \(value)") }
        }
    }

    func run() throws {
        printing.apply()
        if yaml {
            let configuration = try runFolder.map { try RunConfiguration.load(file: RunFolder.open($0).path(of: .configuration)) } ?? source.resolve()
            try Console.print(configuration.yaml().split(separator: "\n").map(String.init))
            return
        }
        let backend = try target.open()
        var (configuration, model) = try model(on: backend)
        configuration.training.precision = backend.precision
        let optimizer = try Optimizer(configuration.training.optimizer, clipping: configuration.training.clipping, store: model.store)
        let batch = batchSize ?? configuration.training.batchSize, steps = steps ?? configuration.preparation.maximumLength
        guard batch * steps <= Int(Int32.max) else {
            throw CarouselError(.usage, "a batch of \(batch) rows of \(steps) steps is larger than any device holds",
                                hint: "a smaller --batch-size or --steps")
        }
        let summary = try model.summary(batch: batch, steps: steps, moments: optimizer.moments.count)
        let memory = try MemoryPlan(configuration, input: model.input, classes: model.classes, batch: batch, steps: steps, on: backend)
        if printing.json {
            try Console.print(json: Report(summary, memory))
        } else {
            try Console.print(SummaryTable.lines(summary) + [memory.line, "  " + memory.detail])
        }
    }

    /// What `--json` prints.
    private struct Report: Encodable {
        var layers: [LayerSummary]
        var parameters: Int
        var parameterBytes: Int
        var activationBytes: Int
        var memory: MemoryPlan

        init(_ summary: ModelSummary, _ memory: MemoryPlan) {
            layers = summary.layers
            parameters = summary.parameters
            parameterBytes = summary.parameterBytes
            activationBytes = summary.activationBytes
            self.memory = memory
        }
    }

    private func model(on backend: any Backend) throws -> (RunConfiguration, SequenceClassifier) {
        if let runFolder {
            let classifier = try Classifier.load(runFolder, on: backend)
            return (classifier.configuration, classifier.model)
        }
        let configuration = try source.resolve()
        var input = ModelInput.features(width: width)
        if case .embedding? = configuration.model.layers.first { input = .tokens(vocabulary: configuration.preparation.vocabularySize) }
        // Only its sizes are shown, so it needs neither weights nor the memory for them.
        return (configuration, try SequenceClassifier(configuration.model, input: input, classes: classes,
                                                      seed: configuration.training.seed, on: backend.makePlanner()))
    }
}
