/// The type of one element in a device buffer.
public enum ElementType: String, Sendable, Codable {
    case float32, float64, int32

    public var byteCount: Int {
        switch self {
        case .float32, .int32: 4
        case .float64: 8
        }
    }
}

/// The extents of a row-major tensor; the last one is contiguous.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
    public let extents: [Int]

    public init(_ extents: [Int]) { self.extents = extents }
    public init(arrayLiteral elements: Int...) { extents = elements }

    public var rank: Int { extents.count }
    public var count: Int { extents.reduce(1, *) }
    public subscript(axis: Int) -> Int { extents[axis] }

    public var description: String { "[" + extents.map(String.init).joined(separator: ", ") + "]" }
}

/// Memory on one device. Only the backend that made it looks inside.
///
/// Not `Sendable`: the compute path runs on one thread and owns its buffers.
public protocol DeviceBuffer: AnyObject {
    /// Number of elements.
    var count: Int { get }
    var type: ElementType { get }
}

/// A view of `shape.count` contiguous, row-major elements of a buffer; cheap to copy.
public struct Tensor {
    public let buffer: any DeviceBuffer
    /// First element, counted in elements.
    public let offset: Int
    public let shape: Shape

    public var type: ElementType { buffer.type }
    public var count: Int { shape.count }

    /// - Precondition: the view lies inside the buffer (a programming error otherwise).
    public init(buffer: any DeviceBuffer, offset: Int = 0, shape: Shape) {
        precondition(offset >= 0 && offset + shape.count <= buffer.count,
                     "view \(shape) at \(offset) leaves a buffer of \(buffer.count) elements")
        self.buffer = buffer
        self.offset = offset
        self.shape = shape
    }

    /// The same elements under another shape of the same count.
    public func reshaped(_ shape: Shape) -> Tensor {
        precondition(shape.count == count, "cannot view \(self.shape) as \(shape)")
        return Tensor(buffer: buffer, offset: offset, shape: shape)
    }

    /// Rows `range` of the first axis.
    public func rows(_ range: Range<Int>) -> Tensor {
        let width = shape[0] == 0 ? 0 : count / shape[0]
        return Tensor(buffer: buffer, offset: offset + range.lowerBound * width,
                      shape: Shape([range.count] + shape.extents.dropFirst()))
    }
}
