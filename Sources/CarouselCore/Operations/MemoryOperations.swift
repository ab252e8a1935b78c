/// Buffers and transfers.
public protocol MemoryOperations {
    /// A buffer whose contents are undefined.
    func makeBuffer(count: Int, type: ElementType) throws -> any DeviceBuffer
    /// Copies `bytes` (native element type, `tensor.count` elements) to the device.
    func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) throws
    /// Waits for all work before it and copies `tensor` to `bytes`. A sync point.
    func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws
    /// Waits for all queued work; reports an error of it. A sync point.
    func finish() throws
    /// Bytes in live buffers, including the backend's own scratch memory.
    var allocatedBytes: Int { get }
    /// False for a planner, for which making values would be wasted work.
    var holdsValues: Bool { get }
    /// Bytes that buffers may still take, as far as the system tells now; 0 = unknown.
    var availableBytes: Int { get }
    /// A planner of this device, without any buffer yet.
    func makePlanner() throws -> any MemoryPlanner
}

extension Backend {
    /// True: buffers keep what is written.
    public var holdsValues: Bool { true }

    /// The device's memory without what this backend holds already.
    public var availableBytes: Int { info.memory == 0 ? 0 : max(1, info.memory - allocatedBytes) }

    /// Counts the buffers of the caller; right for a device without scratch memory.
    public func makePlanner() throws -> any MemoryPlanner { CountingBackend(info: info, scalarType: scalarType) }

    /// An uninitialised tensor of the backend's scalar type, or of `type`.
    public func makeTensor(shape: Shape, type: ElementType? = nil) throws -> Tensor {
        Tensor(buffer: try makeBuffer(count: shape.count, type: type ?? scalarType), shape: shape)
    }

    public func makeTensor(_ values: [Int32], shape: Shape) throws -> Tensor {
        let tensor = try makeTensor(shape: shape, type: .int32)
        try write(values, to: tensor)
        return tensor
    }

    /// A tensor of the backend's scalar type.
    public func makeTensor(_ values: [Float], shape: Shape) throws -> Tensor {
        let tensor = try makeTensor(shape: shape)
        try write(values, to: tensor)
        return tensor
    }

    /// A tensor of the backend's scalar type; values are rounded to it.
    public func makeTensor(_ values: [Double], shape: Shape) throws -> Tensor {
        let tensor = try makeTensor(shape: shape)
        try write(values, to: tensor)
        return tensor
    }

    public func write(_ values: [Int32], to tensor: Tensor) throws {
        try checkTransfer(values.count, tensor, types: [.int32])
        try values.withUnsafeBytes { try write($0, to: tensor) }
    }

    /// Writes to a float32 or float64 tensor.
    public func write(_ values: [Float], to tensor: Tensor) throws {
        try checkTransfer(values.count, tensor, types: [.float32, .float64])
        if tensor.type == .float32 {
            try values.withUnsafeBytes { try write($0, to: tensor) }
        } else {
            try values.map(Double.init).withUnsafeBytes { try write($0, to: tensor) }
        }
    }

    /// Writes to a float32 (rounded) or float64 tensor.
    public func write(_ values: [Double], to tensor: Tensor) throws {
        try checkTransfer(values.count, tensor, types: [.float32, .float64])
        if tensor.type == .float64 {
            try values.withUnsafeBytes { try write($0, to: tensor) }
        } else {
            try values.map(Float.init).withUnsafeBytes { try write($0, to: tensor) }
        }
    }

    /// Reads a float32 or float64 tensor. A sync point.
    public func readDoubles(_ tensor: Tensor) throws -> [Double] {
        if tensor.type == .float64 {
            var values = [Double](repeating: 0, count: tensor.count)
            try values.withUnsafeMutableBytes { try read(tensor, into: $0) }
            return values
        }
        return try readFloats(tensor).map(Double.init)
    }

    /// Reads a short float32 or float64 tensor into a list that keeps its memory. A sync point.
    public func readDoubles(_ tensor: Tensor, into values: inout [Double]) throws {
        values.removeAll(keepingCapacity: true)
        if tensor.type == .float64 {
            try withUnsafeTemporaryAllocation(of: Double.self, capacity: tensor.count) {
                try read(tensor, into: UnsafeMutableRawBufferPointer($0))
                values.append(contentsOf: $0)
            }
        } else {
            try checkTransfer(tensor.count, tensor, types: [.float32])
            try withUnsafeTemporaryAllocation(of: Float.self, capacity: tensor.count) {
                try read(tensor, into: UnsafeMutableRawBufferPointer($0))
                for value in $0 { values.append(Double(value)) }
            }
        }
    }

    /// The only value of a float32 or float64 tensor [1]. A sync point.
    public func readDouble(_ tensor: Tensor) throws -> Double {
        if tensor.type == .float64 {
            var value = 0.0
            try withUnsafeMutableBytes(of: &value) { try read(tensor, into: $0) }
            return value
        }
        try checkTransfer(1, tensor, types: [.float32])
        var value: Float = 0
        try withUnsafeMutableBytes(of: &value) { try read(tensor, into: $0) }
        return Double(value)
    }

    /// Reads a float32 or float64 (rounded) tensor. A sync point.
    public func readFloats(_ tensor: Tensor) throws -> [Float] {
        if tensor.type == .float64 { return try readDoubles(tensor).map(Float.init) }
        try checkTransfer(tensor.count, tensor, types: [.float32])
        var values = [Float](repeating: 0, count: tensor.count)
        try values.withUnsafeMutableBytes { try read(tensor, into: $0) }
        return values
    }

    /// Reads an int32 tensor. A sync point.
    public func readIntegers(_ tensor: Tensor) throws -> [Int32] {
        try checkTransfer(tensor.count, tensor, types: [.int32])
        var values = [Int32](repeating: 0, count: tensor.count)
        try values.withUnsafeMutableBytes { try read(tensor, into: $0) }
        return values
    }

    private func checkTransfer(_ count: Int, _ tensor: Tensor, types: [ElementType]) throws {
        guard count == tensor.count, types.contains(tensor.type) else {
            throw CarouselError(.internalError,
                                "cannot transfer \(count) values of \(types.map(\.rawValue).joined(separator: " or ")) "
                                    + "and a tensor \(tensor.shape) of \(tensor.type.rawValue)")
        }
    }
}
