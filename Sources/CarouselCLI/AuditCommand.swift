import ArgumentParser
import Carousel
import Foundation

struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Check that a device computes this very model right: outputs, losses, every gradient, training steps.",
        discussion: """
            A model and a batch go through a plain implementation in double precision, through finite differences of its \
            loss, and through every device in every plan it offers. A table says for each tensor how far a device is and \
            where; exit code 3 when it is too far. Documentation/Audit.md explains the table and the file of --record.

              carousel audit runs/reviews reviews.tsv
              carousel audit --preset stacked-lstm --device all
              carousel audit --preset bilstm --set model.layers.1.lstm.units=32 --html audit.html
              carousel audit --golden Tests/ConformanceTests/Golden

            Without a run or a configuration the default preset is audited. Without DATA the sentences inside the program \
            are used, or random numbers for a model that reads numbers.

            PRESETS
            \(ConfigurationOptions.presetList)
            """)

    @Argument(help: ArgumentHelp("A run folder, unless a configuration is named, and labelled data.", valueName: "run or data"))
    var paths: [String] = []
    @OptionGroup var source: ConfigurationOptions
    @Option(help: ArgumentHelp("What to audit: all, cpu, opencl, opencl:N or reference. all is the CPU and every OpenCL device.", valueName: "device"))
    var device = CheckCommand.Target.all
    @Option(help: "Rows of the data in the batch.")
    var rows = 4
    @Option(help: "Steps of a row at most. Long plain recurrent networks amplify roundings; see Documentation/Numerics.md.")
    var steps = 64
    @Option(help: "Training steps that are compared.")
    var trainingSteps = 3
    @Option(help: "Entries of each tensor checked by finite differences; 0 = none.")
    var samples = 4
    @Option(parsing: .upToNextOption, help: ArgumentHelp("Recorded cases or audits: .safetensors files or folders of them.", valueName: "path"))
    var golden: [String] = []
    @Option(help: ArgumentHelp("Write the batch, the weights and what the reference computed to a file for other machines.", valueName: "file"))
    var record: String?
    @Option(help: ArgumentHelp("Write the report as one HTML page.", valueName: "file"))
    var html: String?
    @OptionGroup var products: PrecisionOptions
    @OptionGroup var printing: OutputOptions

    private var hasConfiguration: Bool { source.preset != nil || source.file != nil }

    func validate() throws {
        if hasConfiguration && paths.count > 1 { throw ValidationError("with --preset or --config only DATA follows, not '\(paths[1])'") }
        if paths.count > 2 { throw ValidationError("give a run folder and DATA, nothing more: '\(paths[2])'") }
        if !hasConfiguration && !paths.isEmpty && !source.settings.isEmpty {
            throw ValidationError("--set changes a preset or a file, not a finished run")
        }
        if onlyGolden && (record != nil || html != nil) { throw ValidationError("--record and --html need a model: name a run or a configuration") }
        for (name, value, range) in [("--rows", rows, 1...1024), ("--steps", steps, 1...4096), ("--training-steps", trainingSteps, 0...100),
                                     ("--samples", samples, 0...1000)] where !range.contains(value) {
            throw ValidationError("\(name) must be from \(range.lowerBound) to \(range.upperBound), not \(value)")
        }
    }

    /// Whether only records are audited.
    private var onlyGolden: Bool { !golden.isEmpty && paths.isEmpty && !hasConfiguration && source.settings.isEmpty }

    func run() throws {
        printing.apply()
        let files = try golden.flatMap { try GoldenCheck.files(at: $0) }
        for file in [record, html].compactMap({ $0 }) { try OutputFile.checkWritable(file) }
        var reports: [AuditReport] = []
        var cases: [GoldenLine] = []
        if !onlyGolden { reports.append(try auditModel()) }
        for file in files { try auditRecord(file, &reports, &cases) }
        if printing.json { try Console.print(json: Result(audits: reports, cases: cases)) }
        try Console.flush()
        let bad = reports.filter { $0.verdict != .passed }.count + cases.filter { !$0.passed }.count
        Console.message("\(reports.count + cases.count - bad) of \(reports.count + cases.count) audits passed")
        guard bad == 0 else {
            if reports.contains(where: { $0.verdict == .failed }) || cases.contains(where: { !$0.passed }) {
                throw CarouselError(.checkFailed, "the audit failed", hint: "the lines marked FAILED; another device, or --device cpu")
            }
            throw CarouselError(.checkFailed, "the audit is undecided: this model amplifies roundings too much to judge a device by it",
                                hint: "fewer --steps, or the model as it was before training")
        }
    }

    /// What `--json` prints.
    private struct Result: Encodable {
        var audits: [AuditReport]
        var cases: [GoldenLine]
    }

    /// One recorded layer or training on one device.
    private struct GoldenLine: Encodable {
        var device: String
        var plan: String
        var name: String
        var passed: Bool
        var worst: String
        var error: Double
        var tolerance: Double
        var problem: String?
    }

    private struct PlannedDevice {
        var selector: String
        var plan: String
        var precision: Precision
    }

    private func plannedDevices(_ precision: Precision) throws -> [PlannedDevice] {
        let selectors = switch device {
        case .one(let selector): [selector.text]
        case .all: try CheckCommand.devices(computingIn: precision)
        }
        return try selectors.flatMap { selector in try Device.plans(selector, precision: precision).map { PlannedDevice(selector: selector, plan: $0, precision: precision) } }
    }

    // MARK: a model

    private func auditModel() throws -> AuditReport {
        let limits = AuditLimits(rows: rows, steps: steps, trainingSteps: trainingSteps, samples: samples)
        let audited: AuditCase
        if !hasConfiguration, let run = paths.first {
            audited = try AuditCase.run(run, data: paths.dropFirst().first, limits: limits)
        } else {
            let configuration = try source.resolve()
            let name = source.file ?? "preset \(configuration.preset ?? Preset.standard.name)"
            audited = try AuditCase.fresh(configuration, name: name, data: paths.first, limits: limits)
        }
        let start = ContinuousClock.now, precision = products.precision ?? audited.training.precision
        let devices = try plannedDevices(precision)
        let audit = try Audit(audited, limits: limits, precision: precision)
        if let record {
            guard precision == .float32 else {
                throw CarouselError(.usage, "--record keeps what full precision computes, not \(precision.rawValue)", hint: "--precision float32")
            }
            try audit.record(to: record)
        }
        let report = try self.report(audit, on: devices, since: start)
        if let html { try OutputFile.write(AuditPage.html(report), to: html) }
        return report
    }

    private func report(_ audit: Audit, on devices: [PlannedDevice], since start: ContinuousClock.Instant) throws -> AuditReport {
        Console.status("finite differences")
        let differences = try audit.differences()
        let audited = devices.map { planned -> AuditedDevice in
            Console.status("\(planned.selector), \(planned.plan)")
            do {
                return audit.run(on: try Device.open(planned.selector, plan: planned.plan, precision: planned.precision))
            } catch {
                return AuditedDevice(device: planned.selector, plan: planned.plan, problem: "\(error)")
            }
        }
        let report = AuditReport(audit, differences: differences, devices: audited, took: ContinuousClock.now - start)
        if !printing.json {
            try Console.print(report.lines())
            try Console.print()
        }
        return report
    }

    // MARK: records

    private func auditRecord(_ file: String, _ reports: inout [AuditReport], _ cases: inout [GoldenLine]) throws {
        let start = ContinuousClock.now, precision = products.precision ?? .float32
        let devices = try plannedDevices(precision)
        if let audit = try Audit.recorded(at: file, samples: samples, precision: precision) {
            reports.append(try report(audit, on: devices, since: start))
            return
        }
        for planned in devices {
            var line = GoldenLine(device: planned.selector, plan: planned.plan, name: file, passed: false, worst: "", error: .infinity, tolerance: 0)
            do {
                let result = try GoldenCheck.run(path: file, on: try Device.open(planned.selector, plan: planned.plan, precision: planned.precision))
                (line.name, line.passed, line.worst, line.error, line.tolerance) = (result.name, result.passed, result.worst, result.error, result.tolerance)
            } catch let error as CarouselError where error.status != .badData && error.status != .missingInput {
                line.problem = "\(error)"
            }
            cases.append(line)
            guard !printing.json else { continue }
            try Console.print("\(line.passed ? "passed" : "FAILED")  \(line.device), \(line.plan)  \(line.name)  \(line.problem ?? line.worst)  "
                + "error \(AuditReport.scientific(line.error)) of \(AuditReport.scientific(line.tolerance))")
        }
    }

    // MARK: before a training

    /// The short audit that `train` runs by itself.
    /// - Throws: `checkFailed` with the table.
    static func beforeTraining(_ configuration: RunConfiguration, _ data: TrainingData, on backend: any Backend) throws {
        switch try AutomaticAudit(configuration, data: data).run(on: backend) {
        case .notNeeded, .remembered(undecided: false): break
        case .passed(let seconds):
            Console.message("audit: \(backend.info.selector) computes this model right (\(String(format: "%.1f", seconds)) s, remembered)")
        case .skipped(let reason):
            Console.message("audit: skipped, \(reason)")
        case .undecided, .remembered(undecided: true):
            Console.message("audit: undecided, this model amplifies roundings too much to judge \(backend.info.selector) by it")
        }
    }
}
