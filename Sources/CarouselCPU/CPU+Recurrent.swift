import CVector
import CarouselCore

/// The recurrent layers: products over all rows here, the time loops in C.
///
/// Forward is one product for the input of all rows (all distinct rows, if indexed) and one time loop in
/// which a worker owns a block of sequences for all steps. Backward is a time loop of the same kind, which
/// turns the kept gates into their gradients, and then one product per weight matrix.
extension CPUBackend {
    /// One product for the input of all rows, then the time loop; errors of `Requirements.forward`.
    public func recurrentForward(_ pass: RecurrentPass) throws {
        try Requirements.forward(pass)
        let width = pass.cell.gateCount * pass.hiddenWidth
        let input = pass.input.values
        // In training a dense projection is computed in place of the gates it becomes.
        let projection: UnsafeMutablePointer<Float>
        if case .dense = pass.input, let gates = pass.activations?.gates {
            projection = try floats(gates)
        } else {
            projection = try scratch(.projection, count: input.shape[0] * width)
        }
        try multiply(cvProduct(
            m: input.shape[0], n: width, k: input.shape[1], a: floats(input), lda: input.shape[1], transposeA: false,
            b: floats(pass.weights.wIH), ldb: input.shape[1], transposeB: true, bias: nil, c: projection, ldc: width,
            accumulate: false, sumsOfA: nil, bfloat16: isBfloat16, storedA: false, storedB: false))
        try withTimeLoop(pass, nil) { loop, scratch in
            loop.projection = UnsafePointer(projection)
            cvRecurrentForward(context, &loop, scratch)
        }
    }

    /// The time loop turns kept gates into gradients, then one product per weight matrix follows.
    public func recurrentBackward(_ pass: RecurrentPass, into gradients: RecurrentGradients) throws {
        try Requirements.backward(pass, gradients)
        try withTimeLoop(pass, gradients) { loop, scratch in cvRecurrentBackward(context, &loop, scratch) }
        guard let activations = pass.activations else { return }
        switch pass.cell.kind {
        case .rnn: try rnnWeightGradients(pass, activations, gradients.weights)
        case .lstm: try lstmWeightGradients(pass, activations, gradients.weights)
        case .gru: try gruWeightGradients(pass, activations, gradients.weights)
        }
        try inputGradients(pass, activations, gradients)
    }

    /// Blocks of sequences, threads they occupy, weights held in cache.
    public func recurrentPlan(cell: RecurrentCell, input: Int, hidden: Int, state: Int, batch: Int) -> String {
        let block = cvRecurrentBlock(context, cell.kind.code, hidden, state, batch)
        let blocks = block > 0 ? (batch + block - 1) / block : 0
        let bytes = cell.gateCount * hidden * state * 4
        let size = bytes < 1 << 20 ? "\((bytes + 1023) / 1024) KiB" : "\((bytes + (1 << 19)) >> 20) MiB"
        var plan = "rows: \(blocks) block\(blocks == 1 ? "" : "s") of \(min(block, batch)) sequences on "
            + "\(min(blocks, threads)) of \(threads) threads for all steps, "
            + "\(size) of recurrent weights packed once per call, \(instructions.name) with fused gates"
        if cell.kind == .gru && !cell.resetAfter { plan += ", two recurrent products per step (reset before)" }
        if state != hidden { plan += ", projected state" }
        return plan
    }

    // MARK: Parts of the calls

    /// Describes the time loop of `pass` to C and lends it scratch memory.
    private func withTimeLoop(_ pass: RecurrentPass, _ gradients: RecurrentGradients?,
                              _ body: (inout cvRecurrent, UnsafeMutablePointer<Float>) -> Void) throws {
        let layout = pass.layout.layout
        try layout.lengths.withUnsafeBufferPointer { lengths in
            try layout.activeRows.withUnsafeBufferPointer { active in
                try layout.offsets.withUnsafeBufferPointer { offsets in
                    var loop = cvRecurrent()
                    loop.kind = pass.cell.kind.code
                    loop.activation = pass.cell.activation.code
                    loop.recurrentActivation = pass.cell.recurrentActivation.code
                    loop.resetAfter = pass.cell.resetAfter
                    loop.bfloat16 = isBfloat16
                    loop.compact = keepsCompact(pass)
                    loop.gatesLd = gatesPitch(pass)
                    loop.batch = layout.batchSize
                    loop.steps = layout.steps
                    loop.hidden = pass.hiddenWidth
                    loop.state = pass.weights.stateWidth
                    loop.lengths = lengths.baseAddress
                    loop.active = active.baseAddress
                    loop.offsets = offsets.baseAddress
                    try setOperands(of: &loop, pass)
                    if let gradients { try setGradients(of: &loop, pass, gradients) }
                    let scratch = try scratch(.kernel, count: cvRecurrentScratch(context, &loop))
                    body(&loop, scratch)
                }
            }
        }
    }

    private func setOperands(of loop: inout cvRecurrent, _ pass: RecurrentPass) throws {
        loop.wHH = try UnsafePointer(floats(pass.weights.wHH))
        loop.wHR = try UnsafePointer(floats(pass.weights.wHR))
        loop.bIH = try UnsafePointer(floats(pass.weights.bIH))
        loop.bHH = try UnsafePointer(floats(pass.weights.bHH))
        loop.h0 = try UnsafePointer(floats(pass.h0))
        loop.c0 = try UnsafePointer(floats(pass.c0))
        loop.mask = try UnsafePointer(floats(pass.mask))
        loop.y = try floats(pass.y)
        loop.hT = try floats(pass.hT)
        loop.cT = try floats(pass.cT)
        if case .indexed(_, let index) = pass.input { loop.positions = try UnsafePointer(integers(index.positions)) }
        guard let activations = pass.activations else { return }
        loop.gates = try floats(activations.gates)
        loop.previousH = try floats(activations.previousH)
        loop.c = pass.cell.kind == .lstm ? try floats(activations.c) : nil
        loop.candidate = pass.cell.kind == .gru ? try floats(activations.candidate) : nil
        loop.projected = pass.weights.wHR != nil ? try floats(activations.hidden) : nil
    }

    private func setGradients(of loop: inout cvRecurrent, _ pass: RecurrentPass, _ gradients: RecurrentGradients) throws {
        loop.dy = try UnsafePointer(floats(gradients.dy))
        loop.dhT = try UnsafePointer(floats(gradients.dhT))
        loop.dcT = try UnsafePointer(floats(gradients.dcT))
        loop.dh0 = try floats(gradients.dh0)
        loop.dc0 = pass.cell.kind == .lstm ? try floats(gradients.dc0) : nil
        if pass.weights.wHR != nil {
            loop.dhAll = try scratch(.state, count: pass.layout.layout.rows * pass.weights.stateWidth)
        }
    }

    // MARK: What is kept

    /// In bfloat16, for the usual cells: see `keepsCompact`.
    public var keepsCompactActivations: Bool { isBfloat16 }

    /// Whether the activations take 16 bits a number: where the caller leaves their form to the backend, products round their
    /// operands anyway, and the gates have bounds. See `cvRecurrent.compact`.
    private func keepsCompact(_ pass: RecurrentPass) -> Bool {
        let cell = pass.cell
        guard isBfloat16, pass.activations?.isOpaque == true, cell.activation == .tanh else { return false }
        return cell.kind == .rnn || cell.recurrentActivation == .sigmoid && (cell.kind == .lstm || cell.resetAfter)
    }

    /// Floats from a row of gates to the next. A dense projection lies where they will, so its rows keep their places.
    private func gatesPitch(_ pass: RecurrentPass) -> Int {
        let width = pass.cell.gateCount * pass.hiddenWidth
        if case .dense = pass.input { return width }
        return keepsCompact(pass) ? (width + 1) / 2 : width
    }

    /// [N, G·H]: the gates, after the time loop of the backward pass their gradients.
    func gateRows(_ pass: RecurrentPass, _ activations: RecurrentActivations) throws -> OperandRows {
        try OperandRows(base: floats(activations.gates), pitch: gatesPitch(pass), isBfloat16: keepsCompact(pass))
    }

    /// The rows of `previousH` or `candidate`.
    func keptRows(_ pass: RecurrentPass, _ kept: Tensor) throws -> OperandRows {
        let width = kept.shape[1], isCompact = keepsCompact(pass)
        return try OperandRows(base: floats(kept), pitch: isCompact ? (width + 1) / 2 : width, isBfloat16: isCompact)
    }

    // MARK: Products

    /// dW (+=) of columns `columns` of the row gradients d against the rows x: d^T · x. The sums of the columns, which the
    /// product meets in passing, are added to both biases.
    func addWeightGradient(_ d: OperandRows, columns: Int, rows: Int, _ x: OperandRows,
                           width: Int, into target: UnsafeMutablePointer<Float>, bIH: UnsafeMutablePointer<Float>? = nil,
                           bHH: UnsafeMutablePointer<Float>? = nil) throws {
        var product = cvProduct(m: columns, n: width, k: rows, a: d.base, lda: d.pitch, transposeA: true, b: x.base, ldb: x.pitch,
                                transposeB: false, bias: nil, c: target, ldc: width, accumulate: true, sumsOfA: bIH ?? bHH,
                                bfloat16: isBfloat16, storedA: d.isBfloat16, storedB: x.isBfloat16)
        guard let bIH, let bHH else { return try multiply(product) }
        let sums = try scratch(.sums, count: columns)
        product.sumsOfA = sums
        cvFill(context, columns, 0, sums)
        try multiply(product)
        cvCopyColumns(context, 1, columns, 1, sums, columns, bIH, columns, true)
        cvCopyColumns(context, 1, columns, 1, sums, columns, bHH, columns, true)
    }

    /// Gradients of W_ih and of the input; indexed rows first collect the sums over their references.
    private func inputGradients(_ pass: RecurrentPass, _ activations: RecurrentActivations,
                                _ gradients: RecurrentGradients) throws {
        let width = pass.cell.gateCount * pass.hiddenWidth
        let input = pass.input.values
        var d = try gateRows(pass, activations)
        if case .indexed(_, let index) = pass.input {
            let sums = try scratch(.segments, count: index.distinctCount * width)
            try segmentSums(d, width: width, index: index, into: sums)
            d = OperandRows(base: sums, pitch: width)
        }
        try addWeightGradient(d, columns: width, rows: input.shape[0], OperandRows(base: floats(input), pitch: input.shape[1]),
                              width: input.shape[1], into: floats(gradients.weights.wIH))
        guard let dInput = gradients.dInput else { return }
        try multiply(cvProduct(
            m: input.shape[0], n: input.shape[1], k: width, a: d.base, lda: d.pitch, transposeA: false,
            b: floats(pass.weights.wIH), ldb: input.shape[1], transposeB: false, bias: nil, c: floats(dInput),
            ldc: input.shape[1], accumulate: false, sumsOfA: nil, bfloat16: isBfloat16, storedA: d.isBfloat16, storedB: false))
    }
}

extension RecurrentCell.Kind {
    /// The number the C loops know it by.
    var code: Int32 {
        switch self {
        case .rnn: Int32(cvRNN)
        case .lstm: Int32(cvLSTM)
        case .gru: Int32(cvGRU)
        }
    }
}
