import Foundation
import Testing

/// Runs the built program as a user would.
struct Program {
    struct Outcome {
        var status: Int32
        var output: String
        var errors: String
    }

    /// `carousel` beside the test bundle.
    static let path: String = {
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return ProcessInfo.processInfo.environment["CAROUSEL_PROGRAM"]
            ?? URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("carousel").path
    }()

    /// - Parameters:
    ///   - input: what standard input gives.
    ///   - environment: added to this process' own.
    ///   - interrupt: a signal to send once standard error contains this text.
    static func run(_ arguments: [String], input: String = "", environment: [String: String] = [:],
                    interrupt: (signal: Int32, after: String)? = nil) throws -> Outcome {
        let process = Process(), output = Pipe(), errors = Pipe(), source = Pipe()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = source
        try process.run()
        // A program that hangs fails its test instead of stopping all of them.
        let watchdog = DispatchWorkItem { [identifier = process.processIdentifier] in kill(identifier, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + 120, execute: watchdog)
        defer { watchdog.cancel() }
        source.fileHandleForWriting.write(Data(input.utf8))
        try source.fileHandleForWriting.close()
        let collected = Collected()
        let reader = Thread {
            collected.finish(output.fileHandleForReading.readDataToEndOfFile())
        }
        reader.start()
        var text = Data(), sent = false
        while true {
            let part = errors.fileHandleForReading.availableData
            if part.isEmpty { break }
            text.append(part)
            if let interrupt, !sent, String(decoding: text, as: UTF8.self).contains(interrupt.after) {
                kill(process.processIdentifier, interrupt.signal)
                sent = true
            }
        }
        process.waitUntilExit()
        return Outcome(status: process.terminationReason == .uncaughtSignal ? 1000 + process.terminationStatus : process.terminationStatus,
                       output: String(decoding: collected.wait(), as: UTF8.self), errors: String(decoding: text, as: UTF8.self))
    }

    /// What the other thread reads, handed over once.
    private final class Collected: @unchecked Sendable {
        private let done = DispatchSemaphore(value: 0)
        private var data = Data()
        func finish(_ data: Data) {
            self.data = data
            done.signal()
        }
        func wait() -> Data {
            done.wait()
            return data
        }
    }
}

/// A folder for one test, removed at its end.
final class Workplace {
    let path = NSTemporaryDirectory() + "carousel-program-\(UUID().uuidString)"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func callAsFunction(_ name: String) -> String { path + "/" + name }

    /// Writes a file and returns its path.
    @discardableResult
    func write(_ text: String, to name: String) throws -> String { try write(Array(text.utf8), to: name) }

    @discardableResult
    func write(_ bytes: [UInt8], to name: String) throws -> String {
        let url = URL(fileURLWithPath: self(name))
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
        return url.path
    }

    /// 80 short sentences a small model tells apart.
    func reviews(_ name: String = "reviews.tsv", rows: Int = 80) throws -> String {
        let words = [["awful", "boring", "sad", "poor"], ["great", "lovely", "superb", "happy"]]
        let filler = ["the", "film", "was", "a", "story", "with", "music"]
        var text = "text\tlabel\n"
        for row in 0..<rows {
            let side = row % 2
            text += "\(filler[row % 7]) \(words[side][row / 2 % 4]) \(filler[row / 3 % 7]) \(filler[row / 7 % 7])\t\(["negative", "positive"][side])\n"
        }
        return try write(text, to: name)
    }

    /// 24 series of two channels in CSV: label, series_id, t, x, y.
    func series(_ name: String = "series.csv", scale: Double = 1) throws -> String {
        var text = "label,series_id,t,x,y\n"
        for row in 0..<24 {
            for t in 0..<5 { text += "\(row % 2 == 0 ? "up" : "down"),\(row),\(t),\(scale * Double(row % 2 == 0 ? t : 5 - t)),\(row % 3)\n" }
        }
        return try write(text, to: name)
    }
}

/// A model that trains in no time.
let small = ["--device", "cpu", "--set", "model.layers=[{embedding: {units: 8}}, {lstm: {units: 8}}]",
             "--epochs", "3", "--batch-size", "8", "--learning-rate", "0.05"]
