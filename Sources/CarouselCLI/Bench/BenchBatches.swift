import ArgumentParser
import Carousel
import Foundation

/// Writes what `train` would compute with, so that another program can train on exactly the same.
struct BenchBatches: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "batches",
        abstract: "Write the tokens, labels and batches of a training to a file, for other programs.",
        discussion: """
            DATA is read, split, numbered and cut into batches as `train` does it with the same options. The file is in the \
            safetensors format:

              train.tokens   [tokens] int32        the token numbers of all rows, one row after the other
              train.offsets  [rows + 1] int64      row r is train.tokens[offsets[r] ..< offsets[r + 1]]
              train.labels   [rows] int32          class numbers
              epochs.K.rows  [rows] int32          the rows of epoch K = 0, 1, … in the order of their batches
              epochs.K.bounds [batches + 1] int64  batch b is rows[bounds[b] ..< bounds[b + 1]]

            validation.* and test.* are as train.*, where there are such parts. The metadata holds vocabulary_size, classes, \
            labels (JSON), and the configuration with every key (JSON).

              carousel bench batches reviews.tsv --preset simple-rnn --output batches.safetensors
            """)

    @Argument(help: ArgumentHelp("Labelled text; nothing = the data inside the program.", valueName: "data"))
    var data: String?
    @Option(name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"))
    var output: String
    @Option(help: ArgumentHelp("Labelled data in place of a validation part.", valueName: "file"))
    var validation: String?
    @Option(help: ArgumentHelp("Labelled data to write beside.", valueName: "file"))
    var test: String?
    @Option(help: "Epochs whose batches are written.")
    var epochs = 3
    @OptionGroup var source: ConfigurationOptions
    @Flag(name: .shortAndLong, help: "No messages; errors stay.")
    var quiet = false

    func validate() throws {
        guard (1...1000).contains(epochs) else { throw ValidationError("--epochs must be 1 to 1000, not \(epochs)") }
    }

    func run() throws {
        Console.isQuiet = quiet
        try OutputFile.checkWritable(output)
        let configuration = try source.resolve()
        let data = try TrainCommand.readData(configuration, RunInputs(train: data, validation: validation, test: test))
        // The trainer itself prepares, so that nothing here can differ from a training.
        let trainer = try Trainer(configuration: configuration, data: data, backend: try Device.open("cpu"), folder: nil)
        var tensors = try Self.tensors("train", trainer.training)
        if let part = trainer.validation { tensors += try Self.tensors("validation", part) }
        if let part = trainer.test { tensors += try Self.tensors("test", part) }
        for epoch in 0..<epochs { tensors += Self.tensors(epoch: epoch, trainer.plan(epoch: epoch)) }
        let file = Safetensors(tensors: tensors, metadata: try Self.metadata(of: trainer, epochs: epochs))
        try Self.write(try file.encoded(), to: output)
        Console.message("\(Format.count(trainer.training.count)) rows of \(Format.count(trainer.training.lengths.reduce(0, +))) tokens in "
            + "\(Format.count(trainer.plan(epoch: 0).count)) batches: \(output)")
    }

    /// Tokens, row offsets and labels of one part.
    /// - Throws: `badData` for anything but text.
    private static func tensors(_ name: String, _ part: EncodedDataSet) throws -> [HostTensor] {
        guard case .tokens(let rows) = part.sequences else {
            throw CarouselError(.badData, "holds numeric sequences; batches are written for text only", at: "the \(name) part")
        }
        var offsets = [Int64(0)]
        for row in rows { offsets.append(offsets[offsets.count - 1] + Int64(row.count)) }
        let tokens = Array(rows.joined())
        return [HostTensor(name: "\(name).tokens", shape: Shape([tokens.count]), values: .int32(tokens)),
                HostTensor(name: "\(name).offsets", shape: Shape([offsets.count]), values: .int64(offsets)),
                HostTensor(name: "\(name).labels", shape: Shape([part.labels.count]), values: .int32(part.labels))]
    }

    /// Rows and bounds of the batches of one epoch.
    private static func tensors(epoch: Int, _ batches: [[Int]]) -> [HostTensor] {
        var bounds = [Int64(0)]
        for batch in batches { bounds.append(bounds[bounds.count - 1] + Int64(batch.count)) }
        let rows = batches.joined().map { Int32($0) }
        return [HostTensor(name: "epochs.\(epoch).rows", shape: Shape([rows.count]), values: .int32(rows)),
                HostTensor(name: "epochs.\(epoch).bounds", shape: Shape([bounds.count]), values: .int64(bounds))]
    }

    private static func metadata(of trainer: Trainer, epochs: Int) throws -> [String: String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        func json(_ value: some Encodable) throws -> String { String(decoding: try encoder.encode(value), as: UTF8.self) }
        guard case .tokens(let vocabulary) = trainer.preparation.modelInput else {
            throw CarouselError(.badData, "the model reads numbers; batches are written for text only")
        }
        return ["vocabulary_size": "\(vocabulary)", "classes": "\(trainer.labels.count)", "epochs": "\(epochs)",
                "labels": try json(trainer.labels.names), "configuration": try json(trainer.configuration)]
    }

    private static func write(_ data: Data, to path: String) throws {
        do {
            try data.write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CarouselError(.cannotCreateOutput, "cannot be written: \(error.localizedDescription)", at: path)
        }
    }
}
