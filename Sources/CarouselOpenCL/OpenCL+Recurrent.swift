import CarouselCore

/// What a forward pass of any cell starts from.
struct RecurrentOperands {
    /// W_ih x without biases: [·, G·H] from packed row `firstRow` on, or [U, G·H] for an indexed input.
    let projection: Tensor
    let firstRow: Int
    /// Row of `projection` for each packed row; nil = packed rows.
    let positions: Tensor?
    /// [G·H] biases that are added to a + u, then those kept apart ([H], GRU with `resetAfter`).
    let bias: Tensor

    /// What the kernel of a step starts from; `row` is the step's first.
    func arguments(from row: Int) -> [KernelArgument] {
        let projection = positions == nil ? projection.dropping((row - firstRow) * projection.shape[1]) : projection
        return [.tensor(projection), .optional(positions), .tensor(bias)]
    }
}

/// Columns of a gradient [N, ·] that belong to rows of W_hh, with what W_hh multiplied there.
struct RecurrentGradientPart {
    let gradient: Tensor
    let stride: Int
    let firstColumn: Int
    let width: Int
    /// [N, R], masked if there is a mask.
    let multiplied: Tensor
}

extension OpenCLBackend {
    public func recurrentForward(_ pass: RecurrentPass) throws {
        try Requirements.forward(pass, inParts: takesParts)
        // hT and cT are the running states: rows past their sequence's end keep the final one.
        if pass.stepRange.lowerBound == 0 {
            try copy(pass.h0, to: pass.hT)
            if let cT = pass.cT { try copy(pass.c0, to: cT) }
        }
        guard pass.layout.layout.rows > 0 else { return }
        let operands = try recurrentOperands(pass)
        if family == .gpu {
            try maskFirstStates(pass)
            let plan = chooseRecurrentPlan(pass)
            if plan != .stepwise { return try unitsForward(pass, operands, persistent: plan == .persistent) }
        }
        switch pass.cell.kind {
        case .rnn: try rnnForward(pass, operands)
        case .lstm: try lstmForward(pass, operands)
        case .gru: try gruForward(pass, operands)
        }
    }

    public func recurrentBackward(_ pass: RecurrentPass, into gradients: RecurrentGradients) throws {
        try Requirements.backward(pass, gradients, inParts: takesParts)
        let isFirst = pass.stepRange.upperBound == pass.layout.layout.steps
        guard let kept = pass.activations else { return }
        let batch = pass.layout.layout.batchSize
        // dh flows backwards in `carry`, which starts as the gradient of the final state.
        let carry = try gradients.dh0 ?? makeTensor(shape: [batch, pass.weights.stateWidth])
        if isFirst { try copy(gradients.dhT, to: carry) }
        var cellCarry: Tensor?
        if pass.cell.kind == .lstm {
            let tensor = try gradients.dc0 ?? makeTensor(shape: [batch, pass.hiddenWidth])
            if isFirst { try copy(gradients.dcT, to: tensor) }
            cellCarry = tensor
        }
        guard pass.layout.layout.rows > 0 else {
            if let dInput = gradients.dInput { try fill(dInput, with: 0) }
            return
        }
        let parts: [RecurrentGradientPart]
        switch pass.cell.kind {
        case .rnn: parts = try rnnBackward(pass, kept, gradients, carry: carry)
        case .lstm: parts = try lstmBackward(pass, kept, gradients, carry: carry, cellCarry: cellCarry ?? carry)
        case .gru: parts = try gruBackward(pass, kept, gradients, carry: carry)
        }
        try finishGradients(pass, kept, gradients, parts)
    }

    public func recurrentPlan(cell: RecurrentCell, input: Int, hidden: Int, state: Int, batch: Int) -> String {
        switch family {
        case .gpu: return describeRecurrentPlan(cell, hidden: hidden, batch: batch, projected: cell.kind == .lstm && state != hidden)
        case .cpu:
            let weights = cell.gateCount * hidden * state * 4
            let block = tuning.blockRows
            return "rows (cpu kernels): one launch per sequence, \(block)-row blocks in \((batch + block - 1) / block) "
                + "work-groups, \(weights / 1024) KB of recurrent weights packed in 32-column panels"
        }
    }

    /// In lower precision, by the gpu kernels, for the usual cells: see `opaqueActivationType`.
    public var keepsCompactActivations: Bool { family == .gpu && precision != .float32 }

    /// 16 bits where products round their operands anyway and the gates have bounds (`COMPACT` in `common.cl`).
    public func opaqueActivationType(of cell: RecurrentCell) -> ElementType {
        let isBounded = cell.activation == .tanh && (cell.kind == .rnn || cell.recurrentActivation == .sigmoid)
        return keepsCompactActivations && isBounded ? .bits16 : .float32
    }

    /// Whether a recurrent call may take some of the steps: the cpu kernels take all in one launch.
    private var takesParts: Bool { family == .gpu }

    /// The steps of a call that the stepwise plan launches one by one. Steps with equally many rows need the same memory, so a
    /// planner takes the first of them.
    func launchedSteps(_ pass: RecurrentPass) -> [Int] {
        let steps = pass.stepRange, rows = pass.layout.layout.activeRows
        return steps.filter { holdsValues || $0 == steps.lowerBound || rows[$0] != rows[$0 - 1] }
    }

    /// The packed rows of a call's steps.
    private func packedRows(_ pass: RecurrentPass) -> Range<Int> {
        let offsets = pass.layout.layout.offsets, steps = pass.stepRange
        return offsets[steps.lowerBound] ..< offsets[steps.upperBound]
    }

    /// y [·, ·] = x [N, K] · op(w) for the rows of a call's steps, each to the bits it has in a product of all rows.
    private func project(_ x: Tensor, _ w: Tensor, transpose: Bool, into y: Tensor, of pass: RecurrentPass) throws {
        let rows = packedRows(pass), k = x.shape[1], n = y.shape[1]
        try multiply(StridedProduct(a: x.rows(rows), strideA: k, b: w, strideB: w.shape[1], transposeB: transpose, c: y, strideC: n,
                                    m: rows.count, n: n, k: k, wholeM: x.shape[0]))
    }

    /// Work-groups of the `rows` plan for a batch. Sequences without steps lie at the end and need none.
    func rowGroups(_ pass: RecurrentPass) -> Int {
        ((pass.layout.layout.activeRows.first ?? 0) + tuning.blockRows - 1) / tuning.blockRows
    }

    /// What W_hh multiplies in the step whose first row is `row`, forward: the running states, or the masked ones that the step before
    /// has kept.
    func multiplied(_ pass: RecurrentPass, from row: Int) -> Tensor {
        guard pass.mask != nil, let kept = pass.activations?.previousH else { return pass.hT }
        return kept.dropping(row * pass.weights.stateWidth)
    }

    /// [·, R] h(t − 1) of the sequences in step t, on the way back; nil = zero.
    func statesBefore(_ t: Int, _ pass: RecurrentPass) -> Tensor? {
        t > 0 ? pass.y.dropping(pass.layout.layout.offsets[t - 1] * pass.weights.stateWidth) : pass.h0
    }

    /// Sequences that have a step after step t.
    func running(after t: Int, _ layout: SequenceLayout) -> Int { t + 1 < layout.steps ? layout.activeRows[t + 1] : 0 }

    /// Sequences whose carried gradient the kernel of step t has yet to mask: those with a step after it in this call. Behind the last
    /// kernel of a call the host does it.
    func unmasked(before t: Int, _ pass: RecurrentPass) -> Int { t + 1 < pass.stepRange.upperBound ? pass.layout.layout.activeRows[t + 1] : 0 }

    /// What W_hh multiplies in the first step, where there is a mask. The kernels of a step write that of the next.
    private func maskFirstStates(_ pass: RecurrentPass) throws {
        guard pass.stepRange.lowerBound == 0, let mask = pass.mask, let kept = pass.activations?.previousH else { return }
        let first = 0..<(pass.layout.layout.activeRows.first ?? 0)
        try keep(pass.h0?.rows(first), maskedBy: mask, in: kept.rows(first))
    }

    /// The states [B_t, R] of a step, masked if there is a mask, in rows of `previousH`.
    /// - Parameter states: nil = zero.
    func keep(_ states: Tensor?, maskedBy mask: Tensor?, in kept: Tensor) throws {
        if kept.type == .bits16 {
            try launch(.storeOperands, count: kept.count, [.optional(states), .optional(mask), .tensor(kept), .count(kept.count)])
        } else if let states, let mask {
            try multiply(mask.rows(0..<states.shape[0]), states, into: kept, accumulate: false)
        } else {
            try copy(states, to: kept)
        }
    }

    /// The gradients of the first `rows` states from those of what W_hh multiplied.
    func maskCarry(_ pass: RecurrentPass, _ carry: Tensor, rows: Int) throws {
        guard let mask = pass.mask else { return }
        try multiply(mask.rows(0..<rows), carry.rows(0..<rows), into: carry.rows(0..<rows), accumulate: false)
    }

    func defines(_ pass: RecurrentPass) -> KernelDefines {
        let cell = cellDefines(pass)
        return pass.activations?.gates.type == .bits16 ? cell + ["COMPACT": 1] : cell
    }

    private func cellDefines(_ pass: RecurrentPass) -> KernelDefines {
        let cell = pass.cell
        // The stepwise kernels have no blocks: one program serves all rows of the table.
        let block = (family == .cpu ? tuning : Tuning.table[0]).blockRows
        switch cell.kind {
        case .rnn: return ["ACTIVATION": cell.activation.kernelNumber, "BLOCK_ROWS": block]
        case .lstm:
            return ["ACTIVATION": cell.activation.kernelNumber,
                    "RECURRENT_ACTIVATION": cell.recurrentActivation.kernelNumber,
                    "PROJECTED": pass.weights.wHR == nil ? 0 : 1, "BLOCK_ROWS": block]
        case .gru:
            return ["ACTIVATION": cell.activation.kernelNumber,
                    "RECURRENT_ACTIVATION": cell.recurrentActivation.kernelNumber,
                    "RESET_AFTER": cell.resetAfter ? 1 : 0, "BLOCK_ROWS": block]
        }
    }

    /// The input's projection, once per distinct row, and the biases in one vector.
    private func recurrentOperands(_ pass: RecurrentPass) throws -> RecurrentOperands {
        let width = pass.cell.gateCount * pass.hiddenWidth
        let positions: Tensor?, projection: Tensor
        var firstRow = 0
        switch pass.input {
        case .dense(let x):
            positions = nil
            if let gates = pass.activations?.gates, gates.type != .bits16 {
                // The cell kernels read a row before they write it, so gates can start as the projection.
                projection = gates
                try project(x, pass.weights.wIH, transpose: true, into: gates.rows(packedRows(pass)), of: pass)
            } else {
                let rows = packedRows(pass)
                firstRow = rows.lowerBound
                projection = try makeTensor(shape: [rows.count, width])
                try project(x, pass.weights.wIH, transpose: true, into: projection, of: pass)
            }
        case .indexed(let table, let index):
            positions = index.positions
            projection = try pass.projection ?? makeTensor(shape: [index.distinctCount, width])
            if pass.stepRange.lowerBound == 0 {
                try multiply(MatrixProduct(table, pass.weights.wIH, transposeB: true, into: projection))
            }
        }
        let keepsCandidateApart = pass.cell.kind == .gru && pass.cell.resetAfter
        let shared = keepsCandidateApart ? width - pass.hiddenWidth : width
        let bias = try makeTensor(shape: [2 * width - shared])
        try launch(.combineBiases, count: bias.count,
                   [.optional(pass.weights.bIH), .optional(pass.weights.bHH), .tensor(bias), .int(width), .int(shared)])
        return RecurrentOperands(projection: projection, firstRow: firstRow, positions: positions, bias: bias)
    }

    /// After the steps: the gradient of the input, and after the first step every gradient of weights as one product over all
    /// rows, aside where that is allowed.
    private func finishGradients(_ pass: RecurrentPass, _ kept: RecurrentActivations, _ gradients: RecurrentGradients,
                                 _ parts: [RecurrentGradientPart]) throws {
        if case .dense = pass.input, let dInput = gradients.dInput {
            try project(kept.gates, pass.weights.wIH, transpose: false, into: dInput.rows(packedRows(pass)), of: pass)
        }
        guard pass.stepRange.lowerBound == 0 else { return }
        func aside(_ body: () throws -> Void) throws { try gradients.weightsAside ? self.aside(body) : body() }
        try aside { try recurrentWeightGradients(pass, gradients, parts) }
        let rows: Tensor, rowGradients: Tensor
        switch pass.input {
        case .dense(let x):
            rows = x
            rowGradients = kept.gates
        case .indexed(let table, let index):
            rows = table
            rowGradients = try makeTensor(shape: [index.distinctCount, pass.cell.gateCount * pass.hiddenWidth])
            // Aside as well where nobody but the weights waits for them.
            if gradients.dInput != nil { try segmentSums(of: kept.gates, index: index, into: rowGradients) }
        }
        try aside {
            if case .indexed(_, let index) = pass.input, gradients.dInput == nil {
                try segmentSums(of: kept.gates, index: index, into: rowGradients)
            }
            if let bIH = gradients.weights.bIH { try columnSums(of: rowGradients, into: bIH, accumulate: true) }
            try multiply(MatrixProduct(rowGradients, transposeA: true, rows, into: gradients.weights.wIH, accumulate: true))
        }
        if case .indexed = pass.input, let dInput = gradients.dInput {
            try multiply(MatrixProduct(rowGradients, pass.weights.wIH, into: dInput))
        }
    }

    /// Of W_hh and b_hh.
    private func recurrentWeightGradients(_ pass: RecurrentPass, _ gradients: RecurrentGradients, _ parts: [RecurrentGradientPart]) throws {
        let n = pass.layout.layout.rows, r = pass.weights.stateWidth
        var firstRow = 0
        for part in parts {
            let columns = part.gradient.dropping(part.firstColumn)
            try multiply(StridedProduct(a: columns, strideA: part.stride, transposeA: true, b: part.multiplied, strideB: r,
                                        c: gradients.weights.wHH.dropping(firstRow * r), strideC: r, m: part.width, n: r,
                                        k: n, accumulate: true))
            if let bHH = gradients.weights.bHH {
                try columnSums(of: columns, rows: n, columns: part.width, stride: part.stride,
                               into: bHH.dropping(firstRow), accumulate: true)
            }
            firstRow += part.width
        }
    }
}
