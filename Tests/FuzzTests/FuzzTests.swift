import Foundation
import Testing

/// A short run of the fuzzer over every reader; `Scripts/fuzz` runs a long one.
@Suite(.serialized) struct FuzzTests {
    private static func run(_ arguments: [String], findings: String = NSTemporaryDirectory() + "carousel-fuzz-findings") throws -> (status: Int32, output: String) {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let process = Process(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("Fuzz")
        process.arguments = arguments + ["--findings", findings]
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    /// A whole configuration takes milliseconds, all else microseconds.
    private static let slow: Set = ["configuration", "settings", "run-configuration"]

    @Test(arguments: [false, true])
    func noReaderHasAFinding(isSlow: Bool) throws {
        let names = try Self.run(["--list"]).output.split(separator: "\n").map(String.init)
        #expect(names.count >= 20 && Self.slow.isSubset(of: names))
        let chosen = names.filter { Self.slow.contains($0) == isSlow }
        let inputs = isSlow ? 500 : 2000
        let (status, output) = try Self.run(chosen + ["--inputs", "\(inputs)"])
        #expect(status == 0, "\(output)")
        for name in chosen {
            let columns = output.split(separator: "\n").first { $0.hasPrefix(name + " ") }?.split(separator: " ").map(String.init) ?? []
            // Readers that accept nothing, or refuse nothing although they may, were not tested.
            #expect(columns.count > 3 && columns[1] == "\(inputs)" && Int(columns[2]) ?? 0 >= 10, "\(name): \(columns)")
            #expect(columns.count > 3 && (Int(columns[3]) ?? 0 >= 10 || name == "texts"), "\(name): \(columns)")
        }
        print(output)
    }

    /// A fuzzer that finds nothing must be shown to find something.
    @Test func everyFaultIsFound() throws {
        let (status, output) = try Self.run(["--self-test", "--inputs", "60"])
        #expect(status == 1)
        for (name, part) in [("crash", "crashed with signal"), ("loop", "processor time"), ("memory", "memory grew by"), ("claim", "crashed with signal"),
                             ("error", "not Carousel's"), ("status", "status 70"), ("message", "empty message"), ("refusal", "valid input was refused"),
                             ("acceptance", "harmful input was accepted")] {
            #expect(output.split(separator: "\n").contains { $0.hasPrefix("  faulty-\(name) ") && $0.contains(part) }, "\(name) in\n\(output)")
        }
    }

    @Test func aNumberGivesTheSameInputAgain() throws {
        let folder = NSTemporaryDirectory() + "carousel-fuzz-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var inputs: Set<Data> = []
        for seed in ["7", "7", "8"] {
            let (status, output) = try Self.run(["csv", "--seed", seed, "--number", "4711"], findings: folder)
            #expect(status == 0, "\(output)")
            inputs.insert(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/csv-\(seed)-4711")))
            try FileManager.default.removeItem(atPath: folder)
        }
        #expect(inputs.count == 2)
    }
}
