/// The type to which a device rounds both operands of every matrix product. Everything else stays float32: sums, biases,
/// activations, optimizer, and the weights themselves, of which the products see a rounded copy.
///
/// What enters a product: x, h(t − 1), the weights, and backward the gradients of a and u (see `RecurrentPass`); of an
/// indexed input the gradients summed per distinct row. Sums that are no products (of biases' gradients, of segments) add
/// unrounded numbers.
public enum Precision: String, Sendable, Codable, CaseIterable {
    /// Nothing is rounded.
    case float32
    /// 8 bits of precision, the exponents of float32.
    case bfloat16
    /// 11 bits of precision (IEEE 754 binary16), numbers up to 65,504: gradients need a loss scale.
    case float16

    /// `x` rounded to nearest, ties to even, as devices round a float32 number. NaN stays NaN.
    public func rounded(_ x: Float) -> Float {
        switch self {
        case .float32:
            return x
        case .bfloat16:
            guard !x.isNaN else { return x }
            let bits = x.bitPattern
            return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
        case .float16:
            return Float(Float16(x))
        }
    }

    /// Half the distance between neighbours of 1: the relative error of one rounding.
    public var unitRoundoff: Double {
        switch self {
        case .float32: 0x1p-24
        case .bfloat16: 0x1p-8
        case .float16: 0x1p-11
        }
    }

    /// Bytes of an operand.
    public var byteCount: Int { self == .float32 ? 4 : 2 }

    /// The name of a plan that computes in this precision: `name`, or e.g. "name, bfloat16".
    public func named(_ name: String) -> String { self == .float32 ? name : "\(name), \(rawValue)" }
}
