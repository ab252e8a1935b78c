/// The type of one element in a device buffer.
public enum ElementType: String, Sendable, Codable {
    case float32, float64, int32
    /// 16 bits in a form that only the backend knows which keeps something there.
    case bits16

    public var byteCount: Int {
        switch self {
        case .float32, .int32: 4
        case .float64: 8
        case .bits16: 2
        }
    }
}

/// The extents of a row-major tensor; the last one is contiguous. They lie in the shape itself: a training step makes
/// hundreds of shapes and none of them allocates.
///
/// A literal passes through an array, which its inlined initialiser leaves on the stack, but not in functions with many
/// local values. Layers ask their `Workspace` for rows and a width instead.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
    /// Axes a tensor may have.
    @inlinable
    public static var highestRank: Int { 4 }

    public let rank: Int
    /// Of the axes in order; 1 behind the last, so that the count is the product of all.
    @usableFromInline let first, second, third, fourth: Int

    /// - Precondition: at most `highestRank` extents.
    @inlinable @inline(__always)
    public init(_ extents: [Int]) {
        precondition(extents.count <= Self.highestRank, "a tensor has four axes at most")
        rank = extents.count
        first = rank > 0 ? extents[0] : 1
        second = rank > 1 ? extents[1] : 1
        third = rank > 2 ? extents[2] : 1
        fourth = rank > 3 ? extents[3] : 1
    }

    @inlinable @inline(__always)
    public init(arrayLiteral elements: Int...) { self.init(elements) }

    /// [rows, width]
    public init(_ rows: Int, _ width: Int) { (rank, first, second, third, fourth) = (2, rows, width, 1, 1) }

    private init(_ shape: Shape, first: Int) {
        (rank, self.first, second, third, fourth) = (shape.rank, first, shape.second, shape.third, shape.fourth)
    }

    /// The product of all extents, 1 without any.
    @inlinable
    public var count: Int { first * second * third * fourth }
    /// All of them as a list, for files and messages.
    public var extents: [Int] { (0..<rank).map { self[$0] } }

    @inlinable
    public subscript(axis: Int) -> Int {
        precondition(axis >= 0 && axis < rank, "the tensor has no such axis")
        switch axis {
        case 0: return first
        case 1: return second
        case 2: return third
        default: return fourth
        }
    }

    /// The same with another extent of the first axis, which there must be.
    public func with(first: Int) -> Shape {
        precondition(rank > 0, "a single number has no first axis")
        return Shape(self, first: first)
    }

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
        return Tensor(buffer: buffer, offset: offset + range.lowerBound * width, shape: shape.with(first: range.count))
    }
}
