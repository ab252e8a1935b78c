import CarouselCore

/// A named tensor on the host, as files hold it.
public struct HostTensor: Sendable, Equatable {
    public enum Values: Sendable, Equatable {
        case float32([Float])
        case float64([Double])
        case int32([Int32])
        case int64([Int64])
    }

    public var name: String
    public var shape: Shape
    public var values: Values

    public init(name: String, shape: Shape, values: Values) {
        self.name = name
        self.shape = shape
        self.values = values
    }

    /// The elements as Double, whatever their type.
    public var doubles: [Double] {
        switch values {
        case .float32(let v): v.map(Double.init)
        case .float64(let v): v
        case .int32(let v): v.map(Double.init)
        case .int64(let v): v.map(Double.init)
        }
    }

    /// The elements of an integer tensor; nil for floating point.
    public var integers: [Int]? {
        switch values {
        case .int32(let v): v.map(Int.init)
        case .int64(let v): v.map(Int.init)
        case .float32, .float64: nil
        }
    }
}
