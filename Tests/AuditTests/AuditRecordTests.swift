import Carousel
@testable import CarouselTraining
import CarouselReference
import Foundation
import Testing

/// `golden-audit/1`: written, read again, damaged.
@Suite struct AuditRecordTests {
    /// Writes a record, lets `change` edit it, and hands over its path.
    private func withRecord<Result>(_ name: String, change: (inout Safetensors) -> Void = { _ in }, _ body: (String) throws -> Result) throws -> Result {
        try AuditSamples.withFolder { folder in
            let path = folder.appendingPathComponent("audit.safetensors").path
            try Audit(AuditSamples.audited(name), limits: AuditSamples.limits).record(to: path)
            var file = try Safetensors(contentsOf: path)
            change(&file)
            try file.encoded().write(to: URL(fileURLWithPath: path))
            return try body(path)
        }
    }

    @Test(arguments: ["bilstm", "gru", "relu-lstm"]) func recordsAreAuditedAgain(_ name: String) throws {
        try withRecord(name) { path in
            let audit = try #require(try Audit.recorded(at: path, samples: 2))
            for backend in [ReferenceBackend(), try Device.open("cpu")] as [any Backend] {
                let device = audit.run(on: backend)
                #expect(device.verdict == .passed, "\(device.lines(onlyBad: true).joined(separator: "\n"))")
            }
            #expect(try audit.differences().allSatisfy(\.passed))
            #expect(try GoldenCheck.run(path: path, on: try Device.open("cpu")).passed)
        }
    }

    @Test func aWrongRecordFails() throws {
        try withRecord("gru", change: { file in
            for i in file.tensors.indices where file.tensors[i].name == "gradient.rnn.1.bias_hh_l0" {
                var values = file.tensors[i].doubles
                values[20] += 1e-7 * values.reduce(0) { max($0, abs($1)) }
                file.tensors[i].values = .float64(values)
            }
        }) { path in
            let device = try #require(try Audit.recorded(at: path, samples: 0)).run(on: ReferenceBackend())
            #expect(device.verdict == .failed)
            #expect(device.tensors.filter { $0.verdict == .failed }.map(\.name) == ["rnn.1.bias_hh_l0"])
            #expect(device.tensors.first { $0.verdict == .failed }?.worst == "gru 1, gate z, unit 3")
        }
    }

    private func expectRefused(_ parts: [String], in model: String = "gru", _ change: (inout Safetensors) -> Void,
                               sourceLocation: SourceLocation = #_sourceLocation) throws {
        try withRecord(model, change: change) { path in
            do {
                _ = try Audit.recorded(at: path, samples: 0)
                Issue.record("a damaged record was taken", sourceLocation: sourceLocation)
            } catch let error as CarouselError {
                #expect(error.status == .badData, "\(error)", sourceLocation: sourceLocation)
                for part in [path] + parts { #expect("\(error)".contains(part), "\(error)", sourceLocation: sourceLocation) }
            }
        }
    }

    @Test func damagedRecordsAreRefused() throws {
        try expectRefused(["gradient.head.weight", "missing"]) { $0.tensors.removeAll { $0.name == "gradient.head.weight" } }
        try expectRefused(["odd", "belongs to no layer"]) { $0.tensors.append(HostTensor(name: "weight.odd", shape: [1], values: .float32([1]))) }
        try expectRefused(["odd", "no part of an audit"]) { $0.tensors.append(HostTensor(name: "odd", shape: [1], values: .float32([1]))) }
        try expectRefused(["classes"]) { $0.metadata["classes"] = "many" }
        try expectRefused(["configuration", "untis"]) { $0.metadata["configuration"] = $0.metadata["configuration"]?.replacing("units", with: "untis") }
        try expectRefused(["parameters"]) { $0.metadata["configuration"] = $0.metadata["configuration"]?.replacing("\"units\":20", with: "\"units\":1000000") }
        try expectRefused(["vocabulary"]) { $0.metadata["vocabulary"] = "-4" }
        try expectRefused(["training_steps"]) { $0.metadata["training_steps"] = "100000" }
        func replace(_ name: String, _ values: HostTensor.Values) -> (inout Safetensors) -> Void {
            { file in for i in file.tensors.indices where file.tensors[i].name == name { file.tensors[i].values = values } }
        }
        try expectRefused(["lengths"], replace("lengths", .int32([99, 1, 1, 1])))
        try expectRefused(["labels"], replace("labels", .int32([0, 1, 2, 3])))
        for (model, name) in [("gru", "tokens"), ("relu-lstm", "features")] {
            // No elements, so that the claim costs no bytes.
            try expectRefused(["batch", "not [rows, steps"], in: model) { file in
                file.tensors.removeAll { $0.name == name }
                file.tensors.append(HostTensor(name: name, shape: [1, .max, 0], values: .float32([])))
            }
        }
        try expectRefused(["losses", "not numbers"], replace("losses", .float64([1, .nan, 1, 1])))
        try expectRefused(["tokens"], { file in
            for i in file.tensors.indices where file.tensors[i].name == "tokens" {
                file.tensors[i].values = .int32([Int32](repeating: 12, count: file.tensors[i].shape.count))
            }
        })
    }

    @Test func otherFormatsAreNotAudits() throws {
        try withRecord("gru", change: { $0.metadata["format"] = "golden-layer/1" }) { path in
            let audit = try Audit.recorded(at: path, samples: 0)
            #expect(audit == nil)
        }
    }
}
