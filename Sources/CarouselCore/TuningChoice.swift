/// One set of sizes by which a device cuts an operation of a certain shape; no result depends on it.
public struct TuningChoice: Sendable, Hashable, Codable {
    /// What is cut, for example `product`.
    public var operation: String
    /// Which of its shapes, where they are told apart: `rows64`, `large`; else empty.
    public var shape: String
    /// In which precision of products; nil = in any.
    public var precision: Precision?
    /// The sizes by name, for kernels their compile-time parameters.
    public var sizes: [String: Int]

    public init(operation: String, shape: String = "", precision: Precision? = nil, sizes: [String: Int]) {
        self.operation = operation
        self.shape = shape
        self.precision = precision
        self.sizes = sizes
    }

    /// What it is a choice for: `product large`, `product rows16 bfloat16`.
    public var subject: String {
        ([operation, shape] + (precision.map { $0 == .float32 ? [] : [$0.rawValue] } ?? [])).filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// `BUFFERS 2, TILE_K 16, …`, by name.
    public var text: String { sizes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ") }
}

/// A choice with what it gained over the sizes inside the program when it was measured: 1.2 = a fifth more per second.
public struct MeasuredChoice: Sendable, Hashable, Codable {
    public var choice: TuningChoice
    public var gain: Double

    public init(_ choice: TuningChoice, gain: Double) {
        self.choice = choice
        self.gain = gain
    }
}

/// A device whose sizes can be measured and kept for later runs.
public protocol Tunable: Backend {
    /// What there is to choose, with the sizes the program itself brings.
    var tuningChoices: [TuningChoice] { get }
    /// Why measured sizes on disk are not used, for people; nil where there are none or they are.
    var tuningProblem: String? { get }
    /// Choices one step away that the kernels have and the device has room for.
    func alternatives(to choice: TuningChoice) -> [TuningChoice]
    /// Computes with these sizes from now on.
    /// - Throws: `badConfiguration` for sizes that no kernel has or the device has no room for.
    func choose(_ choice: TuningChoice) throws
    /// The file from which later runs on this device take `measured`, in place of what it held for `subjects`.
    /// - Throws: `cannotCreateOutput` where there is no folder for it.
    func tuningFile(with measured: [MeasuredChoice], replacing subjects: Set<String>) throws -> (folder: String, name: String, text: String)
}
