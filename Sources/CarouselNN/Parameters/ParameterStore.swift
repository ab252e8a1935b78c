import CarouselCore

/// A parameter's place in the store.
public struct Parameter: Sendable {
    public let name: String
    public let shape: Shape
    public let initializer: Initializer
    /// First element in the flat buffers.
    public let offset: Int
}

/// All parameters of a model in one flat buffer, all gradients in another of the same layout: one kernel
/// per optimizer step, one norm, one write per checkpoint. Every parameter starts at a multiple of 64
/// bytes; the gaps hold zeros in both buffers and stay zero under every optimizer.
public final class ParameterStore {
    public let backend: any Backend
    public private(set) var parameters: [Parameter] = []
    /// Tensors that files hold though they are not trained: all zeros. Name of the bias they belong to → name, shape.
    public private(set) var zeroPartners: [String: (name: String, shape: Shape)] = [:]
    private var trained: Tensor!
    private var exchanged: Tensor?
    private var flatGradients: Tensor!
    private var flatCount = 0
    /// Number of the table of an embedding; nil where there is none.
    private(set) var tableParameter: Int?
    /// The table whose rows are stepped one by one; set by the optimizer.
    var lazyTable: LazyTable? { didSet { rangesBesideTable = rangesBeside(lazyTable?.parameter) } }
    /// What of the flat buffers lies beside that table: all without one.
    private(set) var rangesBesideTable: [Range<Int>] = []

    public init(backend: any Backend) { self.backend = backend }

    /// Number of trained values.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.shape.count } }
    /// Elements of each flat buffer.
    public var count: Int { flatCount }

    /// Adds a parameter and returns its number. Before `allocate`.
    /// - Parameter isTable: whether batches read few of its rows.
    public func declare(_ name: String, _ shape: Shape, _ initializer: Initializer, isTable: Bool = false) -> Int {
        precondition(trained == nil, "parameters are declared before allocation")
        if isTable { tableParameter = parameters.count }
        parameters.append(Parameter(name: name, shape: shape, initializer: initializer, offset: flatCount))
        flatCount += (shape.count + 15) / 16 * 16
        return parameters.count - 1
    }

    /// Names a tensor of zeros that files hold beside parameter `partner` and that adds to it when read.
    public func declareZeroPartner(of partner: String, _ name: String, _ shape: Shape) {
        zeroPartners[partner] = (name, shape)
    }

    /// Makes the flat buffers and draws the initial weights; the same on every device for one seed.
    /// - Throws: `outOfMemory` for a model the device cannot hold.
    public func allocate(seed: UInt64) throws {
        // Asked before anything is allocated: a system may promise memory it does not have.
        let bytes = 2 * flatCount * backend.scalarType.byteCount, memory = backend.info.memory
        guard memory == 0 || bytes <= memory else {
            throw CarouselError(.outOfMemory, "weights and gradients of \(parameterCount) parameters need \(bytes >> 20) MiB of memory, "
                                    + "\(backend.info.selector) has \(memory >> 20) MiB", hint: "smaller layers or a smaller vocabulary")
        }
        rangesBesideTable = rangesBeside(nil)
        trained = try makeCompanion()
        flatGradients = try makeCompanion()
        guard backend.holdsValues else { return }
        for (number, parameter) in parameters.enumerated() {
            var generator = SeededGenerator(seed: seed, purpose: 0x1000 + UInt64(number))
            let values = parameter.initializer.values(count: parameter.shape.count, generator: &generator)
            // Rounded to float32 on every device, so that the Double reference starts from the same numbers.
            try backend.write(values.map { Double(Float($0)) }, to: weight(number))
        }
    }

    // MARK: Whole buffers. Whoever sees a table as a whole sees it up to date.

    /// The flat weights as they are now: to be asked for anew after every step.
    public var weights: Tensor {
        get throws {
            if let exchanged { return exchanged }
            try lazyTable?.settle()
            return trained
        }
    }

    /// The flat gradients. Until the next `zeroGradients` they are read and changed as a whole.
    public var gradients: Tensor {
        get throws {
            if let lazyTable { try lazyTable.handOverGradients(to: view(of: flatGradients, lazyTable.parameter)) }
            return flatGradients
        }
    }

    /// Runs `body` with another flat buffer of this layout in place of the weights: an average of them.
    public func exchanging<Result>(_ other: Tensor, _ body: () throws -> Result) rethrows -> Result {
        let before = exchanged
        exchanged = other
        defer { exchanged = before }
        return try body()
    }

    /// View of a parameter's weights.
    public func weight(_ number: Int) throws -> Tensor {
        view(of: number == lazyTable?.parameter ? try weights : exchanged ?? trained, number)
    }

    /// View of a parameter's gradient.
    public func gradient(_ number: Int) throws -> Tensor {
        view(of: number == lazyTable?.parameter ? try gradients : flatGradients, number)
    }

    /// All gradients become 0.
    public func zeroGradients() throws {
        if let lazyTable, lazyTable.ownsGradients {
            // Rows of a table that were not handed over are 0 there already.
            for range in rangesBesideTable { try backend.fill(view(of: flatGradients, range), with: 0) }
        } else {
            try backend.fill(flatGradients, with: 0)
        }
        lazyTable?.forgetGradients()
    }

    // MARK: Rows of a table

    /// View of a table [V, D] in which `rows` [U] are up to date.
    func table(_ number: Int, reading rows: Tensor) throws -> Tensor {
        if exchanged == nil, number == lazyTable?.parameter { try lazyTable?.catchUp(rows) }
        return view(of: exchanged ?? trained, number)
    }

    /// Adds `values` [U, D] to distinct `rows` [U] of a table's gradient.
    func addGradient(_ number: Int, rows: Tensor, _ values: Tensor) throws {
        if number == lazyTable?.parameter, try lazyTable?.addGradient(rows: rows, values) ?? false { return }
        try backend.scatterAdd(values, rows: rows, into: view(of: flatGradients, number))
    }

    /// What of the flat buffers lies beside a parameter.
    private func rangesBeside(_ number: Int?) -> [Range<Int>] {
        guard let number else { return [0..<flatCount] }
        let parameter = parameters[number], end = parameter.offset + parameter.shape.count
        return [0..<parameter.offset, end..<flatCount].filter { !$0.isEmpty }
    }

    /// Elements `range` of a flat buffer.
    func view(of flat: Tensor, _ range: Range<Int>) -> Tensor {
        Tensor(buffer: flat.buffer, offset: flat.offset + range.lowerBound, shape: [range.count])
    }

    /// Parameter `number` of a flat buffer.
    func view(of flat: Tensor, _ number: Int) -> Tensor {
        let parameter = parameters[number]
        return Tensor(buffer: flat.buffer, offset: flat.offset + parameter.offset, shape: parameter.shape)
    }

    /// The flat weights and gradients without the table: for the optimizer's steps.
    var buffersBesideTable: (weights: Tensor, gradients: Tensor) { (trained, flatGradients) }

    // MARK: Files and companions

    /// A zeroed buffer of the same layout, for moments and averages.
    public func makeCompanion() throws -> Tensor {
        let tensor = try backend.makeTensor(shape: [flatCount])
        try backend.fill(tensor, with: 0)
        return tensor
    }

    /// The weights (or another flat buffer of this layout) as named float32 tensors. A sync point.
    public func export(_ flat: Tensor? = nil) throws -> [HostTensor] {
        let values = try backend.readFloats(try flat ?? weights)
        var result: [HostTensor] = []
        for parameter in parameters {
            let range = parameter.offset ..< parameter.offset + parameter.shape.count
            result.append(HostTensor(name: parameter.name, shape: parameter.shape, values: .float32(Array(values[range]))))
            if let partner = zeroPartners[parameter.name] {
                result.append(HostTensor(name: partner.name, shape: partner.shape,
                                         values: .float32([Float](repeating: 0, count: partner.shape.count))))
            }
        }
        return result
    }

    /// Replaces all weights by named tensors.
    /// - Parameters:
    ///   - source: what messages call the origin of the tensors.
    ///   - target: another flat buffer of this layout to fill instead.
    /// - Throws: `badData` naming a tensor that is missing, left over or of another shape.
    public func load(_ tensors: [HostTensor], from source: String, into target: Tensor? = nil) throws {
        var named: [String: HostTensor] = [:]
        for tensor in tensors { named[tensor.name] = tensor }
        var flat = [Double](repeating: 0, count: flatCount)
        for parameter in parameters {
            guard let tensor = named.removeValue(forKey: parameter.name) else {
                throw CarouselError(.badData, "tensor '\(parameter.name)' \(parameter.shape) is missing", at: source,
                                    hint: "the file belongs to another model; it holds \(tensors.map(\.name).sorted().prefix(8).joined(separator: ", "))")
            }
            var values = try Self.values(of: tensor, shape: parameter.shape, source: source)
            if let partner = zeroPartners[parameter.name], let tensor = named.removeValue(forKey: partner.name) {
                let added = try Self.values(of: tensor, shape: partner.shape, source: source)
                for i in values.indices { values[i] += added[i] }
            }
            flat.replaceSubrange(parameter.offset ..< parameter.offset + values.count, with: values)
        }
        if let extra = named.keys.sorted().first {
            throw CarouselError(.badData, "tensor '\(extra)' \(named[extra]!.shape) belongs to no layer of this model", at: source,
                                hint: "the file belongs to another model")
        }
        try backend.write(flat, to: try target ?? weights)
    }

    private static func values(of tensor: HostTensor, shape: Shape, source: String) throws -> [Double] {
        guard tensor.shape == shape else {
            throw CarouselError(.badData, "tensor '\(tensor.name)' is \(tensor.shape), the model needs \(shape)", at: source,
                                hint: "the file belongs to a model of other sizes")
        }
        return tensor.doubles
    }
}
