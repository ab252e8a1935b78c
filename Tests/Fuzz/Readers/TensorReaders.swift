import Carousel
import Foundation

// Files of tensors: weights and recorded cases.

extension FuzzReader {
    private static let header = ["\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"F32\"", "\"F64\"", "\"I32\"", "\"I64\"", "\"BF16\"", "\"__metadata__\"", "{", "}", "[", "]", ":", ",",
                                 "null", "true", "\"\"", "[]", "[0]", "[0,0]", "-1", "1.5", "1e3", "\\u0000", "1000000000000"]

    /// The length of the JSON header goes in front of it.
    private static func withLength(_ bytes: [UInt8]) -> [UInt8] {
        var depth = 0, length = bytes.count, isText = false, isEscaped = false
        for (i, byte) in bytes.enumerated() {
            if isEscaped { isEscaped = false; continue }
            switch byte {
            case UInt8(ascii: "\\"): isEscaped = isText
            case UInt8(ascii: "\""): isText.toggle()
            case UInt8(ascii: "{") where !isText: depth += 1
            case UInt8(ascii: "}") where !isText: depth -= 1
            default: break
            }
            if depth <= 0 && !isText {
                // Spaces fill the header up.
                length = bytes[(i + 1)...].firstIndex { $0 != 0x20 } ?? bytes.count
                break
            }
        }
        return withUnsafeBytes(of: UInt64(length).littleEndian) { Array($0) } + bytes
    }

    /// Now and then another length.
    private static func claimAnotherLength(_ file: inout [UInt8], _ generator: inout SeededGenerator) {
        guard Int.random(in: 0..<16, using: &generator) == 0 else { return }
        let size = UInt64(file.count)
        let claims: [UInt64] = [0, 1, size &- 9, size - 8, size - 7, size, 100_000_000, 1_000_000_000_000, 1 << 62, 1 << 63, .max, .max - 7]
        let claim = claims[Int.random(in: 0..<claims.count, using: &generator)]
        file.replaceSubrange(0..<8, with: withUnsafeBytes(of: claim.littleEndian) { Array($0) })
    }

    /// A reader of safetensors files: samples are whole files, mutations keep the header's length right.
    private static func tensorFile(_ name: String, _ files: [Safetensors], hostile: [[UInt8]] = [], tokens: [String] = [],
                                   refusals: Set<ExitStatus> = [.badData], run: @escaping Run) throws -> FuzzReader {
        let samples = try files.map { Array(try $0.encoded().dropFirst(8)) }
        var reader = FuzzReader(name: name, samples: samples, hostile: hostile, tokens: header + tokens, refusals: refusals, run: run)
        reader.assemble = withLength
        reader.disturb = claimAnotherLength
        return reader
    }

    static let sample = Safetensors(tensors: [
        HostTensor(name: "b", shape: [2, 3], values: .float32([1, -2, 3.5, 0, .greatestFiniteMagnitude, .leastNonzeroMagnitude])),
        HostTensor(name: "a", shape: [2], values: .float64([.pi, -1e300])),
        HostTensor(name: "n", shape: [3], values: .int32([1, -2, .max])),
        HostTensor(name: "l", shape: [1, 1], values: .int64([.min])),
        HostTensor(name: "empty", shape: [0, 4], values: .float32([])),
    ], metadata: ["format": "pt", "note": "\"quoted\""])

    /// Any file.
    static func safetensors() throws -> FuzzReader {
        let plain = Safetensors(tensors: [HostTensor(name: "x", shape: [2], values: .float32([1, 2]))])
        return try tensorFile("safetensors", [sample, plain, Safetensors(tensors: [])], hostile: [
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[1000000000000],\"data_offsets\":[0,4000000000000]}}",
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[1000000000000,0],\"data_offsets\":[0,4]}}    ",
            "{\"a\":" + String(repeating: "[", count: 50_000) + String(repeating: "]", count: 50_000) + "}",
            String(repeating: "{\"a\":", count: 10_000), "[]", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}xxxx",
        ].map { Array($0.utf8) }) { input, _ in
            let file = try Safetensors(data: Data(input), name: "fuzz.safetensors")
            let again = try Safetensors(data: try file.encoded(), name: "again.safetensors")
            try Violation.require(again.tensors.count == file.tensors.count && again.metadata == file.metadata, "what is written does not read back as the same")
            try Violation.require(file.tensors.allSatisfy { $0.doubles.count == $0.shape.count }, "a tensor's values do not fill its shape")
        }
    }

    /// Weights of a given model.
    static func weights() throws -> FuzzReader {
        let backend = try Device.open("cpu")
        let model = try SequenceClassifier(
            ModelConfiguration(layers: [.embedding(.init(units: 3)), .recurrent(.gru, .init(units: 2, output: .sequences, bidirectional: .concat)),
                                        .pooling(.init(of: [.max])), .dense(.init(units: 2))]),
            input: .tokens(vocabulary: 5), classes: 2, seed: 1, on: backend)
        return try tensorFile("weights", [Safetensors(tensors: try model.store.export())], tokens: model.store.parameters.map(\.name)) { input, _ in
            let file = try Safetensors(data: Data(input), name: "fuzz.safetensors")
            try model.store.load(file.tensors, from: "fuzz.safetensors")
            let names = try model.store.export().map(\.name)
            try Violation.require(Set(names) == Set(file.tensors.map(\.name)), "tensors went missing")
        }
    }

    // MARK: recorded cases

    private static let cases = ["lstm", "gru", "rnn_tanh", "rnn_relu", "\"true\"", "\"false\"", "relu", "hard_sigmoid", "sigmoid", "linear", "\"activation\":\"relu\",",
                                "\"reset_after\":\"false\",", "\"1048576\"", "\"0\"", "\"2\"", "adamw", "rmsprop", "sgd", "time", "batch", "hidden", "projection", "lengths", "weight_hr_l0"]

    private static func ramp(_ name: String, _ shape: Shape) -> HostTensor {
        HostTensor(name: name, shape: shape, values: .float64((0..<shape.count).map { 0.1 * Double($0 % 11 - 5) }))
    }

    /// `golden-layer/1`
    static func goldenLayer(_ scratch: String) throws -> FuzzReader {
        let time = 2, batch = 2, width = 2, hidden = 1
        func file(_ cell: String, gates: Int, directions: Int, lengths: Bool) -> Safetensors {
            var tensors = [ramp("input", [time, batch, width])]
            for (name, columns) in [("output", directions * hidden), ("grad_output", directions * hidden), ("grad_input", width)] {
                tensors.append(ramp(name, [time, batch, columns]))
            }
            for name in ["h0", "hn", "grad_hn", "grad_h0"] + (cell == "lstm" ? ["c0", "cn", "grad_cn", "grad_c0"] : []) {
                tensors.append(ramp(name, [directions, batch, hidden]))
            }
            for suffix in ["_l0", "_l0_reverse"].prefix(directions) {
                for prefix in ["", "grad_"] {
                    tensors.append(ramp("\(prefix)weight_ih\(suffix)", [gates * hidden, width]))
                    tensors.append(ramp("\(prefix)weight_hh\(suffix)", [gates * hidden, hidden]))
                    tensors.append(ramp("\(prefix)bias_ih\(suffix)", [gates * hidden]))
                }
            }
            if lengths { tensors.append(HostTensor(name: "lengths", shape: [batch], values: .int64([1, 2]))) }
            return Safetensors(tensors: tensors, metadata: [
                "format": "golden-layer/1", "cell": cell, "time": "\(time)", "batch": "\(batch)", "input": "\(width)", "hidden": "\(hidden)", "layers": "1",
                "projection": "0", "bidirectional": directions == 2 ? "true" : "false", "bias": "true"])
        }
        return try golden("golden-layer", [file("lstm", gates: 4, directions: 1, lengths: true), file("gru", gates: 3, directions: 2, lengths: false),
                                           file("rnn_relu", gates: 1, directions: 1, lengths: false)], scratch)
    }

    /// `golden-run/1`
    static func goldenRun(_ scratch: String) throws -> FuzzReader {
        let vocabulary = 4, embedding = 2, hidden = 2, steps = 2, batch = 2, time = 2
        var tensors = [ramp("losses", [steps]), ramp("gradient_norms", [steps])]
        for prefix in ["initial.", "final."] {
            for (name, shape) in [("embedding.weight", [vocabulary, embedding]), ("head.weight", [2, hidden]), ("head.bias", [2]), ("rnn.weight_ih_l0", [4 * hidden, embedding]),
                                  ("rnn.weight_hh_l0", [4 * hidden, hidden]), ("rnn.bias_ih_l0", [4 * hidden]), ("rnn.bias_hh_l0", [4 * hidden])] {
                tensors.append(ramp(prefix + name, Shape(shape)))
            }
        }
        tensors.append(HostTensor(name: "tokens", shape: [steps, batch, time], values: .int64([1, 2, 3, 0, 1, 1, 2, 3])))
        tensors.append(HostTensor(name: "lengths", shape: [steps, batch], values: .int64([2, 1, 2, 2])))
        tensors.append(HostTensor(name: "labels", shape: [steps, batch], values: .int64([0, 1, 1, 0])))
        let file = Safetensors(tensors: tensors, metadata: [
            "format": "golden-run/1", "cell": "lstm", "vocabulary": "\(vocabulary)", "embedding": "\(embedding)", "hidden": "\(hidden)", "layers": "1", "classes": "2",
            "batch": "\(batch)", "time": "\(time)", "steps": "\(steps)", "bidirectional": "false", "optimizer": "adam", "learning_rate": "0.01", "clip_norm": "1.0"])
        return try golden("golden-run", [file], scratch)
    }

    /// `golden-audit/1`
    static func goldenAudit(_ scratch: String) throws -> FuzzReader {
        func file(_ input: ModelInput, _ layers: [LayerConfiguration], _ batch: SequenceBatch) throws -> Safetensors {
            let subject = AuditCase(subject: "fuzz", source: "fuzz", model: ModelConfiguration(layers: layers), input: input, classes: 2,
                                    training: TrainingConfiguration(learningRate: 0.01, optimizer: .init(.adam)), batch: batch)
            let path = scratch + "/record.safetensors"
            try Audit(subject, limits: AuditLimits(rows: 2, steps: 3, trainingSteps: 1, samples: 0)).record(to: path)
            return try Safetensors(contentsOf: path)
        }
        let tokens = try file(.tokens(vocabulary: 4), [.embedding(.init(units: 2)), .recurrent(.gru, .init(units: 2))],
                              SequenceBatch(tokens: [[1, 2, 3], [2]], labels: [0, 1]))
        let numbers = try file(.features(width: 2), [.recurrent(.lstm, .init(units: 2))],
                               SequenceBatch(features: [[1, 2, 3, 4], [5, 6]], width: 2, labels: [1, 0]))
        // Without elements a tensor may claim any shape.
        let claims = [(tokens, "tokens"), (numbers, "features")].flatMap { file, name in
            [[1, Int.max, 0], [1, Int.max, 0, 1], [Int.max, 0], [1, 0], [0, 1, 2]].map { shape in
                var claim = file
                claim.tensors.removeAll { $0.name == name }
                claim.tensors.append(HostTensor(name: name, shape: Shape(shape), values: .float32([])))
                return claim
            }
        }
        return try golden("golden-audit", [tokens, numbers], claims: claims, scratch)
    }

    private static func golden(_ name: String, _ files: [Safetensors], claims: [Safetensors] = [], _ scratch: String) throws -> FuzzReader {
        // Sizes that nothing in the file stands for.
        let sizes = ["time", "batch", "hidden", "layers", "input", "embedding", "vocabulary", "classes", "steps"]
        let hostile = try [files[0], files[files.count - 1]].flatMap { file in
            try (sizes + ["all"]).filter { $0 == "all" || file.metadata[$0] != nil }.map { size in
                var claim = file
                for key in size == "all" ? sizes : [size] where claim.metadata[key] != nil { claim.metadata[key] = "1048576" }
                return Array(try claim.encoded().dropFirst(8))
            }
        } + claims.map { Array(try $0.encoded().dropFirst(8)) }
        let backend = try Device.open("cpu"), path = scratch + "/case.safetensors"
        return try tensorFile(name, files, hostile: hostile, tokens: cases) { input, _ in
            try write(input, path)
            let result = try GoldenCheck.run(path: path, on: backend)
            try Violation.require(result.passed == (result.error <= result.tolerance) || result.error.isNaN, "the verdict is not that of the worst tensor")
        }
    }
}
