import Foundation
import Testing

/// `Scripts/gpu-report` with a program that answers as told: what it concludes, not what a device computes.
@Suite struct GPUReportTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Scripts/gpu-report").path
    private static let hasPython = ["/usr/bin/python3", "/usr/local/bin/python3"].contains { FileManager.default.isExecutableFile(atPath: $0) }

    /// A shell script in place of `carousel`.
    /// - Parameters:
    ///   - check: what `carousel check` does.
    ///   - probing: what a probe does before it answers.
    private func program(_ place: Workplace, check: String, probing: String = "") throws -> String {
        let path = place("program")
        try """
            #!/bin/sh
            case "$*" in
            *--version*) echo "carousel 0.1.0" ;;
            devices*) echo '{"devices": [{"kind": "opencl", "selector": "opencl:0", "name": "Testing", "driver": "none", "compute_units": 1,
                "memory": 1024, "is_gpu": true, "details": []}]}' ;;
            *--list*) echo '{"plans": [{"plan": "gpu kernels", "precision": "float32", "is_usual": true}], "probes": ["launch", "broken"]}' ;;
            *broken*) echo "the compiler crashed" >&2; exit 139 ;;
            *--probes*) \(probing) echo '[{"name": "launch", "purpose": "p", "outcome": "works", "facts": [{"name": "pipelined", "value": 1.5, "unit": "µs"}]}]' ;;
            check*) \(check) ;;
            *) echo "not asked for: $*" >&2; exit 64 ;;
            esac
            """.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    /// The exit code, and `report.json`.
    private func report(_ place: Workplace, _ program: String, _ options: [String]) throws -> (status: Int32, sections: [String: [String: Any]]) {
        let process = Process(), folder = place("report")
        process.executableURL = URL(fileURLWithPath: Self.script)
        process.arguments = ["--output", folder, "--program", program, "--python", "none"] + options
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        let text = try Data(contentsOf: URL(fileURLWithPath: folder + "/report.json"))
        let values = try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
        let sections = try #require(values["sections"] as? [[String: Any]])
        #expect(try String(contentsOfFile: folder + "/report.md", encoding: .utf8).hasPrefix("# Carousel on"))
        return (process.terminationStatus, Dictionary(uniqueKeysWithValues: sections.map { ($0["name"] as? String ?? "", $0) }))
    }

    private static func line(passed: Bool) -> String {
        #"[{"device": "opencl:0", "name": "product", "passed": \#(passed), "worst": "c", "error": 0.5, "tolerance": 0.1, "seconds": 0}]"#
    }

    @Test(.enabled(if: hasPython)) func whatFailsIsWrittenDownAndTheRestGoesOn() throws {
        let place = try Workplace()
        let good = try report(place, program(place, check: "echo '\(Self.line(passed: true))'"), ["--steps", "check", "probes"])
        #expect(good.status == 0 && good.sections["check"]?["status"] as? String == "done")
        let answers = try #require(good.sections["probes"]?["data"] as? [[String: Any]])
        #expect(answers.map { $0["outcome"] as? String } == ["works", "failed"])

        let wrong = try report(place, program(place, check: "echo '\(Self.line(passed: false))'; exit 3"), ["--steps", "check", "probes"])
        #expect(wrong.status == 3 && wrong.sections["check"]?["status"] as? String == "wrong")
        #expect(wrong.sections["probes"]?["status"] as? String == "done")

        let crashed = try report(place, program(place, check: "kill -SEGV $$"), ["--steps", "check"])
        #expect(crashed.status == 3 && crashed.sections["check"]?["status"] as? String == "failed")
        #expect((crashed.sections["check"]?["problems"] as? [String])?.first?.contains("signal 11") == true)

        // Rows that find no time are named, and the exit code tells.
        let short = try report(place, program(place, check: "exit 1", probing: "sleep 3;"), ["--steps", "probes", "--minutes", "0.1", "--row-seconds", "0.2"])
        #expect(short.status == 1 && short.sections["probes"]?["status"] as? String == "done")
        #expect((short.sections["probes"]?["missing"] as? [String])?.isEmpty == false)

        // More time than there is: nothing waits for ever, and nothing counts as checked.
        let slow = try report(place, program(place, check: "sleep 60"), ["--steps", "check", "--minutes", "0.15"])
        #expect(slow.status == 3 && (slow.sections["check"]?["problems"] as? [String])?.isEmpty == false)
    }

    @Test(.enabled(if: hasPython)) func aMissingDeviceIsSaid() throws {
        let place = try Workplace()
        let outcome = try report(place, program(place, check: "exit 1"), ["--device", "opencl:7"])
        #expect(outcome.status == 69 && outcome.sections["devices"]?["status"] as? String == "failed")
        #expect(outcome.sections["check"]?["status"] as? String == "left out")
    }
}
