import CarouselCore

/// An RNN, LSTM or GRU layer in one or both directions, one backend call per direction and sequence.
///
/// Parameters are named as PyTorch names a one-layer module: `rnn.{k}.weight_ih_l0`, `_reverse` for the
/// second direction.
final class Recurrent: Layer {
    let name: String
    let outputWidth: Int
    let parameters: [Int]
    private let configuration: RecurrentConfiguration
    private let inputWidth: Int
    private let wantsInputGradient: Bool
    private let directions: [RecurrentDirection]
    private let backend: any Backend
    private let workspace: Workspace

    /// The input of the last forward pass, where it is handed on.
    private var input: RecurrentInput?

    private var stateWidth: Int { configuration.projection ?? configuration.units }
    /// Width of the merged directions.
    private var mergedWidth: Int { configuration.bidirectional == .concat ? 2 * stateWidth : stateWidth }

    /// - Parameters:
    ///   - index: its number among the recurrent layers.
    ///   - number: its number among all layers.
    init(_ kind: RecurrentCell.Kind, _ configuration: RecurrentConfiguration, inputWidth: Int, index: Int, number: Int,
         initializer: InitializerFamily, wantsInputGradient: Bool, store: ParameterStore) {
        name = "\(kind.rawValue) \(index)"
        self.configuration = configuration
        self.inputWidth = inputWidth
        self.wantsInputGradient = wantsInputGradient
        backend = store.backend
        workspace = Workspace(backend: store.backend)
        let reversals = configuration.bidirectional != nil ? [false, true] : [configuration.reversed]
        // A single reversed direction keeps the plain names: the file holds one direction.
        directions = reversals.enumerated().map { place, reversed in
            RecurrentDirection(kind, configuration, inputWidth: inputWidth, prefix: "rnn.\(index)",
                               suffix: place == 1 ? "_reverse" : "", reversed: reversed, layer: number, place: place,
                               initializer: initializer, store: store)
        }
        parameters = directions.flatMap(\.parameters)
        let width = configuration.projection ?? configuration.units
        outputWidth = (configuration.bidirectional == .concat ? 2 * width : width) + (configuration.concatInput ? inputWidth : 0)
    }

    func forward(_ value: LayerValue, _ context: PassContext) throws -> LayerValue {
        guard case .sequence(let sequence) = value else { throw unexpected(value) }
        try eachDirection { _, direction in try direction.forward(sequence, context) }
        let finalState = try merge("final") { $0.finalState }
        if configuration.output == .last { return .vector(finalState) }
        let values = try merge("values") { try $0.outputInTime() }
        guard configuration.concatInput else {
            return .sequence(SequenceValue(.dense(values), layout: sequence.layout, finalState: finalState))
        }
        input = sequence.input
        return .sequence(SequenceValue(.dense(try appendInput(sequence.input, to: values)), layout: sequence.layout))
    }

    /// Runs the directions at once where the device can, else one after the other.
    private func eachDirection(_ body: (Int, RecurrentDirection) throws -> Void) throws {
        guard backend.overlaps, directions.count > 1 else {
            for place in directions.indices { try body(place, directions[place]) }
            return
        }
        try withoutActuallyEscaping(body) { body in
            try backend.overlap(directions.enumerated().map { place, direction in LaneWork(lane: place) { try body(place, direction) } })
        }
    }

    // MARK: Part of a stack that runs as a wavefront

    /// Whether it takes the steps of a sequence one after the other and needs nothing else of it.
    var runsForwardAlone: Bool { configuration.bidirectional == nil && !configuration.reversed && !configuration.concatInput }

    /// Of the last forward pass.
    var layout: SequenceLayout? { directions[0].layout }

    /// Makes the pass over `sequence`.
    func prepare(_ sequence: SequenceValue, _ context: PassContext) throws -> RecurrentPass { try directions[0].prepare(sequence, context) }

    /// Takes some steps of it.
    func forward(steps: Range<Int>) throws { try directions[0].forward(steps: steps) }

    /// What it hands on after all steps.
    func output(_ sequence: SequenceValue) throws -> LayerValue {
        let finalState = directions[0].finalState
        if configuration.output == .last { return .vector(finalState) }
        return .sequence(SequenceValue(.dense(try directions[0].outputInTime()), layout: sequence.layout, finalState: finalState))
    }

    /// Makes the backward pass from the gradient of what was handed on, which may come in parts as well.
    /// - Returns: where the gradient of the input will be.
    func prepareBackward(_ gradient: LayerGradient) throws -> LayerGradient? {
        let isLast = configuration.output == .last
        return try directions[0].prepareBackward(dOutput: isLast ? nil : gradient.values, dFinal: isLast ? gradient.values : gradient.finalState,
                                                 wantsInputGradient: wantsInputGradient).map { LayerGradient(values: $0) }
    }

    /// Takes some steps of it, those at the end first.
    func backward(steps: Range<Int>) throws { try directions[0].backward(steps: steps) }

    func forget() {
        input = nil
        for direction in directions { direction.forget() }
    }

    func backward(_ gradient: LayerGradient, _ context: PassContext) throws -> LayerGradient? {
        let dFinal = configuration.output == .last ? gradient.values : gradient.finalState
        var dValues = configuration.output == .last ? nil : gradient.values
        var total: Tensor?
        if configuration.concatInput, let both = dValues {
            let dMerged = try workspace.tensor("dMerged", both.shape[0], mergedWidth)
            try backend.copyColumns(both, from: 0, to: dMerged, at: 0, width: mergedWidth, scale: 1, accumulate: false)
            dValues = dMerged
            if wantsInputGradient { total = try inputPart(of: both) }
        }
        let finals = try split(dFinal, of: { $0.finalState }, "dFinal")
        let sequences = try split(dValues, of: { try $0.outputInTime() }, "dValues")
        var dInputs: (Tensor?, Tensor?)
        try eachDirection { place, direction in
            let dInput = try direction.backward(dOutput: place == 0 ? sequences.first : sequences.second,
                                                dFinal: place == 0 ? finals.first : finals.second,
                                                wantsInputGradient: wantsInputGradient)
            if place == 0 { dInputs.0 = dInput } else { dInputs.1 = dInput }
        }
        for place in directions.indices {
            let dInput = place == 0 ? dInputs.0 : dInputs.1
            if let dInput, let sum = total {
                try backend.copyColumns(dInput, from: 0, to: sum, at: 0, width: inputWidth, scale: 1, accumulate: true)
            } else {
                total = dInput
            }
        }
        return total.map { LayerGradient(values: $0) }
    }

    var kept: [KeptTensor] { directions.flatMap(\.kept) }

    /// [N, F + I] from the merged states and the input of every step.
    private func appendInput(_ input: RecurrentInput, to values: Tensor) throws -> Tensor {
        let rows = values.shape[0]
        let result = try workspace.tensor("with input", rows, outputWidth)
        try backend.copyColumns(values, from: 0, to: result, at: 0, width: mergedWidth, scale: 1, accumulate: false)
        let x: Tensor
        switch input {
        case .dense(let dense):
            x = dense
        case .indexed(let distinct, let index):
            x = try workspace.tensor("x", rows, inputWidth)
            try backend.gather(distinct, rows: index.positions, into: x)
        }
        try backend.copyColumns(x, from: 0, to: result, at: mergedWidth, width: inputWidth, scale: 1, accumulate: false)
        return result
    }

    /// The gradient of the input from its columns in the gradient [N, F + I]: [N, I], or [U, I] of an indexed one.
    private func inputPart(of gradient: Tensor) throws -> Tensor {
        let dx = try workspace.tensor("dx beside", gradient.shape[0], inputWidth)
        try backend.copyColumns(gradient, from: mergedWidth, to: dx, at: 0, width: inputWidth, scale: 1, accumulate: false)
        guard case .indexed(_, let index) = input else { return dx }
        let sums = try workspace.tensor("dx sums", index.distinctCount, inputWidth)
        try backend.segmentSums(of: dx, index: index, into: sums)
        return sums
    }

    /// One tensor from a tensor [M, R] of every direction.
    private func merge(_ name: String, _ part: (RecurrentDirection) throws -> Tensor) throws -> Tensor {
        let first = try part(directions[0])
        guard let mode = configuration.bidirectional else { return first }
        let second = try part(directions[1]), result = try workspace.tensor(name, first.shape[0], mergedWidth)
        switch mode {
        case .concat:
            try copy(first, to: result, at: 0)
            try copy(second, to: result, at: stateWidth)
        case .sum, .ave:
            let scale = mode == .ave ? 0.5 : 1
            try copy(first, to: result, at: 0, scale: scale)
            try copy(second, to: result, at: 0, scale: scale, accumulate: true)
        case .mul:
            try backend.multiply(first, second, into: result, accumulate: false)
        }
        return result
    }

    /// The gradients of the directions' tensors from the gradient of their merger; nil for nil.
    /// - Parameter part: a direction's tensor; asked only where its values matter.
    private func split(_ gradient: Tensor?, of part: (RecurrentDirection) throws -> Tensor, _ name: String)
        throws -> (first: Tensor?, second: Tensor?)
    {
        guard let gradient, let mode = configuration.bidirectional else { return (gradient, nil) }
        if mode == .sum { return (gradient, gradient) }
        let first = try workspace.tensor("\(name) 0", gradient.shape[0], stateWidth)
        if mode == .ave {
            try copy(gradient, to: first, at: 0, scale: 0.5)
            return (first, first)
        }
        let second = try workspace.tensor("\(name) 1", gradient.shape[0], stateWidth)
        if mode == .concat {
            try backend.copyColumns(gradient, from: 0, to: first, at: 0, width: stateWidth, scale: 1, accumulate: false)
            try backend.copyColumns(gradient, from: stateWidth, to: second, at: 0, width: stateWidth, scale: 1, accumulate: false)
        } else {
            try backend.multiply(gradient, part(directions[1]), into: first, accumulate: false)
            try backend.multiply(gradient, part(directions[0]), into: second, accumulate: false)
        }
        return (first, second)
    }

    private func copy(_ source: Tensor, to target: Tensor, at column: Int, scale: Double = 1, accumulate: Bool = false) throws {
        try backend.copyColumns(source, from: 0, to: target, at: column, width: stateWidth, scale: scale, accumulate: accumulate)
    }

    var activationBytes: Int { directions.reduce(workspace.byteCount) { $0 + $1.activationBytes } }

    func plan(batch: Int) -> String? {
        let plan = backend.recurrentPlan(cell: directions[0].cell, input: inputWidth, hidden: configuration.units, state: stateWidth, batch: batch)
        return configuration.recurrentDropout > 0 ? plan + ", recurrent dropout \(configuration.recurrentDropout)" : plan
    }
}
