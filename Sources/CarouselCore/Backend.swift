/// A device that runs Carousel's operations: the CPU, an OpenCL device, the Double reference.
///
/// One call is one whole operation (a recurrent call is one layer over one sequence), so a training
/// step makes tens of calls and `any Backend` costs nothing. Calls take effect in order, except for work that was said to be
/// independent (`OverlapOperations`); work may be queued, and only `read` and `finish` wait for it. The compute path is synchronous: a backend and
/// its tensors belong to one thread (a backend may use worker threads inside a call).
///
/// Contract, the same for all operations:
/// - Tensors have the backend's `scalarType` unless a field says int32 or opaque; operands do not overlap unless
///   the operation allows it.
/// - Results marked *out* are overwritten completely; results marked *+=* are added to.
/// - Wrong shapes throw `CarouselError` (`internalError`) naming them; memory that runs out throws
///   `outOfMemory`. Zero-sized operands (an empty batch, all lengths zero) are legal and do nothing
///   beyond zeroing their *out* results.
/// - Results depend on shapes and values only, never on the number of threads.
public protocol Backend: AnyObject, MemoryOperations, VectorOperations, MatrixOperations, EmbeddingOperations,
    RecurrentOperations, PoolingOperations, LossOperations, OptimizerOperations, OverlapOperations
{
    var info: DeviceInfo { get }
    /// float32, or float64 on the reference.
    var scalarType: ElementType { get }
    /// The type to which it rounds the operands of matrix products.
    var precision: Precision { get }
    /// The way this backend runs the expensive operations, where a device offers several: a name that, with the
    /// device, fixes every bit of its results.
    var plan: String { get }
    /// Runs code that asks for buffers, which are allocated, and for operations, which compute nothing: what the code will
    /// ask for when it runs again is then there. Reads give zeros. A device without scratch memory of its own may do nothing.
    func reserve(_ body: () throws -> Void) throws
}

extension Backend {
    /// Nothing is rounded.
    public var precision: Precision { .float32 }
    /// Opaque activations are kept like others.
    public var keepsCompactActivations: Bool { false }
    /// Tensors of the backend's own type.
    public func opaqueActivationType(of cell: RecurrentCell) -> ElementType { scalarType }
    /// A device with one way of computing, with the precision of its products where it is not float32.
    public var plan: String { precision.named("standard") }
    /// Nothing is reserved.
    public func reserve(_ body: () throws -> Void) throws {}
}

/// What a device is, for people and for logs.
public struct DeviceInfo: Sendable, Codable, Equatable {
    public enum Kind: String, Sendable, Codable { case cpu, opencl, reference }

    public var kind: Kind
    /// The name the user selects it by: `cpu`, `opencl:0`, `reference`.
    public var selector: String
    public var name: String
    public var vendor: String
    public var driver: String
    public var computeUnits: Int
    /// Bytes of memory for tensors; 0 = unknown.
    public var memory: Int
    /// Largest single allocation in bytes; 0 = unknown.
    public var largestAllocation: Int
    /// True when an OpenCL device is a GPU.
    public var isGPU: Bool
    /// Further facts worth printing: BLAS in use, vector instructions, kernel family, extensions.
    public var details: [String]

    public init(kind: Kind, selector: String, name: String, vendor: String = "", driver: String = "",
                computeUnits: Int, memory: Int = 0, largestAllocation: Int = 0, isGPU: Bool = false,
                details: [String] = []) {
        self.kind = kind
        self.selector = selector
        self.name = name
        self.vendor = vendor
        self.driver = driver
        self.computeUnits = computeUnits
        self.memory = memory
        self.largestAllocation = largestAllocation
        self.isGPU = isGPU
        self.details = details
    }
}

/// Whether a call keeps what a later backward call needs.
public enum Mode: Sendable { case training, inference }
