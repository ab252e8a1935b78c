import CarouselCore
import CarouselNN
import Foundation

/// The outcome of one recorded case.
public struct GoldenResult: Codable, Sendable {
    /// The file's name without its ending.
    public var name: String
    /// Whether every tensor is within its tolerance.
    public var passed: Bool
    /// The tensor that is furthest from its tolerance.
    public var worst: String
    /// Its relative error.
    public var error: Double
    /// What is allowed for it.
    public var tolerance: Double
    /// Time the case took.
    public var seconds: Double
}

/// Recorded cases of other frameworks (`golden-layer/1`, `golden-run/1`, `golden-audit/1`) repeated on a device.
public enum GoldenCheck {
    /// The `.safetensors` files at `path`: itself, or those in a folder, by name.
    /// - Throws: `missingInput` when there are none.
    public static func files(at path: String) throws -> [String] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw CarouselError(.missingInput, "there is no such file or folder", at: path)
        }
        guard isFolder.boolValue else { return [path] }
        let names = try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasSuffix(".safetensors") }.sorted()
        guard !names.isEmpty else {
            throw CarouselError(.missingInput, "the folder holds no .safetensors file", at: path)
        }
        return names.map { path + "/" + $0 }
    }

    /// Repeats one case.
    /// - Throws: `badData` when the file is not a golden case.
    public static func run(path: String, on backend: any Backend) throws -> GoldenResult {
        let file = GoldenFile(try Safetensors(contentsOf: path), path: path)
        let clock = ContinuousClock()
        let start = clock.now
        var comparisons: [GoldenComparison]
        switch file.file.metadata["format"] {
        case "golden-layer/1": comparisons = try GoldenLayer(file).compare(on: backend)
        case "golden-run/1": comparisons = try GoldenRun(file).compare(on: backend)
        case AuditRecord.format:
            comparisons = try RecordReader(file).audit(samples: 0, precision: backend.precision).run(on: backend).comparisons()
        case let other:
            throw CarouselError(.badData, "not a recorded case: its format is \(other ?? "not given")", at: path,
                                hint: "the metadata key `format` must be golden-layer/1, golden-run/1 or golden-audit/1")
        }
        if backend.precision != .float32 {
            // What was recorded has no rounded operands.
            for i in comparisons.indices { comparisons[i].tolerance = max(comparisons[i].tolerance, AuditTolerance.recorded(backend.precision)) }
        }
        let worst = comparisons.max { $0.error / $0.tolerance < $1.error / $1.tolerance }!
        return GoldenResult(name: URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent,
                            passed: comparisons.allSatisfy { $0.error <= $0.tolerance },
                            worst: worst.name, error: worst.error, tolerance: worst.tolerance, seconds: (clock.now - start).seconds)
    }
}

/// One tensor of a case against its record.
struct GoldenComparison {
    var name: String
    var error: Double
    var tolerance: Double

    /// max |a − b| / max(max |b|, 1e-3); infinite where a value on either side is not a number.
    static func maximum(_ name: String, _ got: [Double], _ expected: [Double], tolerance: Double) -> GoldenComparison {
        guard got.count == expected.count else { return GoldenComparison(name: name, error: .infinity, tolerance: tolerance) }
        var difference = 0.0, scale = 1e-3
        for (a, b) in zip(got, expected) {
            difference = a.isFinite && b.isFinite ? max(difference, abs(a - b)) : .infinity
            scale = max(scale, abs(b))
        }
        return GoldenComparison(name: name, error: difference / scale, tolerance: tolerance)
    }

    /// √(Σ (a − b)² / Σ b²)
    static func rootMeanSquare(_ name: String, _ got: [Double], _ expected: [Double], tolerance: Double) -> GoldenComparison {
        guard got.count == expected.count else { return GoldenComparison(name: name, error: .infinity, tolerance: tolerance) }
        var difference = 0.0, scale = 1e-30
        for (a, b) in zip(got, expected) {
            difference += (a - b) * (a - b)
            scale += b * b
        }
        return GoldenComparison(name: name, error: difference.isFinite ? (difference / scale).squareRoot() : .infinity, tolerance: tolerance)
    }
}

/// Typed access to a recorded case.
struct GoldenFile {
    let file: Safetensors
    let path: String
    private let named: [String: HostTensor]

    init(_ file: Safetensors, path: String) {
        self.file = file
        self.path = path
        named = Dictionary(file.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    var tensorNames: [String] { file.tensors.map(\.name) }

    func optional(_ name: String) -> HostTensor? { named[name] }

    func tensor(_ name: String) throws -> HostTensor {
        guard let tensor = named[name] else { throw CarouselError(.badData, "tensor '\(name)' is missing", at: path) }
        return tensor
    }

    /// A tensor that must have a certain shape.
    func tensor(_ name: String, _ shape: Shape) throws -> HostTensor {
        let tensor = try tensor(name)
        guard tensor.shape == shape else {
            throw CarouselError(.badData, "tensor '\(name)' is \(tensor.shape), the case needs \(shape)", at: path)
        }
        return tensor
    }

    /// The whole numbers of a tensor, which must have `count` of them, all inside `range`.
    func integers(_ name: String, count: Int, in range: Range<Int>) throws -> [Int] {
        guard let values = try tensor(name).integers, values.count == count, values.allSatisfy(range.contains) else {
            throw CarouselError(.badData, "tensor '\(name)' must hold \(count) whole numbers from \(range.lowerBound) "
                                    + "to \(range.upperBound - 1)", at: path)
        }
        return values
    }

    func text(_ key: String) throws -> String {
        guard let value = file.metadata[key] else { throw CarouselError(.badData, "metadata '\(key)' is missing", at: path) }
        return value
    }

    func integer(_ key: String) throws -> Int {
        guard let value = Int(try text(key)) else { throw CarouselError(.badData, "metadata '\(key)' is not a whole number", at: path) }
        return value
    }

    /// A size: a whole number from `lowest` (1) to `highest` (2²⁰).
    func size(_ key: String, atLeast lowest: Int = 1, atMost highest: Int = 1 << 20) throws -> Int {
        let value = try integer(key)
        guard (lowest...highest).contains(value) else {
            throw CarouselError(.badData, "metadata '\(key)' is \(value), not a number from \(lowest) to \(highest)", at: path)
        }
        return value
    }

    func number(_ key: String) throws -> Double {
        guard let value = Double(try text(key)) else { throw CarouselError(.badData, "metadata '\(key)' is not a number", at: path) }
        return value
    }

    func flag(_ key: String) throws -> Bool { ["true", "1"].contains(try text(key).lowercased()) }

    /// `cell`, with the activations Keras cases name.
    func cell() throws -> RecurrentCell {
        let name = try text("cell")
        func activation(_ key: String, default standard: Activation) throws -> Activation {
            guard let value = file.metadata[key] else { return standard }
            guard let activation = Activation(rawValue: value) else {
                throw CarouselError(.badData, "metadata '\(key)' names an unknown activation '\(value)'", at: path)
            }
            return activation
        }
        let kinds: [String: (RecurrentCell.Kind, Activation)] = [
            "lstm": (.lstm, .tanh), "gru": (.gru, .tanh), "rnn": (.rnn, .tanh), "rnn_tanh": (.rnn, .tanh), "rnn_relu": (.rnn, .relu),
        ]
        guard let (kind, standard) = kinds[name] else {
            throw CarouselError(.badData, "metadata 'cell' names an unknown cell '\(name)'", at: path)
        }
        return RecurrentCell(kind, activation: try activation("activation", default: standard),
                             recurrentActivation: try activation("recurrent_activation", default: .sigmoid),
                             resetAfter: file.metadata["reset_after"].map { $0.lowercased() != "false" } ?? true)
    }
}
