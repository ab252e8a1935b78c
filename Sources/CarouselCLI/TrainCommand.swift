import ArgumentParser
import Carousel
import Foundation

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a classifier from a labelled file.",
        discussion: """
            DATA is a TSV, CSV, JSON-lines or fastText file, or a folder with one folder per class. A table needs a \
            column of texts and a column of labels; usual names are found, others are named with --text-column and \
            --label-column. Without DATA the English sentences inside the program are used.

              carousel train --output runs/first
              carousel train reviews.tsv --output runs/reviews --test held-out.tsv
              carousel train zh.csv --output runs/zh --text-column 评论 --label-column 2
              carousel train vowels.jsonl --output runs/vowels --preset relu-lstm
              carousel train reviews.tsv --output runs/slow --set training.epochs=12
              carousel train --resume --output runs/slow

            PRESETS
            \(ConfigurationOptions.presetList)

            A value is taken from the preset, then from the file of --config, then from --set, then from options of \
            its own such as --epochs; the last one wins. `carousel summary --preset NAME --yaml` prints every key.

            The run folder then holds the best model (model.safetensors) and the last one, the configuration, the \
            vocabulary, the labels and one line of metrics per epoch. Ctrl-C ends after the current step and saves; \
            a second Ctrl-C ends at once.

            CHECKPOINTS
            While it trains, a run keeps its whole state in checkpoints, and after any end (Ctrl-C, a crash, a power cut) \
            --resume continues it: the weights and metrics at its end are byte for byte those of a run that was never \
            stopped, on the same device. It takes configuration and data from the run itself; options that are given all \
            the same must say what the run was begun with. Where no run was begun, --resume begins it, so that one command \
            can be repeated until it succeeds. A finished run is left as it is.

            Before a training of some minutes or more, the device's outputs, gradients and updates of this model are compared \
            with double precision, as `carousel audit` does: a few seconds, once for each program, driver and model. A \
            device that computes wrong ends the training before it begins, with exit code 3; --no-audit skips this. \
            Where the model is too large for that it is said; `carousel audit` then takes the time it takes.
            """)

    @Argument(help: ArgumentHelp("Labelled data; nothing = the data inside the program.", valueName: "data"))
    var data: String?
    @Option(name: .shortAndLong, help: ArgumentHelp("The run folder to make.", valueName: "run"))
    var output: String
    @Option(help: ArgumentHelp("Labelled data that decides which epoch is the best.", valueName: "file"))
    var validation: String?
    @Option(help: ArgumentHelp("Share of DATA kept aside for that, where no --validation is given; 0 = none.", valueName: "share"))
    var validationSplit: Double?
    @Option(help: ArgumentHelp("Labelled data for a report at the end.", valueName: "file"))
    var test: String?
    @OptionGroup var source: ConfigurationOptions
    @OptionGroup var target: DeviceOptions
    @Option(help: "Passes over the training part.")
    var epochs: Int?
    @Option(help: "Rows per step.")
    var batchSize: Int?
    @Option(help: "Step size of the optimizer.")
    var learningRate: Double?
    @Option(help: "Decides the initial weights, the order of the rows, dropout and the validation part.")
    var seed: UInt64?
    @OptionGroup var columns: ColumnOptions
    @Option(help: "How text becomes tokens: auto, words, characters or icu.")
    var tokenizer: TokenizerKind?
    @Flag(help: "Replace the run in a folder that is not empty; files of other origin stay.")
    var force = false
    @Flag(help: "Continue the run in --output from its newest checkpoint.")
    var resume = false
    @Option(help: ArgumentHelp("How often to write a checkpoint: steps, seconds or minutes, as \"500 steps\" or 5m.", valueName: "interval"))
    var checkpointEvery = CheckpointInterval.seconds(60)
    @Flag(help: "Do not audit the device before a long training.")
    var noAudit = false
    @Option(help: ArgumentHelp("Write a timeline of the first steps for a trace viewer (Perfetto, chrome://tracing).", valueName: "file"))
    var profile: String?
    @Option(help: ArgumentHelp("Steps of that timeline.", valueName: "count"))
    var profileSteps = 50
    @OptionGroup var printing: OutputOptions

    func validate() throws {
        guard (1...100_000).contains(profileSteps) else { throw ValidationError("--profile-steps must be from 1 to 100000, not \(profileSteps)") }
        if validation != nil && validationSplit != nil { throw ValidationError("give --validation or --validation-split, not both") }
        if let validationSplit, !(0..<1).contains(validationSplit) {
            throw ValidationError("--validation-split must be at least 0 and below 1, not \(validationSplit)")
        }
        if resume && force { throw ValidationError("--resume continues the run in the folder, --force replaces it: give one of them") }
        if output.isEmpty { throw ValidationError("--output is empty: name the folder to make") }
        if let epochs, epochs < 1 { throw ValidationError("--epochs must be at least 1, not \(epochs)") }
        if let batchSize, batchSize < 1 { throw ValidationError("--batch-size must be at least 1, not \(batchSize)") }
        if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate must be greater than 0, not \(learningRate)")
        }
    }

    func run() throws {
        printing.apply()
        if let profile { try OutputFile.checkWritable(profile) }
        let begun = resume ? try RunFolder.resume(output) : nil
        let configuration = try begun.map(configuration) ?? source.resolve(adding: settings())
        if begun == nil { try RunFolder.check(output, force: force || resume) }
        if let begun, begun.isFinished { return try tellEnding(of: begun) }
        let inputs = try inputs(of: begun)
        let backend = try target.open(configuration.training.precision)
        let data = try Self.readData(configuration, inputs)
        // All that can be refused comes before anything in the folder changes.
        let trainer = try Trainer(configuration: configuration, data: data, backend: backend, folder: nil)
        Console.message(trainer.memory.line)
        if !noAudit { try AuditCommand.beforeTraining(configuration, data, on: backend) }
        trainer.profile = try profile.map { try TrainingProfile(file: $0, steps: profileSteps, device: backend.info) }
        let folder = try begun ?? RunFolder.create(output, force: force || resume)
        if !folder.hasCheckpoints { try folder.begin(configuration, inputs: inputs) }
        trainer.folder = folder
        let result: TrainingResult
        Interruption.install()
        var hasTrained = false
        do {
            var progress = TrainingProgress()
            result = try trainer.memory.explaining {
                try trainer.run(resume: begun != nil, checkpoints: checkpointEvery, observe: { event in
                    if case .prepared = event {} else { hasTrained = true }
                    progress.show(event)
                }, shouldStop: { Interruption.signal != 0 })
            }
        } catch {
            if folder.contains(.model) {
                if hasTrained { Console.message("the last good model is in \(folder.path)") }
            } else if begun == nil && !folder.hasCheckpoints {
                // A run that never began leaves nothing behind that would stand in the way of the next try.
                try? folder.removeFiles()
                rmdir(folder.path) // Only where nothing else is in it.
            }
            throw error
        }
        try report(result, in: folder, usesOwnData: inputs.train == nil)
        if let profile { Console.message("profile: \(profile), for Perfetto or chrome://tracing") }
        if result.interrupted {
            Console.message("continue with: carousel train --resume --output \(Format.argument(folder.path))")
            if let problem = trainer.profile?.problem { Console.message("the profile is incomplete: \(problem)") }
            try Console.flush()
            Foundation.exit(128 + Interruption.signal)
        }
        // The run is complete; what could not be recorded of it is an error all the same.
        if let problem = trainer.profile?.problem { throw problem }
    }

    /// What there is to say where nothing is left to do.
    private func tellEnding(of run: RunFolder) throws {
        Console.message("the run in \(run.path) has come to its end; there is nothing to resume")
        if printing.json { try Console.print(run.read(.report).split(separator: "\n").map(String.init)) }
    }

    /// The configuration of a run that is continued; options given all the same must agree with it.
    private func configuration(of run: RunFolder) throws -> RunConfiguration {
        let start = try RunConfiguration.load(file: run.path(of: .configuration))
        var asked = start
        if source.preset != nil || source.file != nil {
            asked = try source.resolve(adding: settings())
        } else {
            for setting in try source.settings.map({ try RunConfiguration.Setting($0) }) + settings() { try asked.set(setting) }
        }
        try asked.requireSame(as: start, in: run.path)
        return start
    }

    /// Where the data is: as given, else where the run had it.
    private func inputs(of run: RunFolder?) throws -> RunInputs {
        var inputs = RunInputs(train: data, validation: validation, test: test)
        guard let run else { return inputs }
        // A damaged record is in nobody's way where the data is named: what the run began with is known by its fingerprint.
        let start = data == nil ? try run.inputs() : (try? run.inputs()) ?? RunInputs(train: nil)
        inputs.train = inputs.train ?? start.train
        inputs.validation = inputs.validation ?? start.validation
        inputs.test = inputs.test ?? start.test
        return inputs
    }

    /// The options that stand for keys of the configuration.
    private func settings() -> [RunConfiguration.Setting] {
        func setting(_ key: String, _ option: String, _ value: (some CustomStringConvertible)?) -> RunConfiguration.Setting? {
            value.map { .init(key: key, value: "\($0)", source: "\(option) \($0)") }
        }
        // A name stays text even where it looks like something else in YAML.
        func quoted(_ text: String?) -> String? { text.map { "'" + $0.replacing("'", with: "''") + "'" } }
        return [
            setting("training.epochs", "--epochs", epochs),
            setting("training.batch_size", "--batch-size", batchSize),
            setting("training.learning_rate", "--learning-rate", learningRate),
            setting("training.seed", "--seed", seed),
            setting("training.precision", "--precision", target.products.precision?.rawValue),
            setting("training.validation_split", "--validation-split", validationSplit),
            setting("preparation.tokenizer", "--tokenizer", tokenizer?.rawValue),
            setting("data.text_column", "--text-column", quoted(columns.textColumn)),
            setting("data.label_column", "--label-column", quoted(columns.labelColumn)),
        ].compactMap { $0 }
    }

    /// Reads all parts and checks that they fit each other, before anything is written.
    static func readData(_ configuration: RunConfiguration, _ inputs: RunInputs) throws -> TrainingData {
        var options = configuration.data
        options.requiresLabels = true
        let train = try inputs.train.map { try DataReader.read($0, options: options) } ?? .text(try EmbeddedData.train())
        var parts = TrainingData(train: train)
        parts.validation = try inputs.validation.map { try DataReader.read($0, options: options) }
        if let test = inputs.test {
            parts.test = try DataReader.read(test, options: options)
        } else if inputs.train == nil {
            parts.test = .text(try EmbeddedData.test())
        }
        let labels = try LabelSet(training: train)
        for part in [parts.validation, parts.test].compactMap({ $0 }) { _ = try labels.encode(part) }
        if case .text = train { try configuration.validate(hasTokens: true) } else { try configuration.validate(hasTokens: false) }
        return parts
    }

    private func report(_ result: TrainingResult, in folder: RunFolder, usesOwnData: Bool) throws {
        if printing.json {
            try Console.print(json: result)
        } else {
            for (name, report) in [("validation", result.validation), ("test", result.test)] {
                guard let report else { continue }
                try Console.print("\(name) part, epoch \(result.bestEpoch)")
                try Console.print(report.lines().map { $0.isEmpty ? "" : "  " + $0 })
                try Console.print()
            }
        }
        try Console.flush()
        let time = result.seconds < 60 ? String(format: "%.1f s", result.seconds) : Format.duration(result.seconds)
        Console.message("\(result.epochs.count) epoch\(result.epochs.count == 1 ? "" : "s") in \(time); "
            + (result.bestEpoch == 0 ? "no epoch was finished: the weights as they were are in " : "the model is in ") + folder.path)
        guard !result.interrupted else { return }
        let place = Format.argument(folder.path)
        Console.message("next:")
        Console.message("  carousel evaluate \(place)\(usesOwnData ? "" : " FILE")")
        Console.message("  carousel predict \(place) \(usesOwnData ? "\"I would watch it again\"" : "--input FILE")")
    }
}
