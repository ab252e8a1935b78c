import Carousel

/// A reader under test, with what its inputs are made of.
struct FuzzReader {
    /// Runs the reader on one input; decides nothing itself but throws what the reader throws, or a `Violation`.
    /// The generator gives what the input leaves open (options), so that a number names them too.
    typealias Run = (_ input: [UInt8], _ generator: inout SeededGenerator) throws -> Void

    /// As typed on the command line.
    var name: String
    /// Small valid inputs, which must be accepted: without them the mutations would never get past the first check.
    var samples: [[UInt8]]
    /// Inputs made to do harm, which must be refused.
    var hostile: [[UInt8]] = []
    /// Words of the format, which mutations put in.
    var tokens: [[UInt8]]
    /// The statuses that may refuse an input.
    var refusals: Set<ExitStatus>
    /// Makes a file of a sample or of what mutations made of one, where its parts depend on each other: a length in front.
    var assemble: (_ bytes: [UInt8]) -> [UInt8] = { $0 }
    /// Damages what `assemble` put right.
    var disturb: (_ file: inout [UInt8], _ generator: inout SeededGenerator) -> Void = { _, _ in }
    var run: Run

    init(name: String, samples: [[UInt8]], hostile: [[UInt8]] = [], tokens: [String], refusals: Set<ExitStatus>, run: @escaping Run) {
        self.name = name
        self.samples = samples
        self.hostile = hostile
        self.tokens = tokens.map { Array($0.utf8) }
        self.refusals = refusals
        self.run = run
    }

    /// Input `number` of a seed; its samples come first, then the hostile ones, then mutations of the samples.
    /// - Returns: the input and the generator that goes on to `run`.
    func input(_ number: Int, seed: UInt64) -> (bytes: [UInt8], generator: SeededGenerator) {
        var generator = SeededGenerator(seed: seed, purpose: UInt64(number))
        if number < samples.count { return (assemble(samples[number]), generator) }
        if number < samples.count + hostile.count { return (assemble(hostile[number - samples.count]), generator) }
        var file = assemble(Mutator(samples: samples, tokens: tokens).input(&generator))
        disturb(&file, &generator)
        return (file, generator)
    }

    /// What must become of input `number`; nil = either.
    func mustBeAccepted(_ number: Int) -> Bool? {
        if number < samples.count { return true }
        return number < samples.count + hostile.count ? false : nil
    }
}

/// A property that every accepted input must have, and this one has not.
struct Violation: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }

    static func require(_ condition: Bool, _ description: String) throws {
        guard condition else { throw Violation(description) }
    }
}

extension FuzzReader {
    /// A reader's name and how to make it; the scratch folder is the worker's own and is removed afterwards.
    typealias Factory = (name: String, make: (_ scratch: String) throws -> FuzzReader)

    /// All readers in the order of the table. A new reader is a function in `Readers` and a line here.
    static var all: [Factory] { [
        ("tsv", { try data("tsv", .tsv, $0) }),
        ("csv", { try data("csv", .csv, $0) }),
        ("json", { try data("json", .jsonl, $0) }),
        ("fasttext", { try data("fasttext", .fasttext, $0) }),
        ("encodings", encodings),
        ("series-table", seriesTable),
        ("series-json", seriesJSON),
        ("texts", { _ in try texts() }),
        ("standard-input", standardInput),
        ("configuration", configuration),
        ("settings", { _ in settings() }),
        ("run-configuration", runConfiguration),
        ("preparation", textPreparation),
        ("series-preparation", seriesPreparation),
        ("checkpoint", checkpoint),
        ("vocabulary", { _ in vocabulary() }),
        ("labels", { _ in labels() }),
        ("safetensors", { _ in try safetensors() }),
        ("weights", { _ in try weights() }),
        ("golden-layer", goldenLayer),
        ("golden-run", goldenRun),
        ("golden-audit", goldenAudit),
        ("bench-report", benchReport),
    ] }
}
