import CarouselCore
import Foundation

/// One line of a benchmark.
public struct BenchRow: Codable, Sendable, Equatable {
    /// What was measured; the same in every run of the same command with the same sizes.
    public var key: String
    /// Of the middle sample.
    public var milliseconds: Double
    /// Of the fastest sample.
    public var minimum: Double
    /// Samples.
    public var samples: Int
    /// 10⁹ floating-point operations per second, at the median.
    public var gigaflops: Double?
    /// 10⁹ bytes per second that must be moved at least, at the median.
    public var gigabytes: Double?
    /// Time that all threads of the program together used a processor for, in milliseconds, on average.
    public var processor: Double?
    /// Cores of the host in use meanwhile, on average.
    public var cores: Double?
    /// Of the measured peak, or of the whole step.
    public var share: Double?
    /// Of the peak of the cores that were in use.
    public var shareOfUsed: Double?
    /// GFLOP/s as a share of the row it is compared with, measured in turns with it.
    public var ratio: Double?
    /// Device memory at the worst moment.
    public var bytes: Int?
    /// What the device's planner said that would be.
    public var plannedBytes: Int?
    /// Allocations of host memory by the training's thread.
    public var allocations: Double?
    /// How the device ran it, where there is a choice.
    public var plan: String?

    /// A row with its times alone.
    public init(key: String, milliseconds: Double, minimum: Double, samples: Int) {
        self.key = key
        self.milliseconds = milliseconds
        self.minimum = minimum
        self.samples = samples
    }

    /// - Parameters:
    ///   - operations: floating-point operations of one run.
    ///   - traffic: bytes of one run.
    ///   - peak: operations per second.
    init(_ key: String, _ timing: Timing, operations: Double? = nil, traffic: Double? = nil, peak: Double? = nil) {
        self.init(key: key, milliseconds: timing.median * 1e3, minimum: timing.minimum * 1e3, samples: timing.samples.count)
        processor = timing.processor.map { $0 * 1e3 }
        cores = timing.cores
        let seconds = max(timing.median, 1e-12)
        gigaflops = operations.map { $0 / seconds * 1e-9 }
        gigabytes = traffic.map { $0 / seconds * 1e-9 }
        if let operations, let peak, peak > 0 { share = operations / seconds / peak }
    }
}

/// A single number of a benchmark.
public struct BenchFact: Codable, Sendable, Equatable {
    /// The same in every run of the command.
    public var name: String
    /// In `unit`.
    public var value: Double
    /// For people; empty for a plain number.
    public var unit: String

    /// A number with its unit.
    public init(_ name: String, _ value: Double, unit: String = "") {
        self.name = name
        self.value = value
        self.unit = unit
    }
}

/// Where a benchmark ran.
public struct BenchMachine: Codable, Sendable, Equatable {
    /// The program's version.
    public var program: String
    /// Name of the host's processor.
    public var processor: String
    /// Cores of the host that are in service.
    public var cores: Int
    /// The name the user selects the device by.
    public var device: String
    /// What the device calls itself.
    public var deviceName: String
    /// Its driver; empty on the CPU.
    public var driver: String
    /// Worker threads of the CPU device; elsewhere the device's compute units.
    public var threads: Int
    /// How the device computes.
    public var plan: String
    /// Settings of the environment that change how work is cut; empty without.
    public var tuning: String

    /// - Parameters:
    ///   - program: name and version.
    ///   - processor: of the host.
    public init(program: String, processor: String, backend: any Backend) {
        self.program = program
        self.processor = processor
        cores = ProcessInfo.processInfo.activeProcessorCount
        let info = backend.info
        (device, deviceName, driver, threads, plan) = (info.selector, info.name, info.driver, info.computeUnits, backend.plan)
        tuning = EnvironmentSettings.tuning.value ?? ""
    }

    /// What differs, for a warning.
    func differences(to old: BenchMachine) -> [String] {
        let values: [(String, String, String)] = [
            ("program", old.program, program), ("processor", old.processor, processor), ("cores", "\(old.cores)", "\(cores)"),
            ("device", old.device, device), ("device's name", old.deviceName, deviceName), ("driver", old.driver, driver),
            ("threads", "\(old.threads)", "\(threads)"), ("plan", old.plan, plan), ("tuning", old.tuning, tuning),
        ]
        return values.filter { $0.1 != $0.2 }.map { "\($0.0) '\($0.1)' then, '\($0.2)' now" }
    }
}

/// What `carousel bench` prints, saves and compares.
public struct BenchReport: Codable, Sendable {
    /// Recognises the file and its version.
    public static let format = "carousel-bench/1"

    /// The format this report was written in.
    public var format = BenchReport.format
    /// `layers`, `step`, …
    public var command: String
    /// Where it ran.
    public var machine: BenchMachine
    /// GFLOP/s that shares refer to; nil where shares are of a step.
    public var peak: Double?
    /// How the peak was measured.
    public var peakMethod: String?
    /// Lines of the table, in their order.
    public var rows: [BenchRow]
    /// Single numbers below the table.
    public var facts: [BenchFact]
    /// Said below the table.
    public var notes: [String]

    /// A report without a peak.
    public init(command: String, machine: BenchMachine, rows: [BenchRow] = [], facts: [BenchFact] = [], notes: [String] = []) {
        self.command = command
        self.machine = machine
        self.rows = rows
        self.facts = facts
        self.notes = notes
    }

    /// As JSON with sorted keys in snake case.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// Reads a saved report.
    /// - Parameter command: which one it must be of.
    /// - Throws: `missingInput` without the file; `badData` for another file or the report of another command.
    public static func load(_ path: String, command: String) throws -> BenchReport {
        let hint = "a file of `carousel bench \(command) --output FILE`"
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue else {
            throw CarouselError(.missingInput, isFolder.boolValue ? "is a folder, not a report" : "there is no such file", at: path, hint: hint)
        }
        // A device or a pipe may never end, and no report is that long.
        let facts = try? FileManager.default.attributesOfItem(atPath: URL(fileURLWithPath: path).resolvingSymlinksInPath().path)
        guard facts?[.type] as? FileAttributeType == .typeRegular, (facts?[.size] as? Int ?? .max) <= 1 << 26 else {
            throw CarouselError(.badData, "is not a report of `carousel bench`", at: path, hint: hint)
        }
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw CarouselError(.missingInput, "cannot be read: \(error.localizedDescription)", at: path, hint: hint)
        }
        struct Format: Decodable { var format: String }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        guard let found = try? decoder.decode(Format.self, from: bytes).format else {
            throw CarouselError(.badData, "is not a report of `carousel bench`", at: path, hint: hint)
        }
        guard found == format else {
            throw CarouselError(.badData, "has the format '\(found)', this program reads '\(format)'", at: path, hint: hint)
        }
        let report: BenchReport
        do {
            report = try decoder.decode(BenchReport.self, from: bytes)
        } catch {
            throw CarouselError(.badData, "is a damaged report of `carousel bench`: \(error)", at: path, hint: hint)
        }
        guard report.command == command else {
            throw CarouselError(.badData, "is a report of `carousel bench \(report.command)`, not of `\(command)`", at: path, hint: hint)
        }
        return report
    }
}
