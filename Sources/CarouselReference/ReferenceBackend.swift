import CarouselCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The oracle: every operation of the contract as plain loops in Double.
///
/// It is written to be obviously right, not fast, and shares no arithmetic with the devices it judges.
/// Its own correctness rests on finite differences, a step worked by hand and recorded golden numbers
/// (Documentation/Numerics.md). It runs at one or two GFLOP/s in a release build.
public final class ReferenceBackend: Backend {
    private let meter = MemoryMeter()
    /// Set by the conformance suite and the audit to choose inputs without kinks.
    public var kinkWatch: KinkWatch?

    public let precision: Precision

    /// - Parameter precision: the operands of products are rounded to it, as a device of this precision does, so that what
    ///   is left between the two are roundings of sums, and operands that fall to the other side of a rounding.
    public init(precision: Precision = .float32) { self.precision = precision }

    /// Set by the audit to learn what operands that round to the other neighbour do to a model.
    public var operandNoise: OperandNoise?

    var rounding: OperandRounding { OperandRounding(precision, noise: operandNoise) }

    public var scalarType: ElementType { .float64 }

    public var info: DeviceInfo {
        DeviceInfo(kind: .reference, selector: "reference", name: "Reference in float64", vendor: "Carousel",
                   computeUnits: 1, details: ["plain loops, one thread, for checking the other devices"])
    }

    /// Bytes in live buffers.
    public var allocatedBytes: Int { meter.bytes }

    /// A buffer of `count` elements; throws `outOfMemory`. Floating-point contents start as NaN, so that a
    /// value used before it is written shows.
    public func makeBuffer(count: Int, type: ElementType) throws -> any DeviceBuffer {
        try ReferenceBuffer(count: count, type: type, meter: meter)
    }

    /// Throws `internalError` when the byte counts differ or the tensor is another device's.
    public func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) throws {
        let target = try bytesOf(tensor, transferring: bytes.count)
        if let source = bytes.baseAddress { memcpy(target, source, bytes.count) }
    }

    /// Throws `internalError` when the byte counts differ or the tensor is another device's.
    public func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws {
        let source = try bytesOf(tensor, transferring: bytes.count)
        if let target = bytes.baseAddress { memcpy(target, source, bytes.count) }
    }

    /// Nothing is ever queued.
    public func finish() throws {}

    private func bytesOf(_ tensor: Tensor, transferring count: Int) throws -> UnsafeMutableRawPointer {
        let base = try Self.base(of: tensor)
        guard count == tensor.count * tensor.type.byteCount else {
            throw CarouselError(.internalError, "cannot transfer \(count) bytes and a tensor \(tensor.shape) of "
                + tensor.type.rawValue)
        }
        return base
    }

    private static func base(of tensor: Tensor) throws -> UnsafeMutableRawPointer {
        guard let buffer = tensor.buffer as? ReferenceBuffer else {
            throw CarouselError(.internalError, "the reference was given a tensor \(tensor.shape) of another device")
        }
        return buffer.base + tensor.offset * tensor.type.byteCount
    }

    /// The elements of a float64 tensor. Valid while the caller holds the tensor.
    func doubles(_ tensor: Tensor) throws -> Doubles {
        guard tensor.type == .float64 else {
            throw CarouselError(.internalError,
                                "the reference computes in float64, tensor \(tensor.shape) is \(tensor.type.rawValue)")
        }
        return try Self.base(of: tensor).assumingMemoryBound(to: Double.self)
    }

    func doubles(_ tensor: Tensor?) throws -> Doubles? { try tensor.map { try doubles($0) } }

    /// The elements of an int32 tensor. Valid while the caller holds the tensor.
    func integers(_ tensor: Tensor) throws -> UnsafeMutablePointer<Int32> {
        guard tensor.type == .int32 else {
            throw CarouselError(.internalError, "expected int32, tensor \(tensor.shape) is \(tensor.type.rawValue)")
        }
        return try Self.base(of: tensor).assumingMemoryBound(to: Int32.self)
    }

    func integers(_ tensor: Tensor?) throws -> UnsafeMutablePointer<Int32>? { try tensor.map { try integers($0) } }
}

typealias Doubles = UnsafeMutablePointer<Double>

/// Σ a[k]·b[k]. Four partial sums, so that additions do not wait for each other.
@inline(__always)
func dot(_ a: Doubles, _ b: Doubles, _ count: Int) -> Double {
    var s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0
    var k = 0
    while k + 4 <= count {
        s0 += a[k] * b[k]
        s1 += a[k + 1] * b[k + 1]
        s2 += a[k + 2] * b[k + 2]
        s3 += a[k + 3] * b[k + 3]
        k += 4
    }
    while k < count {
        s0 += a[k] * b[k]
        k += 1
    }
    return (s0 + s1) + (s2 + s3)
}

/// y[k] += factor · x[k].
@inline(__always)
func addScaled(_ factor: Double, _ x: Doubles, to y: Doubles, _ count: Int) {
    for k in 0..<count { y[k] += factor * x[k] }
}

/// Σ a[k]·b[k] of rounded operands.
@inline(__always)
func dot(_ a: Doubles, _ b: Doubles, _ count: Int, in rounding: OperandRounding) -> Double {
    guard rounding.precision != .float32 else { return dot(a, b, count) }
    var sum = 0.0
    for k in 0..<count { sum += rounding(a[k]) * rounding(b[k]) }
    return sum
}

/// y[k] += factor · x[k] of rounded operands, on the way back: `factor` is a gradient.
@inline(__always)
func addScaled(_ factor: Double, _ x: Doubles, to y: Doubles, _ count: Int, in rounding: OperandRounding) {
    guard rounding.precision != .float32 else { return addScaled(factor, x, to: y, count) }
    let factor = rounding.gradient(factor)
    for k in 0..<count { y[k] += factor * rounding(x[k]) }
}

/// Bytes in live buffers of one backend.
private final class MemoryMeter { var bytes = 0 }

/// Host memory of the reference.
private final class ReferenceBuffer: DeviceBuffer {
    let count: Int
    let type: ElementType
    let base: UnsafeMutableRawPointer
    private let meter: MemoryMeter

    init(count: Int, type: ElementType, meter: MemoryMeter) throws {
        let (bytes, overflow) = count.multipliedReportingOverflow(by: type.byteCount)
        guard count >= 0, !overflow, let base = malloc(max(bytes, 1)) else {
            throw CarouselError(.outOfMemory, "no memory for \(count) elements of \(type.rawValue)",
                                hint: "smaller batches or layers")
        }
        self.count = count
        self.type = type
        self.base = base
        self.meter = meter
        meter.bytes += bytes
        // All bits set is NaN in both floating-point types and −1 in int32.
        memset(base, 0xFF, bytes)
    }

    deinit {
        meter.bytes -= count * type.byteCount
        free(base)
    }
}
