import CarouselCore

/// y = f(x Wᵀ + b), W [units, F], on a vector or on every row of a sequence.
final class Dense: Layer {
    let name: String
    let outputWidth: Int
    let parameters: [Int]
    private let inputWidth: Int
    private let activation: Activation
    private let store: ParameterStore
    private let backend: any Backend
    private let workspace: Workspace
    private var x: Tensor?
    private var y: Tensor?
    /// Of a sequence; nil on vectors.
    private var layout: SequenceLayout?

    /// - Parameter prefix: `dense.{k}` or `head`.
    init(_ configuration: DenseConfiguration, inputWidth: Int, prefix: String, initializer: InitializerFamily, store: ParameterStore) {
        name = prefix
        outputWidth = configuration.units
        activation = configuration.activation
        self.inputWidth = inputWidth
        self.store = store
        backend = store.backend
        workspace = Workspace(backend: store.backend)
        let limit = Initializer.uniform(limit: 1 / Double(inputWidth).squareRoot())
        let keras = initializer == .keras
        parameters = [
            store.declare("\(prefix).weight", [configuration.units, inputWidth],
                          keras ? .glorotUniform(fanIn: inputWidth, fanOut: configuration.units) : limit),
            store.declare("\(prefix).bias", [configuration.units], keras ? .zeros : limit),
        ]
    }

    func forward(_ value: LayerValue, _ context: PassContext) throws -> LayerValue {
        layout = nil
        switch value {
        case .vector(let x):
            return .vector(try apply(x))
        case .sequence(let sequence):
            guard case .dense(let x) = sequence.input else { throw unexpected(value) }
            layout = sequence.layout.layout
            return .sequence(SequenceValue(.dense(try apply(x)), layout: sequence.layout))
        case .tokens:
            throw unexpected(value)
        }
    }

    /// [M, F] → [M, units]
    private func apply(_ x: Tensor) throws -> Tensor {
        let y = try workspace.tensor("y", x.shape[0], outputWidth)
        try backend.multiply(MatrixProduct(x, store.weight(parameters[0]), transposeB: true,
                                           bias: store.weight(parameters[1]), into: y))
        if activation != .linear { try backend.activate(activation, y, into: y) }
        self.x = x
        self.y = y
        return y
    }

    func forget() { (x, y) = (nil, nil) }

    func backward(_ gradient: LayerGradient, _ context: PassContext) throws -> LayerGradient? {
        guard let x, let y, var dy = gradient.values else { return nil }
        if activation != .linear {
            let dz = try workspace.tensor("dz", dy.shape)
            try backend.activateBackward(activation, y: y, dy: dy, into: dz)
            dy = dz
        }
        try backend.aside {
            try backend.multiply(MatrixProduct(dy, transposeA: true, x, into: store.gradient(parameters[0]), accumulate: true))
            try backend.columnSums(of: dy, into: store.gradient(parameters[1]), accumulate: true)
        }
        let dx = try workspace.tensor("dx", x.shape)
        try backend.multiply(MatrixProduct(dy, store.weight(parameters[0]), into: dx))
        return LayerGradient(values: dx)
    }

    var kept: [KeptTensor] {
        y.map { [KeptTensor("output", $0, layout.map { .packed($0, reversed: false) } ?? .sequences)] } ?? []
    }

    var activationBytes: Int { workspace.byteCount }
}
