import ArgumentParser
import Carousel

/// `carousel bench device`
struct BenchDeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device",
        abstract: "What an OpenCL device can do: costs of launches and barriers, instructions its compiler takes.",
        discussion: """
            Each probe is a small kernel of its own. A refusal is an answer, not a failure: its message is the compiler's. \
            Barriers between work-groups never wait for ever; those that give up end as "timed out".

              carousel bench device --device opencl:0
              carousel bench device --device opencl:0 --probes launch "mma bf16" --json
              carousel bench device --list

            The exit code is 3 when a probe ran and its result was wrong.
            """)

    @Option(help: ArgumentHelp("opencl or opencl:N.", valueName: "device"))
    var device = DeviceSelector(argument: "opencl")!
    @Option(parsing: .upToNextOption, help: ArgumentHelp("Names of probes; nothing = all of them.", valueName: "names"))
    var probes: [String] = []
    @Flag(help: "Print the plans the device offers, and the names of the probes with what they are for.")
    var list = false
    @OptionGroup var printing: OutputOptions

    /// A way in which the device computes.
    private struct Plan: Encodable {
        var plan: String
        var precision: Precision
        /// What it takes in this precision when it is not told.
        var isUsual: Bool
    }

    /// What `--list --json` prints.
    private struct Listing: Encodable {
        var plans: [Plan]
        var probes: [String]
    }

    func validate() throws {
        let names = Device.probes.map(\.name)
        for name in probes where !names.contains(name) {
            throw ValidationError("there is no probe '\(name)': \(names.joined(separator: ", "))")
        }
    }

    func run() throws {
        printing.apply()
        let chosen = Device.probes.filter { probes.isEmpty || probes.contains($0.name) }
        if list {
            let listing = Listing(plans: try plans(), probes: chosen.map(\.name))
            if printing.json { return try Console.print(json: listing) }
            return try Console.print(["plans: " + listing.plans.map { $0.precision == .float32 ? $0.plan : "\($0.plan) (\($0.precision.rawValue))" }.joined(separator: ", ")] + chosen.map { "\($0.name): \($0.purpose)" })
        }
        var answers: [ProbeAnswer] = []
        for probe in chosen {
            Console.status(probe.name)
            answers.append(try Device.ask(device.text, probe))
            if !printing.json {
                try show(answers[answers.count - 1])
                try Console.flush()
            }
        }
        if printing.json { try Console.print(json: answers) }
        try Console.flush()
        let wrong = answers.filter { $0.outcome == .wrong }
        guard wrong.isEmpty else {
            throw CarouselError(.checkFailed, "wrong results: " + wrong.map(\.name).joined(separator: ", "), at: device.text)
        }
    }

    /// In every precision the device computes in.
    private func plans() throws -> [Plan] {
        var result: [Plan] = []
        for precision in Precision.allCases {
            do {
                let names = try Device.plans(device.text, precision: precision)
                result += names.enumerated().map { Plan(plan: $1, precision: precision, isUsual: $0 == 0) }
            } catch let error as CarouselError where error.status == .badConfiguration {
                // A precision this device does not offer.
                continue
            }
        }
        return result
    }

    private func show(_ answer: ProbeAnswer) throws {
        try Console.print("\(answer.outcome.rawValue)  \(answer.name): \(answer.purpose)")
        for fact in answer.facts { try Console.print("      \(fact.name): \(Format.significant(fact.value)) \(fact.unit)") }
        for line in (answer.message ?? "").split(separator: "\n").prefix(6) { try Console.print("      \(line)") }
    }
}
