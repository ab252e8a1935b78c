import CarouselCore

/// Whether Adam steps the rows of an embedding's table one by one, when they are needed (`LazyTable`). The results are the
/// same bits, except that the gradients' norm is summed in another order.
public enum RowSteps: Sendable, Equatable {
    case never, always
    /// Where it pays for batches that touch at most so many rows.
    case automatic(touched: Int)

    /// Rows a table must have for each row the largest batch touches (Documentation/Performance.md).
    static let rowsForEachTouched = 8

    /// Whether a table of so many rows is stepped row by row.
    func pays(rows: Int) -> Bool {
        switch self {
        case .never: false
        case .always: true
        case .automatic(let touched): rows >= Self.rowsForEachTouched * max(1, touched)
        }
    }
}

/// Updates a parameter store in place; one kernel per step over the flat buffers, and one over the rows of a table that is
/// stepped row by row.
public final class Optimizer {
    public let configuration: OptimizerConfiguration
    public let clipping: ClippingConfiguration
    private let store: ParameterStore
    private let backend: any Backend
    /// t of the last step taken.
    public private(set) var step = 0
    private var flatMoments: [String: Tensor] = [:]
    private var flatAverage: Tensor?
    /// [1] Σ g² over all parameters before clipping, of the last `clip`.
    public let squaredNorm: Tensor
    private let tensorNorm: Tensor
    /// [1] 0 as long as everything watched was finite, not a number afterwards.
    private let fault: Tensor
    /// Of a training whose gradients come from a scaled loss; nil = they are as they should be.
    public let lossScale: LossScale?

    /// - Parameters:
    ///   - rowSteps: of Adam and AdamW for the table of an embedding; other rules step whole tables, and so does a scaled loss,
    ///     whose steps may be left out.
    ///   - lossScale: how the scale of the loss follows the gradients; nil = the loss is not scaled.
    public init(_ configuration: OptimizerConfiguration, clipping: ClippingConfiguration, store: ParameterStore,
                rowSteps: RowSteps = .never, lossScale rule: LossScaleRule? = nil) throws {
        self.configuration = configuration
        self.clipping = clipping
        self.store = store
        backend = store.backend
        squaredNorm = try backend.makeTensor([0.0], shape: [1])
        tensorNorm = try backend.makeTensor([0.0], shape: [1])
        fault = try backend.makeTensor([0.0], shape: [1])
        lossScale = try rule.map { [backend] in try LossScale($0, on: backend) }
        let names: [String]
        switch configuration.name {
        case .sgd: names = configuration.momentum == 0 ? [] : ["velocity"]
        case .adam, .adamw: names = ["m", "v"]
        case .rmsprop: names = configuration.momentum == 0 ? ["v"] : ["v", "momentum"]
        }
        for name in names { flatMoments[name] = try store.makeCompanion() }
        // What another optimizer of this store has left to do is done first.
        let weights = try store.weights
        store.lazyTable = nil
        guard rule == nil, let table = store.tableParameter, let m = flatMoments["m"], let v = flatMoments["v"],
              rowSteps.pays(rows: store.parameters[table].shape[0]) else { return }
        store.lazyTable = try LazyTable(parameter: table, weights: store.view(of: weights, table), m: store.view(of: m, table),
                                        v: store.view(of: v, table), on: backend)
    }

    /// Whether a table is stepped row by row.
    public var stepsRows: Bool { store.lazyTable != nil }

    /// Moments by name (`m`, `v`, `velocity`, `momentum`), flat as the parameters: to be asked for anew after every step.
    public var moments: [String: Tensor] {
        get throws {
            try store.lazyTable?.settle()
            return flatMoments
        }
    }

    // MARK: Average

    /// The moving average of the weights, flat; nil unless it is kept. To be asked for anew after every step.
    public var average: Tensor? {
        get throws {
            if flatAverage != nil { try store.lazyTable?.settle() }
            return flatAverage
        }
    }

    /// Keeps a moving average from now on, which starts as the weights.
    public func keepAverage() throws {
        let average = try store.makeCompanion()
        try backend.copyColumns(try store.weights.reshaped([1, store.count]), from: 0, to: average.reshaped([1, store.count]), at: 0,
                                width: store.count, scale: 1, accumulate: false)
        if let table = store.lazyTable { try table.keep(average: store.view(of: average, table.parameter)) }
        flatAverage = average
    }

    /// average = decay · average + (1 − decay) · weights, where one is kept.
    public func updateAverage(decay: Double) throws {
        guard let average = flatAverage else { return }
        try store.lazyTable?.updateAverage(decay: decay, fault: fault)
        for range in store.rangesBesideTable {
            try backend.average(store.view(of: store.buffersBesideTable.weights, range), into: store.view(of: average, range), decay: decay)
        }
    }

    // MARK: Steps

    /// Once `value` [1] is not finite, no later `update` changes anything: the weights and moments before the first
    /// bad step stay, although the host learns of it only steps later.
    public func watch(_ value: Tensor) throws {
        // 0 · x is 0 for every finite x, and not a number for all others.
        try backend.copyColumns(value.reshaped([1, 1]), from: 0, to: fault.reshaped([1, 1]), at: 0, width: 1, scale: 0, accumulate: true)
    }

    /// Limits the gradients as configured, after dividing them by the scale of the loss. The global norm before clipping stays
    /// readable with `gradientNorm`.
    public func clip() throws {
        if let lossScale { try forEachGradientPart { try lossScale.unscale($0) } }
        var isFirst = true
        try forEachGradientPart { part in
            try backend.squaredNorm(of: part, into: squaredNorm, accumulate: !isFirst)
            isFirst = false
        }
        if let lossScale { try lossScale.judge(squaredNorm: squaredNorm, fault: fault) } else { try watch(squaredNorm) }
        if let maximum = clipping.globalNorm {
            try forEachGradientPart {
                try backend.clipByNorm($0, squaredNorm: squaredNorm, maximum: maximum, variant: configuration.variant)
            }
        }
        if let maximum = clipping.tensorNorm {
            for number in store.parameters.indices {
                guard let gradient = try gradient(number) else { continue }
                try backend.squaredNorm(of: gradient, into: tensorNorm, accumulate: false)
                try backend.clipByNorm(gradient, squaredNorm: tensorNorm, maximum: maximum, variant: configuration.variant)
            }
        }
        if let limit = clipping.value { try forEachGradientPart { try backend.clipByValue($0, limit: limit) } }
    }

    /// The table that has its gradients for itself in this step; nil where the flat gradients hold all of them.
    private var table: LazyTable? { store.lazyTable.flatMap { $0.ownsGradients ? $0 : nil } }

    /// Hands on all gradients that may be other than 0.
    private func forEachGradientPart(_ body: (Tensor) throws -> Void) throws {
        guard let table else { return try body(try store.gradients) }
        if let values = table.gradientValues { try body(values) }
        for range in store.rangesBesideTable { try body(store.view(of: store.buffersBesideTable.gradients, range)) }
    }

    /// A parameter's gradient, of a table that of the rows touched; nil where there is none.
    private func gradient(_ number: Int) throws -> Tensor? {
        if let table, table.parameter == number { return table.gradientValues }
        return try store.gradient(number)
    }

    /// √Σ g² over all parameters before clipping, of the last `clip`. A sync point.
    public func gradientNorm() throws -> Double { try backend.readDouble(squaredNorm).squareRoot() }

    /// Puts back what a saved training had; the moments are written by the caller.
    /// - Parameters:
    ///   - step: t of the last step taken.
    ///   - squaredNorm: of the gradients of that step.
    public func restore(step: Int, squaredNorm value: Double) throws {
        try store.lazyTable?.settle()
        self.step = step
        try backend.write([value], to: squaredNorm)
    }

    /// Takes one step with the store's gradients, unless something watched was not finite.
    public func update(learningRate: Double) throws {
        step += 1
        guard let table else { return try update(0..<store.count, of: try store.weights, try store.gradients, learningRate) }
        try table.update(adamStep(learningRate))
        for range in store.rangesBesideTable {
            try update(range, of: store.buffersBesideTable.weights, store.buffersBesideTable.gradients, learningRate)
        }
    }

    /// [1] where an update reads whether it is left out.
    private var stop: Tensor { lossScale?.skip ?? fault }

    private func adamStep(_ learningRate: Double) -> AdamStep {
        let c = configuration
        return AdamStep(learningRate: learningRate, beta1: c.beta1, beta2: c.beta2, epsilon: c.resolvedEpsilon,
                        weightDecay: c.resolvedWeightDecay, variant: c.variant, step: step, fault: stop)
    }

    /// The step for some elements of the flat buffers.
    private func update(_ range: Range<Int>, of weights: Tensor, _ gradients: Tensor, _ learningRate: Double) throws {
        let c = configuration, w = store.view(of: weights, range), g = store.view(of: gradients, range)
        func moment(_ name: String) -> Tensor? { flatMoments[name].map { store.view(of: $0, range) } }
        switch c.name {
        case .sgd:
            try backend.sgd(SGDStep(learningRate: learningRate, momentum: c.momentum, nesterov: c.nesterov,
                                    weightDecay: c.resolvedWeightDecay, variant: c.variant, step: step, fault: stop),
                            weights: w, gradients: g, velocity: moment("velocity"))
        case .adam, .adamw:
            try backend.adam(adamStep(learningRate), weights: w, gradients: g, m: moment("m")!, v: moment("v")!)
        case .rmsprop:
            try backend.rmsprop(RMSpropStep(learningRate: learningRate, rho: c.resolvedRho, momentum: c.momentum,
                                            epsilon: c.resolvedEpsilon, variant: c.variant, fault: stop),
                                weights: w, gradients: g, v: moment("v")!, momentum: moment("momentum"))
        }
    }
}
