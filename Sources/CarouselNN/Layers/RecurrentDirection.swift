import CarouselCore

/// One direction of a recurrent layer: its parameters, its activations, its pass.
final class RecurrentDirection {
    let cell: RecurrentCell
    let parameters: [Int]
    private let reversed: Bool
    private let stateWidth: Int
    private let hidden: Int
    private let dropoutRate: Double
    /// Of the mask of the prepared pass.
    private var maskKey: UInt32 = 0
    /// Number of the layer, and 0 or 1 within it: they fix the masks.
    private let layer: Int, place: Int
    private let store: ParameterStore
    private let backend: any Backend
    private let workspace: Workspace
    private let numbers: Numbers
    private var pass: RecurrentPass?
    /// Of the backward pass that is taken in parts.
    private var gradients: RecurrentGradients?

    /// Parameter numbers by role.
    private struct Numbers {
        var wIH: Int, wHH: Int
        var wHR: Int?, bIH: Int?, bHH: Int?
    }

    init(_ kind: RecurrentCell.Kind, _ c: RecurrentConfiguration, inputWidth: Int, prefix: String, suffix: String,
         reversed: Bool, layer: Int, place: Int, initializer: InitializerFamily, store: ParameterStore) {
        cell = RecurrentCell(kind, activation: c.activation, recurrentActivation: c.recurrentActivation, resetAfter: c.resetAfter)
        self.reversed = reversed
        self.layer = layer
        self.place = place
        dropoutRate = c.recurrentDropout
        self.store = store
        backend = store.backend
        workspace = Workspace(backend: store.backend)
        hidden = c.units
        stateWidth = c.projection ?? c.units
        let rows = cell.gateCount * c.units
        let keras = initializer == .keras
        let limit = Initializer.uniform(limit: 1 / Double(c.units).squareRoot())
        func parameter(_ role: String, _ shape: Shape, _ kerasStart: Initializer) -> Int {
            store.declare("\(prefix).\(role)_l0\(suffix)", shape, keras ? kerasStart : limit)
        }
        // Glorot sees Keras' kernel [I, G·H] as a whole.
        var numbers = Numbers(wIH: parameter("weight_ih", [rows, inputWidth], .glorotUniform(fanIn: inputWidth, fanOut: rows)),
                              wHH: parameter("weight_hh", [rows, stateWidth], .orthogonal(rows: rows, columns: stateWidth)))
        if c.projection != nil {
            numbers.wHR = parameter("weight_hr", [stateWidth, c.units], .glorotUniform(fanIn: c.units, fanOut: stateWidth))
        }
        if c.bias {
            numbers.bIH = parameter("bias_ih", [rows], kind == .lstm ? .forgetBias(hidden: c.units) : .zeros)
            if c.biases == .two || kind == .gru {
                numbers.bHH = parameter("bias_hh", [rows], .zeros)
            } else {
                store.declareZeroPartner(of: "\(prefix).bias_ih_l0\(suffix)", "\(prefix).bias_hh_l0\(suffix)", [rows])
            }
        }
        self.numbers = numbers
        parameters = [numbers.wIH, numbers.wHH, numbers.wHR, numbers.bIH, numbers.bHH].compactMap { $0 }
    }

    /// Bytes of its tensors.
    var activationBytes: Int { workspace.byteCount }

    private func weights(_ view: (Int) throws -> Tensor) rethrows -> RecurrentWeights {
        RecurrentWeights(wIH: try view(numbers.wIH), wHH: try view(numbers.wHH), wHR: try numbers.wHR.map(view),
                         bIH: try numbers.bIH.map(view), bHH: try numbers.bHH.map(view))
    }

    func forward(_ sequence: SequenceValue, _ context: PassContext) throws {
        let pass = try prepare(sequence, context)
        try drawMask(of: pass)
        try backend.recurrentForward(pass)
    }

    /// Takes some steps of the pass that was prepared; the first ones come first.
    func forward(steps: Range<Int>) throws {
        let part = try part(steps)
        if steps.lowerBound == 0 { try drawMask(of: part) }
        try backend.recurrentForward(part)
    }

    /// The prepared pass, confined to `steps`.
    private func part(_ steps: Range<Int>) throws -> RecurrentPass {
        guard var part = pass else { throw CarouselError(.internalError, "a recurrent layer was asked for steps of a pass it has not prepared") }
        part.steps = steps
        if case .indexed(let rows, _) = part.input {
            part.projection = try workspace.tensor("projection", rows.shape[0], cell.gateCount * hidden)
        }
        return part
    }

    /// The pass over `sequence`, with what it needs before it.
    func prepare(_ sequence: SequenceValue, _ context: PassContext) throws -> RecurrentPass {
        let layout = sequence.layout, n = layout.layout.rows, b = layout.layout.batchSize
        var input = sequence.input
        if reversed {
            switch input {
            case .dense(let x):
                let mirrored = try workspace.tensor("reversed x", x.shape)
                try backend.gather(x, rows: layout.reversedRows, into: mirrored)
                input = .dense(mirrored)
            case .indexed(let rows, _):
                guard let index = sequence.reversedIndex else {
                    throw CarouselError(.internalError, "a reversed layer needs the reversed index of its batch")
                }
                input = .indexed(rows: rows, index: index)
            }
        }
        var activations: RecurrentActivations?
        if context.mode == .training {
            let type = context.keepsReadable ? backend.scalarType : backend.opaqueActivationType(of: cell)
            activations = RecurrentActivations(
                gates: try workspace.tensor("gates", n, cell.gateCount * hidden, type: type),
                previousH: try workspace.tensor("previousH", n, stateWidth, type: type),
                c: cell.kind == .lstm ? try workspace.tensor("c", n, hidden, type: type) : nil,
                candidate: cell.kind == .gru ? try workspace.tensor("candidate", n, hidden, type: type) : nil,
                hidden: numbers.wHR == nil ? nil : try workspace.tensor("hidden", n, hidden, type: type),
                isOpaque: !context.keepsReadable)
        }
        let pass = RecurrentPass(cell: cell, layout: layout, input: input, weights: try weights(store.weight),
                                 mask: try mask(rows: b, context), y: try workspace.tensor("y", n, stateWidth),
                                 hT: try workspace.tensor("hT", b, stateWidth),
                                 cT: cell.kind == .lstm ? try workspace.tensor("cT", b, hidden) : nil,
                                 activations: activations)
        self.pass = pass
        return pass
    }

    /// [B, R] for 0 or 1 / (1 − rate); nil outside of training or without dropout.
    private func mask(rows: Int, _ context: PassContext) throws -> Tensor? {
        guard context.mode == .training, dropoutRate > 0 else { return nil }
        maskKey = context.dropoutKey(layer: layer, part: place)
        return try workspace.tensor("recurrent mask", rows, stateWidth)
    }

    /// Not before the pass begins: passes may be prepared that are not taken.
    private func drawMask(of pass: RecurrentPass) throws {
        guard let mask = pass.mask else { return }
        try backend.fill(mask, with: 1)
        try backend.dropout(mask, into: mask, mask: DropoutMask(rate: dropoutRate, key: maskKey))
    }

    /// Of the last forward pass in training.
    var kept: [KeptTensor] {
        guard let pass else { return [] }
        let rows = KeptTensor.Rows.packed(pass.layout.layout, reversed: reversed)
        let names = switch cell.kind {
        case .rnn: [String]()
        case .lstm: ["i", "f", "g", "o"]
        case .gru: ["r", "z", "n"]
        }
        var tensors: [KeptTensor] = []
        if let activations = pass.activations, !activations.isOpaque {
            tensors.append(KeptTensor("gates", activations.gates, rows, blocks: names))
            if let c = activations.c { tensors.append(KeptTensor("cell state", c, rows)) }
        }
        return tensors + [KeptTensor("state", pass.y, rows)]
    }

    /// Lets go of the last pass.
    func forget() { (pass, gradients) = (nil, nil) }

    /// Of the last forward pass.
    var layout: SequenceLayout? { pass?.layout.layout }

    /// [B, R] of the last forward pass.
    var finalState: Tensor { pass!.hT }

    /// [N, R] of the last forward pass, in the order of the text.
    func outputInTime() throws -> Tensor {
        guard reversed, let pass else { return pass!.y }
        let result = try workspace.tensor("y in time", pass.y.shape)
        try backend.gather(pass.y, rows: pass.layout.reversedRows, into: result)
        return result
    }

    /// Returns the gradient of the input: [N, I], or [U, I] of an indexed one.
    func backward(dOutput: Tensor?, dFinal: Tensor?, wantsInputGradient: Bool) throws -> Tensor? {
        guard let pass, let gradients = try gradients(dOutput, dFinal, wantsInputGradient: wantsInputGradient) else { return nil }
        try backend.recurrentBackward(pass, into: gradients)
        if reversed, case .dense = pass.input, let mirrored = gradients.dInput {
            let inTime = try workspace.tensor("dx in time", mirrored.shape)
            try backend.gather(mirrored, rows: pass.layout.reversedRows, into: inTime)
            return inTime
        }
        return gradients.dInput
    }

    /// Makes what a backward pass in parts needs; not for a reversed direction.
    /// - Returns: where the gradient of the input will be.
    func prepareBackward(dOutput: Tensor?, dFinal: Tensor?, wantsInputGradient: Bool) throws -> Tensor? {
        guard let pass else { return nil }
        gradients = try gradients(dOutput, dFinal, wantsInputGradient: wantsInputGradient)
        gradients?.dh0 = try workspace.tensor("dh", pass.hT.shape)
        gradients?.dc0 = try pass.cT.map { try workspace.tensor("dc", $0.shape) }
        return gradients?.dInput
    }

    /// Takes some steps of the backward pass that was prepared.
    func backward(steps: Range<Int>) throws {
        let part = try part(steps)
        guard let gradients else { throw CarouselError(.internalError, "a recurrent layer was asked for gradients it has not prepared") }
        try backend.recurrentBackward(part, into: gradients)
    }

    private func gradients(_ dOutput: Tensor?, _ dFinal: Tensor?, wantsInputGradient: Bool) throws -> RecurrentGradients? {
        guard let pass else { return nil }
        var dy = dOutput
        if reversed, let dOutput {
            let mirrored = try workspace.tensor("dy", dOutput.shape)
            try backend.gather(dOutput, rows: pass.layout.reversedRows, into: mirrored)
            dy = mirrored
        }
        var dInput: Tensor?
        if wantsInputGradient {
            switch pass.input {
            case .dense(let x): dInput = try workspace.tensor("dx", x.shape)
            case .indexed(let rows, _): dInput = try workspace.tensor("dx", rows.shape)
            }
        }
        return RecurrentGradients(dy: dy, dhT: dFinal, dInput: dInput, weights: try weights(store.gradient), weightsAside: backend.overlaps)
    }
}
