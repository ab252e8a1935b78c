/// One compared tensor: how far it is, where it is furthest, and what is allowed.
public struct AuditTensor: Codable, Sendable {
    /// What is compared.
    public enum Kind: String, Codable, Sendable {
        /// Logits and losses.
        case output
        /// The gradient of one parameter.
        case gradient
        /// The gradients and their norm after the limits, from the device's own gradients.
        case clipping
        /// One parameter after an optimizer step, from the device's own gradients and moments.
        case update
        /// One of the optimizer's moments after a step, from the device's own gradients and moments.
        case moment
        /// Several training steps in a row.
        case steps
    }

    public enum Verdict: String, Codable, Sendable {
        case passed, failed
        /// Too far, but rounding alone is amplified so much here that nothing follows from it.
        case undecided
    }

    public var kind: Kind
    /// The parameter's name, or what the numbers are.
    public var name: String
    /// Largest relative error, Documentation/Numerics.md; infinite where a value is not finite.
    public var maximum: Double
    /// ‖a − b‖ / ‖b‖ over the whole tensor.
    public var rms: Double
    /// What is allowed for `maximum`.
    public var tolerance: Double
    /// The index of the largest error in words: layer, gate, unit.
    public var worst: String
    /// The device's value there.
    public var got: Double
    /// What it should be.
    public var expected: Double
    public var verdict: Verdict
}

/// The largest error of a tensor and where it is.
struct AuditMeasure {
    var maximum = 0.0
    var rms = 0.0
    var index = 0

    /// Compares `range` of two flat buffers.
    ///
    /// The range is cut into `blocks` equal parts (the gates of a weight), each judged by its own size: the error of
    /// an element is |a − b| / max(max |b| in its block, max |b| in the range / 100, `floor`).
    init(_ got: [Double], _ expected: [Double], in range: Range<Int>? = nil, blocks: Int = 1, floor: Double) {
        let range = range ?? 0..<expected.count
        guard got.count == expected.count else {
            (maximum, rms) = (.infinity, .infinity)
            return
        }
        let size = max(1, range.count / blocks)
        got.withUnsafeBufferPointer { a in
            expected.withUnsafeBufferPointer { b in
                var largest = [Double](repeating: 0, count: blocks)
                for i in range { largest[(i - range.lowerBound) / size] = max(largest[(i - range.lowerBound) / size], abs(b[i])) }
                let least = max((largest.max() ?? 0) / 100, floor)
                var difference = 0.0, norm = 0.0
                for i in range {
                    let delta = abs(a[i] - b[i])
                    guard delta.isFinite else {
                        (maximum, rms, index) = (.infinity, .infinity, i - range.lowerBound)
                        return
                    }
                    difference += delta * delta
                    norm += b[i] * b[i]
                    let error = delta / max(largest[(i - range.lowerBound) / size], least)
                    if error > maximum { (maximum, index) = (error, i - range.lowerBound) }
                }
                rms = difference == 0 ? 0 : difference.squareRoot() / max(norm.squareRoot(), floor)
            }
        }
    }
}
