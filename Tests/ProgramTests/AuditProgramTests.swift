import Foundation
import Testing

/// `carousel audit` as a user meets it.
@Suite(.serialized) struct AuditProgramTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private let short = ["--rows", "3", "--steps", "12", "--training-steps", "2", "--samples", "1"]

    private func configuration() throws -> String {
        try place.write("preset: stacked-lstm\nmodel:\n  layers: [{embedding: {units: 8}}, {gru: {units: 9}}]\npreparation: {vocabulary_size: 50}\n", to: "small.yaml")
    }

    @Test func auditsAFileOfData() throws {
        let page = place("audit.html")
        let outcome = try Program.run(["audit", "--config", try configuration(), try place.reviews(), "--html", page] + short)
        #expect(outcome.status == 0, "\(outcome.errors)")
        for part in ["finite differences", "gradient  rnn.0.weight_hh_l0", "cpu", "float32", "passed"] { #expect(outcome.output.contains(part)) }
        #expect(outcome.errors.contains("1 of 1 audits passed"))
        let html = try String(contentsOfFile: page, encoding: .utf8)
        #expect(html.hasPrefix("<!doctype html>") && html.contains("rnn.0.weight_hh_l0") && !html.contains("http"))
    }

    @Test func recordsAndReadsBackAsJSON() throws {
        let record = place("record.safetensors")
        let made = try Program.run(["audit", "--config", try configuration(), "--device", "cpu", "--record", record, "--quiet"] + short)
        #expect(made.status == 0, "\(made.errors)")
        let outcome = try Program.run(["audit", "--golden", record, "--device", "cpu", "--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let json = try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
        let report = try #require((json["audits"] as? [[String: Any]])?.first)
        #expect(report["verdict"] as? String == "passed" && report["rows"] as? Int == 3 && report["steps"] as? Int == 12)
        let device = try #require((report["devices"] as? [[String: Any]])?.first)
        #expect(device["device"] as? String == "cpu" && device["verdict"] as? String == "passed" && device["precision"] as? String == "float32")
        let tensors = try #require(device["tensors"] as? [[String: Any]])
        let gradient = try #require(tensors.first { $0["name"] as? String == "rnn.0.weight_hh_l0" && $0["kind"] as? String == "gradient" })
        for key in ["maximum", "rms", "tolerance", "got", "expected"] { #expect(gradient[key] is Double) }
        #expect((gradient["worst"] as? String)?.hasPrefix("gru 0, gate ") == true)

        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: record)))
        bytes.removeLast(9)
        let damaged = try Program.run(["audit", "--golden", try place.write(bytes, to: "damaged.safetensors")])
        #expect(damaged.status == 65 && damaged.errors.contains("damaged.safetensors"), "\(damaged.errors)")
    }

    @Test func aRunIsAuditedWithItsOwnWeights() throws {
        let run = place("run")
        #expect(try Program.run(["train", try place.reviews(), "--output", run] + small).status == 0)
        let missing = try Program.run(["audit", run, "--device", "cpu"] + short)
        #expect(missing.status == 0, "\(missing.errors)")
        let outcome = try Program.run(["audit", run, try place.reviews(), "--device", "cpu"] + short)
        #expect(outcome.status == 0 && outcome.output.contains("audit of run"), "\(outcome.errors)")
    }

    @Test func wrongKernelsEndWithThree() throws {
        let listed = try Program.run(["devices", "--json"]).output
        guard listed.contains("\"opencl:0\"") else { return }
        let kernels = place("kernels")
        try place.write("#error wrong\n", to: "kernels/gru.cl")
        let outcome = try Program.run(["audit", "--config", try configuration(), "--device", "opencl:0"] + short,
                                      environment: ["CAROUSEL_KERNEL_DIRECTORY": kernels, "CAROUSEL_KERNEL_CACHE": "off"])
        #expect(outcome.status == 3 && outcome.output.contains("could not compute the model"), "\(outcome.errors)")
    }

    @Test func badInputHasItsOwnCodes() throws {
        func expect(_ arguments: [String], _ status: Int32, _ part: String) throws {
            let outcome = try Program.run(["audit"] + arguments)
            #expect(outcome.status == status && outcome.errors.contains(part), "\(arguments): \(outcome.status) \(outcome.errors)")
        }
        try expect(["/nonexistent/run"], 66, "/nonexistent/run")
        try expect(["--preset", "bilstm", "/nonexistent.tsv"], 66, "/nonexistent.tsv")
        try expect(["--golden", "/nonexistent"], 66, "/nonexistent")
        try expect(["--preset", "bilstn"], 64, "bilstm")
        try expect(["--rows", "0"], 64, "--rows")
        try expect(["--set", "model.lairs=1"], 78, "lairs")
        try expect(["--html", "/nonexistent/folder/a.html"], 73, "/nonexistent/folder")
        try expect(["--device", "opencl:77"], 69, "77")
        try expect(["a", "b", "c"], 64, "'c'")
    }
}
