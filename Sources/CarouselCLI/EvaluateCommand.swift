import ArgumentParser
import Carousel

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure a trained model on labelled data.",
        discussion: """
            Prints accuracy, loss, precision, recall and F1 of every class, their macro, micro and weighted means, and \
            the confusion matrix (rows: true class, columns: predicted class). Text is prepared exactly as in training. \
            A ratio whose denominator is 0 counts as 0.

              carousel evaluate runs/reviews test.tsv
              carousel evaluate runs/reviews test.csv --text-column body --label-column stars --json
            """)

    @Argument(help: ArgumentHelp("The run folder of a training.", valueName: "run"))
    var runFolder: String
    @Argument(help: ArgumentHelp("Labelled data; nothing = the test part of the data inside the program.", valueName: "data"))
    var data: String?
    @OptionGroup var target: DeviceOptions
    @OptionGroup var columns: ColumnOptions
    @OptionGroup var printing: OutputOptions

    func run() throws {
        printing.apply()
        let backend = try target.open()
        let classifier = try Classifier.load(runFolder, on: backend)
        var options = columns.applied(to: classifier.configuration.data)
        options.requiresLabels = true
        let rows = try data.map { try DataReader.read($0, options: options) } ?? embedded(for: classifier)
        Console.message("data: \(data == nil ? "the test part of the data inside the program" : rows.origin.description)")
        guard rows.count > 0 else { throw CarouselError(.badData, "there are no rows to evaluate", at: data) }
        let report = try classifier.evaluate(rows)
        if printing.json {
            try Console.print(json: report)
        } else {
            try Console.print(report.lines())
        }
    }

    /// The test part inside the program, for a model that has its labels.
    private func embedded(for classifier: Classifier) throws -> DataSet {
        let test = try EmbeddedData.test()
        guard case .text = classifier.preparation, Set(classifier.labels.names) == Set(test.labels) else {
            throw CarouselError(.usage, "name the data to evaluate on: this model was not trained on the data inside the program",
                                at: runFolder, hint: "carousel evaluate \(Format.argument(runFolder)) FILE")
        }
        return .text(test)
    }
}
