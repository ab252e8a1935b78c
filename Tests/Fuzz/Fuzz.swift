import ArgumentParser
import Carousel
import Foundation

/// Feeds damaged input to everything that reads files or text from outside. A reader, a seed and a number make the same
/// input on every machine.
@main
struct Fuzz: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fuzz",
        abstract: "Feed mutated input to every reader.",
        discussion: """
            Every input must be accepted or refused with an error of Carousel's own, without a crash, within \(Limits.seconds) s \
            of processor time, and without memory growing by \(Limits.memory >> 20) MiB.

              Scripts/fuzz                                  all readers
              Scripts/fuzz csv json --inputs 1000000        some
              Scripts/fuzz csv --seed 1 --number 4711       one input again: saved, shown and read

            Ends with 1 after any finding.
            """)

    @Argument(help: "Readers; none = all.")
    var readers: [String] = []
    @Option(help: "Inputs per reader.")
    var inputs = 100_000
    @Option(help: "Where all random choices start.")
    var seed: UInt64 = 1
    @Option(help: "Only this input.")
    var number: Int?
    @Option(help: ArgumentHelp("Where the inputs of findings are saved.", valueName: "folder"))
    var findings = "fuzz-findings"
    @Flag(help: "Names the readers.")
    var list = false
    @Flag(help: "Runs readers that misbehave: each must be found.")
    var selfTest = false

    // For the workers that the program starts.
    @Option(help: .private) var worker: String?
    @Option(help: .private) var from = 0
    @Option(help: .private) var to = 0

    static func main() {
        // As readable as the program's own errors.
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error as CarouselError {
            FileHandle.standardError.write(Data("error: \(error)\n".utf8))
            Foundation.exit(error.status.rawValue)
        } catch {
            exit(withError: error)
        }
    }

    func run() throws {
        if let worker {
            let reader = try Self.factory(readers.first ?? "").make(worker)
            return Worker(reader: reader, seed: seed, progress: try Progress(worker + "/progress")).run(from..<to)
        }
        if list { return print(FuzzReader.all.map(\.name).joined(separator: "\n")) }
        let all = selfTest ? FuzzReader.misbehaving : FuzzReader.all
        let chosen = try readers.isEmpty ? all.map(\.name) : readers.map { try Self.factory($0).name }
        print(Self.row("reader", "inputs", "accepted", "refused", "slowest", "memory", "findings"))
        var count = 0
        for name in chosen {
            let outcome = try Campaign(reader: name, seed: seed).run(number.map { $0..<$0 + 1 } ?? 0..<max(1, inputs))
            print(Self.row(name, "\(outcome.inputs)", "\(outcome.accepted)", "\(outcome.refused)",
                           "\(outcome.slowest / 100_000 / 10).\(outcome.slowest / 100_000 % 10) ms", "\(outcome.growth >> 10) MiB",
                           "\(outcome.findings.count)"))
            for finding in outcome.findings { try show(finding, of: name) }
            if let number, outcome.findings.isEmpty { try show(Finding(number: number, description: "no finding"), of: name) }
            count += outcome.findings.count
            fflush(nil)
        }
        if count > 0 { throw ExitCode(1) }
    }

    /// Tells about a finding and saves its input.
    private func show(_ finding: Finding, of name: String) throws {
        let scratch = NSTemporaryDirectory() + "carousel-fuzz-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        let input = try Self.factory(name).make(scratch).input(finding.number, seed: seed).bytes
        try FileManager.default.createDirectory(atPath: findings, withIntermediateDirectories: true)
        let path = "\(findings)/\(name)-\(seed)-\(finding.number)"
        try Data(input).write(to: URL(fileURLWithPath: path))
        let start = String(decoding: input.prefix(160), as: UTF8.self).unicodeScalars.map { $0.escaped(asASCII: false) }.joined()
        print("  \(name) --seed \(seed) --number \(finding.number): \(finding.description)")
        print("    \(input.count) bytes in \(path): \(start)\(input.count > 160 ? "…" : "")")
    }

    private static func factory(_ name: String) throws -> FuzzReader.Factory {
        guard let factory = (FuzzReader.all + FuzzReader.misbehaving).first(where: { $0.name == name }) else {
            throw CarouselError(.usage, "there is no reader '\(name)'", hint: FuzzReader.all.map(\.name).joined(separator: ", "))
        }
        return factory
    }

    private static func row(_ name: String, _ numbers: String...) -> String {
        let columns = zip(numbers, [9, 9, 9, 11, 9, 9]).map { String(repeating: " ", count: max(1, $1 - $0.count)) + $0 }
        return name + String(repeating: " ", count: max(1, 19 - name.count)) + columns.joined()
    }
}
