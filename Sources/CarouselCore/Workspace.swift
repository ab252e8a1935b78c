/// Tensors by name, allocated once and reused; a buffer grows when a longer batch comes.
public final class Workspace {
    private let backend: any Backend
    private var buffers: [String: any DeviceBuffer] = [:]

    public init(backend: any Backend) { self.backend = backend }

    /// Bytes of all tensors as they are now.
    public var byteCount: Int { buffers.values.reduce(0) { $0 + $1.count * $1.type.byteCount } }

    /// A tensor with undefined contents, valid until the same name is asked for again.
    public func tensor(_ name: String, _ shape: Shape, type: ElementType? = nil) throws -> Tensor {
        let type = type ?? backend.scalarType
        if let buffer = buffers[name], buffer.count >= shape.count, buffer.type == type {
            return Tensor(buffer: buffer, shape: shape)
        }
        buffers[name] = nil
        let buffer = try backend.makeBuffer(count: shape.count, type: type)
        buffers[name] = buffer
        return Tensor(buffer: buffer, shape: shape)
    }

    /// A tensor [rows, width] with undefined contents, valid until the same name is asked for again.
    public func tensor(_ name: String, _ rows: Int, _ width: Int, type: ElementType? = nil) throws -> Tensor {
        try tensor(name, Shape(rows, width), type: type)
    }

    /// The same holding integers.
    public func tensor(_ name: String, holding values: [Int32], shape: Shape) throws -> Tensor {
        let tensor = try tensor(name, shape, type: .int32)
        try backend.write(values, to: tensor)
        return tensor
    }

    /// The same holding values of the backend's scalar type.
    public func tensor(_ name: String, holding values: [Float], shape: Shape) throws -> Tensor {
        let tensor = try tensor(name, shape)
        try backend.write(values, to: tensor)
        return tensor
    }
}
