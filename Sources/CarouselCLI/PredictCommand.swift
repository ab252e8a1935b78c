import ArgumentParser
import Carousel

struct PredictCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict",
        abstract: "Label texts with a trained model.",
        discussion: """
            One line per text, in the order they came: the label, then every class with its probability, most probable \
            first, separated by tabs. With --threshold P a text whose best class stays below P gets the label `unsure`. \
            Lines are printed as soon as they are known, so a pipe may stay open.

              carousel predict runs/reviews "great, works as described" "broke after a day"
              carousel predict runs/reviews --input comments.txt | cut -f1 | sort | uniq -c
              tail -f log.txt | carousel predict runs/reviews --input - --top 1 --threshold 0.8 --json

            A file may be plain lines or any format that `train` reads; the text is looked for in the column that was \
            trained on, unless --text-column names another, and labels are not looked at. With --json each line is an \
            object with label, probability, probabilities and unsure. A model of numeric sequences reads --input FILE.
            """)

    @Argument(help: ArgumentHelp("The run folder of a training.", valueName: "run"))
    var runFolder: String
    @Argument(help: "Texts to label.")
    var texts: [String] = []
    @Option(name: .shortAndLong, help: ArgumentHelp("A file of texts, or - for standard input.", valueName: "file"))
    var input: String?
    @Option(help: ArgumentHelp("Print only the K most probable classes.", valueName: "k"))
    var top: Int?
    @Option(help: ArgumentHelp("Answer `unsure` below this probability.", valueName: "p"))
    var threshold: Double?
    @OptionGroup var target: DeviceOptions
    @Option(help: "Column of the text: a name or a number from 1.")
    var textColumn: String?
    @OptionGroup var printing: OutputOptions

    func validate() throws {
        if texts.isEmpty == (input == nil) { throw ValidationError("give texts, or --input FILE (or - for standard input)") }
        if let top, top < 1 { throw ValidationError("--top must be at least 1, not \(top)") }
        if let threshold, !(0...1).contains(threshold) { throw ValidationError("--threshold must be between 0 and 1, not \(threshold)") }
    }

    func run() throws {
        printing.apply()
        let folder = try RunFolder.open(runFolder)
        let backend = try target.open()
        let classifier = try Classifier.load(folder.path, on: backend)
        // The columns are those of the training; the format is this file's own.
        var options = classifier.configuration.data
        options.requiresLabels = false
        options.format = .auto
        if case .series = classifier.preparation {
            try predictSeries(classifier, options)
        } else if let input {
            if let textColumn { options.textColumn = textColumn }
            let rows = try PredictionInput(path: input, options: options)
            if let origin = rows.origin { Console.message("data: \(origin)") }
            let queue = RowQueue(rows)
            while let texts = try queue.next() {
                try show(try classifier.predict(texts), classifier.labels)
                try Console.flush()
            }
        } else {
            try show(try classifier.predict(texts), classifier.labels)
        }
    }

    private func predictSeries(_ classifier: Classifier, _ options: ReadOptions) throws {
        guard let input, input != "-" else {
            throw CarouselError(.usage, "the model reads numeric sequences, not texts", at: runFolder, hint: "--input FILE with CSV or JSON lines")
        }
        var options = options
        options.kind = .series
        if let textColumn { options.textColumn = textColumn }
        let data = try DataReader.read(input, options: options)
        Console.message("data: \(data.origin)")
        for start in stride(from: 0, to: data.count, by: 1024) {
            let chunk = data.subset(Array(start..<min(start + 1024, data.count)))
            try show(try classifier.predict(chunk), classifier.labels)
            try Console.flush()
        }
    }

    /// One line of `--json`.
    private struct Answer: Encodable {
        var label: String
        var probability: Double
        var probabilities: [String: Double]
        var unsure: Bool
    }

    private func show(_ predictions: [Prediction], _ labels: LabelSet) throws {
        for prediction in predictions {
            let p = prediction.probabilities
            let order = p.indices.sorted { (p[$1], $0) < (p[$0], $1) }.prefix(top ?? p.count)
            let best = p.max() ?? 0
            let isUnsure = threshold.map { best < $0 } ?? false
            if printing.json {
                let chosen = Dictionary(uniqueKeysWithValues: order.map { (labels.names[$0], p[$0]) })
                try printLine(Answer(label: prediction.label, probability: best, probabilities: chosen, unsure: isUnsure))
            } else {
                let classes = order.map { "\(Self.plain(labels.names[$0]))=\(Format.share(p[$0]))" }
                try Console.print(([isUnsure ? "unsure" : Self.plain(prediction.label)] + classes).joined(separator: "\t"))
            }
        }
    }

    private func printLine(_ answer: Answer) throws { try Console.print(json: answer, pretty: false) }

    /// A label that keeps to its field and line.
    private static func plain(_ label: String) -> String {
        String(label.map { $0 == "\t" || $0.isNewline ? " " : $0 })
    }
}
