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
        for direction in directions { try direction.forward(sequence, context) }
        let finalState = try merge(directions.map(\.finalState), "final")
        if configuration.output == .last { return .vector(finalState) }
        let values = try merge(try directions.map { try $0.outputInTime() }, "values")
        guard configuration.concatInput else {
            return .sequence(SequenceValue(.dense(values), layout: sequence.layout, finalState: finalState))
        }
        input = sequence.input
        return .sequence(SequenceValue(.dense(try appendInput(sequence.input, to: values)), layout: sequence.layout))
    }

    func forget() {
        input = nil
        for direction in directions { direction.forget() }
    }

    func backward(_ gradient: LayerGradient, _ context: PassContext) throws -> LayerGradient? {
        let dFinal = configuration.output == .last ? gradient.values : gradient.finalState
        var dValues = configuration.output == .last ? nil : gradient.values
        var total: Tensor?
        if configuration.concatInput, let both = dValues {
            let dMerged = try workspace.tensor("dMerged", [both.shape[0], mergedWidth])
            try backend.copyColumns(both, from: 0, to: dMerged, at: 0, width: mergedWidth, scale: 1, accumulate: false)
            dValues = dMerged
            if wantsInputGradient { total = try inputPart(of: both) }
        }
        let finals = try split(dFinal, of: { $0.finalState }, "dFinal")
        let sequences = try split(dValues, of: { try $0.outputInTime() }, "dValues")
        for (place, direction) in directions.enumerated() {
            let dInput = try direction.backward(dOutput: sequences.isEmpty ? nil : sequences[place],
                                                dFinal: finals.isEmpty ? nil : finals[place],
                                                wantsInputGradient: wantsInputGradient)
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
        let result = try workspace.tensor("with input", [rows, outputWidth])
        try backend.copyColumns(values, from: 0, to: result, at: 0, width: mergedWidth, scale: 1, accumulate: false)
        let x: Tensor
        switch input {
        case .dense(let dense):
            x = dense
        case .indexed(let distinct, let index):
            x = try workspace.tensor("x", [rows, inputWidth])
            try backend.gather(distinct, rows: index.positions, into: x)
        }
        try backend.copyColumns(x, from: 0, to: result, at: mergedWidth, width: inputWidth, scale: 1, accumulate: false)
        return result
    }

    /// The gradient of the input from its columns in the gradient [N, F + I]: [N, I], or [U, I] of an indexed one.
    private func inputPart(of gradient: Tensor) throws -> Tensor {
        let dx = try workspace.tensor("dx beside", [gradient.shape[0], inputWidth])
        try backend.copyColumns(gradient, from: mergedWidth, to: dx, at: 0, width: inputWidth, scale: 1, accumulate: false)
        guard case .indexed(_, let index) = input else { return dx }
        let sums = try workspace.tensor("dx sums", [index.distinctCount, inputWidth])
        try backend.segmentSums(of: dx, index: index, into: sums)
        return sums
    }

    /// One tensor from the directions' tensors [M, R].
    private func merge(_ parts: [Tensor], _ name: String) throws -> Tensor {
        guard let mode = configuration.bidirectional else { return parts[0] }
        let result = try workspace.tensor(name, [parts[0].shape[0], mergedWidth])
        switch mode {
        case .concat:
            try copy(parts[0], to: result, at: 0)
            try copy(parts[1], to: result, at: stateWidth)
        case .sum, .ave:
            let scale = mode == .ave ? 0.5 : 1
            try copy(parts[0], to: result, at: 0, scale: scale)
            try copy(parts[1], to: result, at: 0, scale: scale, accumulate: true)
        case .mul:
            try backend.multiply(parts[0], parts[1], into: result, accumulate: false)
        }
        return result
    }

    /// The gradients of the directions' tensors from the gradient of their merger; empty for nil.
    /// - Parameter part: a direction's tensor; asked only where its values matter.
    private func split(_ gradient: Tensor?, of part: (RecurrentDirection) throws -> Tensor, _ name: String) throws -> [Tensor] {
        guard let gradient else { return [] }
        guard let mode = configuration.bidirectional else { return [gradient] }
        if mode == .sum { return [gradient, gradient] }
        let result = try (0..<2).map { try workspace.tensor("\(name) \($0)", [gradient.shape[0], stateWidth]) }
        switch mode {
        case .concat:
            for place in 0..<2 {
                try backend.copyColumns(gradient, from: place * stateWidth, to: result[place], at: 0, width: stateWidth,
                                        scale: 1, accumulate: false)
            }
        case .ave:
            try copy(gradient, to: result[0], at: 0, scale: 0.5)
            return [result[0], result[0]]
        case .mul:
            try backend.multiply(gradient, part(directions[1]), into: result[0], accumulate: false)
            try backend.multiply(gradient, part(directions[0]), into: result[1], accumulate: false)
        case .sum:
            break
        }
        return result
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
