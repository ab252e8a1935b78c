import Carousel
import Foundation

/// Something wrong with how a reader took an input.
struct Finding {
    var number: Int
    var description: String
}

/// All inputs of one reader, read by worker processes: a crash ends only the worker, and its successor goes on behind
/// the input that caused it.
struct Campaign {
    let reader: String
    let seed: UInt64
    /// More findings than this say nothing new.
    static let mostFindings = 10

    struct Outcome {
        var inputs = 0, accepted = 0, refused = 0
        /// Processor nanoseconds of the slowest input.
        var slowest = 0, slowestNumber = 0
        /// Largest growth of a worker in KiB.
        var growth = 0
        var findings: [Finding] = []
    }

    /// - Throws: `internalError` when a reader cannot be made or a worker not be started.
    func run(_ numbers: Range<Int>) throws -> Outcome {
        var outcome = Outcome()
        var next = numbers.lowerBound
        while next < numbers.upperBound, outcome.findings.count < Self.mostFindings {
            let (progress, findings, death) = try work(next..<numbers.upperBound)
            outcome.accepted += progress.accepted
            outcome.refused += progress.refused
            outcome.growth = max(outcome.growth, progress.growth)
            if progress.slowest > outcome.slowest {
                outcome.slowest = progress.slowest
                outcome.slowestNumber = progress.slowestNumber
            }
            outcome.findings += findings
            next = progress.number + 1
            if let death { outcome.findings.append(Finding(number: progress.number, description: death)) }
        }
        outcome.inputs = next - numbers.lowerBound
        return outcome
    }

    /// One worker from its start to its end.
    /// - Returns: what it reached, what it found, and how it died; nil when it did not.
    private func work(_ numbers: Range<Int>) throws -> (Progress, [Finding], death: String?) {
        let scratch = NSTemporaryDirectory() + "carousel-fuzz-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        let progress = try Progress(scratch + "/progress")
        func file(_ name: String) throws -> FileHandle {
            try Data().write(to: URL(fileURLWithPath: scratch + "/" + name))
            return try FileHandle(forWritingTo: URL(fileURLWithPath: scratch + "/" + name))
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = [reader, "--seed", "\(seed)", "--worker", scratch, "--from", "\(numbers.lowerBound)", "--to", "\(numbers.upperBound)"]
        // What a reader does must depend on the input alone.
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["SWIFT_BACKTRACE": "enable=no", "SWIFT_DETERMINISTIC_HASHING": "1", "CAROUSEL_THREADS": "1"]) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try file("findings")
        process.standardError = try file("errors")
        try process.run()
        process.waitUntilExit()

        func text(_ name: String) -> String { (try? String(contentsOfFile: scratch + "/" + name, encoding: .utf8)) ?? "" }
        let findings = text("findings").split(separator: "\n").compactMap { line -> Finding? in
            let parts = line.split(separator: "\t", maxSplits: 1)
            return parts.first.flatMap { Int($0) }.map { Finding(number: $0, description: String(parts.last ?? "")) }
        }
        let errors = text("errors").split(separator: "\n")
        let reason = (errors.first { $0.contains("rror:") } ?? errors.first).map { ": " + $0.prefix(300) } ?? ""
        guard progress.hasBegun == 1 else { throw CarouselError(.internalError, "the reader cannot be made\(reason)", at: reader) }
        if process.terminationReason == .exit { return (progress, findings, process.terminationStatus == 0 ? nil : "the process ended\(reason)") }
        switch process.terminationStatus {
        case SIGPROF: return (progress, findings, "took more than \(Limits.seconds) s of processor time")
        case SIGALRM: return (progress, findings, "waited for more than \(Limits.patience) s")
        default: return (progress, findings, "crashed with signal \(process.terminationStatus)\(reason)")
        }
    }
}
