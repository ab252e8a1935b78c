import CarouselCore

/// One tensor of one case: what the device computed against what it should have.
public struct ComparedTensor: Sendable {
    public let name: String
    /// max |a − b| / max(max |b|, smallest scale), b from the reference; infinite if a is not finite.
    /// The smallest scale is 1e-3, and more for recurrent results, which can be small by cancellation.
    public let error: Double
    public let tolerance: Double
    /// First bad element, its meaning and both values; nil when the tensor passes.
    public let message: String?

    public var passed: Bool { message == nil }
}

/// What the flat index of a tensor means, for messages.
struct IndexMeaning: Sendable {
    let describe: @Sendable (Int) -> String

    static let element = IndexMeaning { "element \($0)" }

    /// [·, width]
    static func grid(_ row: String, _ column: String, width: Int) -> IndexMeaning {
        IndexMeaning { "(\(row) \($0 / width), \(column) \($0 % width))" }
    }

    /// [N, width] packed rows.
    static func packed(_ layout: SequenceLayout, width: Int, _ column: String = "unit") -> IndexMeaning {
        IndexMeaning { "(\(place(of: $0 / width, layout)), \(column) \($0 % width))" }
    }

    /// [N, G·H] packed rows of gates.
    static func packedGates(_ layout: SequenceLayout, _ cell: RecurrentCell, hidden: Int) -> IndexMeaning {
        let width = cell.gateCount * hidden
        return IndexMeaning { "(\(place(of: $0 / width, layout)), \(gate(of: $0 % width, cell, hidden)))" }
    }

    /// [G·H, width] weights, or [G·H] biases with width 1.
    static func gateRows(_ cell: RecurrentCell, hidden: Int, width: Int, _ column: String) -> IndexMeaning {
        IndexMeaning { "(\(gate(of: $0 / width, cell, hidden)), \(column) \($0 % width))" }
    }

    private static func place(of row: Int, _ layout: SequenceLayout) -> String {
        let t = layout.offsets.lastIndex { $0 <= row } ?? 0
        return "t \(t), b \(row - layout.offsets[t])"
    }

    private static func gate(of row: Int, _ cell: RecurrentCell, _ hidden: Int) -> String {
        let names = switch cell.kind {
        case .rnn: ["h"]
        case .lstm: ["i", "f", "g", "o"]
        case .gru: ["r", "z", "n"]
        }
        return "gate \(names[row / hidden]), unit \(row % hidden)"
    }
}

/// What one side computed for one result.
struct CaseRecord {
    let name: String
    let values: [Double]
    let meaning: IndexMeaning
    let tolerance: Double
    /// The tensor is judged as if its largest element were no smaller.
    var smallestScale = 1e-3
    /// Zeros must be at the same places (dropout).
    let sameZeros: Bool

    /// Compares a device's record with the reference's.
    static func compare(_ device: CaseRecord, _ reference: CaseRecord) -> ComparedTensor {
        let tolerance = reference.tolerance
        guard device.values.count == reference.values.count else {
            return ComparedTensor(name: reference.name, error: .infinity, tolerance: tolerance,
                                  message: "\(device.values.count) elements, expected \(reference.values.count)")
        }
        var largest = 0.0, error = 0.0
        for value in reference.values { largest = max(largest, abs(value)) }
        let scale = max(largest, reference.smallestScale)
        var firstBad: Int?
        for i in 0..<reference.values.count {
            let a = device.values[i], b = reference.values[i]
            let difference = a == b ? 0 : a.isFinite ? abs(a - b) / scale : .infinity
            // `!(x <= y)` also catches a NaN of the reference.
            let bad = !(difference <= tolerance) || (reference.sameZeros && (a == 0) != (b == 0))
            if bad, firstBad == nil { firstBad = i }
            if !(difference <= error) { error = difference.isNaN ? .infinity : difference }
        }
        let message = firstBad.map { i in
            "\(reference.name) at \(reference.meaning.describe(i)): got \(device.values[i]), "
                + "expected \(reference.values[i])"
        }
        return ComparedTensor(name: reference.name, error: error, tolerance: tolerance, message: message)
    }
}
