import ArgumentParser
import Carousel
import CarouselReference
import Foundation

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check that a device computes what it should.",
        discussion: """
            Runs every operation on the device and on a plain implementation in double precision and compares them; with \
            --golden also cases recorded from PyTorch and Keras. One line per case; exit code 3 when one fails.

              carousel check
              carousel check --device opencl:0 --level quick
              carousel check --device all --golden Tests/ConformanceTests/Golden
            """)

    enum Target: ExpressibleByArgument {
        case all
        case one(DeviceSelector)

        init?(argument: String) {
            if argument == "all" { self = .all; return }
            guard let selector = DeviceSelector(argument: argument) else { return nil }
            self = .one(selector)
        }

        var defaultValueDescription: String { "all" }
    }

    /// One line of the result.
    struct Line: Encodable {
        var device: String
        var name: String
        var passed: Bool
        var worst: String
        var error: Double
        var tolerance: Double
        var seconds: Double
        var message: String?
    }

    @Option(help: ArgumentHelp("What to check: all, cpu, opencl, opencl:N or reference. all is the CPU, every OpenCL device and, with --golden, the reference.", valueName: "device"))
    var device = Target.all
    @Option(help: ArgumentHelp("One of the device's ways of computing, where it has several; nothing = the one it takes by itself.", valueName: "plan"))
    var plan: String?
    @Option(parsing: .upToNextOption, help: ArgumentHelp("Recorded cases: .safetensors files or folders of them.", valueName: "path"))
    var golden: [String] = []
    @Option(help: "How much of the suite: tiny (for checkers of kernels), quick or full.")
    var level = Conformance.Level.full
    @Option(parsing: .upToNextOption, help: ArgumentHelp("Only these areas of the suite: \(areas.joined(separator: ", ")).", valueName: "area"))
    var only: [String] = []
    @OptionGroup var products: PrecisionOptions
    @OptionGroup var printing: OutputOptions

    private static let areas = Array(Set(Conformance.cases(.full).map(\.operation))).sorted()

    func validate() throws {
        if let unknown = only.first(where: { !Self.areas.contains($0) }) {
            throw ValidationError("the suite has no area '\(unknown)': \(Self.areas.joined(separator: ", "))")
        }
    }

    func run() throws {
        printing.apply()
        let files = try golden.flatMap { try GoldenCheck.files(at: $0) }
        var lines: [Line] = []
        for selector in try selectors() {
            let precision = products.precision ?? .float32
            let backend = try plan.map { try Device.open(selector, plan: $0, precision: precision) } ?? Device.open(selector, precision: precision)
            Console.message("device: \(backend.info.selector), \(backend.info.name), \(backend.plan)")
            if backend.info.kind != .reference {
                _ = Conformance.run(on: backend, level: level, filter: { only.isEmpty || only.contains($0.operation) }) { result in
                    lines.append(Line(device: selector, name: result.name, passed: result.passed, worst: result.worstTensor,
                                      error: result.maximumRelativeError, tolerance: result.tolerance, seconds: result.seconds,
                                      message: result.message))
                    show(lines[lines.count - 1])
                }
            }
            for file in files {
                lines.append(try golden(file, on: backend, selector))
                show(lines[lines.count - 1])
            }
        }
        let failures = lines.filter { !$0.passed }.count
        if printing.json { try Console.print(json: lines) }
        try Console.flush()
        let devices = Set(lines.map(\.device)).sorted().joined(separator: ", ")
        Console.message("\(lines.count - failures) of \(lines.count) cases passed on \(devices)")
        guard failures == 0 else {
            throw CarouselError(.checkFailed, "\(failures) of \(lines.count) cases failed")
        }
    }

    private func selectors() throws -> [String] {
        switch device {
        case .one(let selector): [selector.text]
        case .all: try Self.devices(computingIn: products.precision ?? .float32) + (golden.isEmpty ? [] : ["reference"])
        }
    }

    /// All devices; those that do not compute in the precision are left out, and it is said.
    static func devices(computingIn precision: Precision) throws -> [String] {
        let all = try Device.available().devices.map(\.selector)
        let able = all.filter { Device.precisions($0).contains(precision) }
        for selector in all where !able.contains(selector) { Console.message("\(selector) does not compute in \(precision.rawValue)") }
        return able
    }

    /// A device that cannot run a case has failed it; a file that is not a case is bad input.
    private func golden(_ file: String, on backend: any Backend, _ selector: String) throws -> Line {
        do {
            let result = try GoldenCheck.run(path: file, on: backend)
            return Line(device: selector, name: "golden \(result.name)", passed: result.passed, worst: result.worst, error: result.error,
                        tolerance: result.tolerance, seconds: result.seconds, message: nil)
        } catch let error as CarouselError where error.status != .badData && error.status != .missingInput {
            return Line(device: selector, name: "golden \(file)", passed: false, worst: "", error: .infinity, tolerance: 0, seconds: 0,
                        message: "\(error)")
        }
    }

    private func show(_ line: Line) {
        guard !printing.json else { return }
        var text = "\(line.passed ? "ok  " : "FAIL")  \(line.device)  \(line.name)  \(line.worst)  error \(Self.scientific(line.error)) of \(Self.scientific(line.tolerance))"
        if let message = line.message { text += "\n      \(message)" }
        // Each line as it comes; a reader that has left is noticed at the end.
        try? Console.print(text)
        try? Console.flush()
    }

    private static func scientific(_ value: Double) -> String {
        value == 0 ? "0" : value.isFinite ? String(format: "%.1e", value) : "\(value)"
    }
}

extension Conformance.Level: ExpressibleByArgument {}
