import CarouselCore

/// How the reference rounds the operands of products: as a device of lower precision does, or with noise before it.
///
/// A number near the middle between two neighbours rounds to either, and a device whose sum differs in the last bit of a
/// float32 may take the other one than the reference. The noise shows what such choices do to a model.
struct OperandRounding {
    /// The operands are rounded to it; nothing happens to those of float32.
    let precision: Precision
    private let noise: OperandNoise?

    init(_ precision: Precision, noise: OperandNoise?) {
        self.precision = precision
        self.noise = noise
    }

    /// A state, an input or a weight as an operand.
    @inline(__always)
    func callAsFunction(_ x: Double) -> Double { rounded(noise.map { $0.moved(x, by: $0.size) } ?? x) }

    /// A gradient that is multiplied with a state, an input or a weight.
    @inline(__always)
    func gradient(_ x: Double) -> Double { rounded(noise.map { $0.moved(x, by: $0.gradientSize) } ?? x) }

    @inline(__always)
    private func rounded(_ x: Double) -> Double { Double(precision.rounded(Float(x))) }
}

/// Noise in the operands of a reference of lower precision.
public struct OperandNoise: Sendable {
    /// Of a state, an input or a weight, relative to itself, at most.
    public var size: Double
    /// Of the gradient on the way back, relative to itself, at most.
    public var gradientSize: Double
    private let key: UInt64

    /// - Parameter draw: the noise of two draws has nothing in common.
    public init(size: Double, gradientSize: Double, draw: Int) {
        self.size = size
        self.gradientSize = gradientSize
        key = UInt64(RandomGenerator.key(UInt64(bitPattern: Int64(draw)), 0x6F70_6572)) << 16
    }

    /// Equal numbers get equal noise, so that a state falls to one side in every product it enters, as on a device.
    @inline(__always)
    func moved(_ x: Double, by size: Double) -> Double {
        x * (1 + size * 0x1p-63 * Double(Int64(bitPattern: RandomGenerator.mix(x.bitPattern ^ key))))
    }
}
