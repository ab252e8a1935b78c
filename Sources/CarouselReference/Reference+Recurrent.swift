import CarouselCore

extension ReferenceBackend {
    public func recurrentForward(_ pass: RecurrentPass) throws {
        try Requirements.forward(pass)
        let rows = try LayerRows(pass, on: self)
        defer { rows.deallocate() }
        let layout = pass.layout.layout
        let H = pass.hiddenWidth, R = pass.weights.stateWidth
        let y = try doubles(pass.y), h0 = try doubles(pass.h0), c0 = try doubles(pass.c0), mask = try doubles(pass.mask)
        // hT and cT hold the running state of every sequence; a sequence that has ended keeps its own.
        let hT = try doubles(pass.hT), cT = try doubles(pass.cT)
        for i in 0..<layout.batchSize * R { hT[i] = h0?[i] ?? 0 }
        if let cT { for i in 0..<layout.batchSize * H { cT[i] = c0?[i] ?? 0 } }

        for t in 0..<layout.steps {
            for b in 0..<layout.activeRows[t] {
                let n = layout.row(step: t, sequence: b)
                var step = rows.step(n)
                for k in 0..<R { step.previousH[k] = hT[b * R + k] }
                step.mask = mask.map { $0 + b * R }
                step.h = hT + b * R
                if let cT { step.previousC = cT + b * H }
                rows.cell.forward(step)
                kinkWatch?.observe(rows.cell, step)
                for k in 0..<R { y[n * R + k] = step.h[k] }
                if let cT { for j in 0..<H { cT[b * H + j] = step.c[j] } }
            }
        }
    }

    public func recurrentBackward(_ pass: RecurrentPass, into gradients: RecurrentGradients) throws {
        try Requirements.backward(pass, gradients)
        let rows = try LayerRows(pass, on: self)
        defer { rows.deallocate() }
        let layout = pass.layout.layout
        let B = layout.batchSize, H = pass.hiddenWidth, R = pass.weights.stateWidth, I = pass.input.width
        let dy = try doubles(gradients.dy), dhT = try doubles(gradients.dhT), dcT = try doubles(gradients.dcT)
        let dInput = try doubles(gradients.dInput), h0 = try doubles(pass.h0), c0 = try doubles(pass.c0)
        let y = try doubles(pass.y), mask = try doubles(pass.mask)
        let dWeights = try pointers(gradients.weights)
        // The running gradients of every sequence's state.
        var dh = [Double](repeating: 0, count: max(B * R, 1)), dc = [Double](repeating: 0, count: max(B * H, 1))
        let zeros = [Double](repeating: 0, count: max(H, R, 1))
        // Of an indexed input, products see the sums per distinct row: rounding them differs from rounding their terms.
        let width = pass.cell.gateCount * H, distinct = rows.isIndexed ? pass.input.values.shape[0] : 0
        let sums = Doubles.allocate(capacity: max(distinct * width, 1))
        defer { sums.deallocate() }
        for i in 0..<distinct * width { sums[i] = 0 }
        for i in 0..<B * R { dh[i] = dhT?[i] ?? 0 }
        for i in 0..<B * H { dc[i] = dcT?[i] ?? 0 }
        if let dInput, let target = gradients.dInput { for i in 0..<target.count { dInput[i] = 0 } }

        dh.withUnsafeMutableBufferPointer { dh in
            dc.withUnsafeMutableBufferPointer { dc in
                zeros.withUnsafeBufferPointer { zeros in
                    guard let dh = dh.baseAddress, let dc = dc.baseAddress, let zeros = zeros.baseAddress.map(Doubles.init(mutating:)) else { return }
                    for t in stride(from: layout.steps - 1, through: 0, by: -1) {
                        for b in 0..<layout.activeRows[t] {
                            let n = layout.row(step: t, sequence: b)
                            var step = rows.step(n)
                            if t > 0 {
                                let before = layout.row(step: t - 1, sequence: b)
                                step.previousH = y + before * R
                                step.previousC = rows.step(before).c
                            } else {
                                step.previousH = h0.map { $0 + b * R } ?? zeros
                                step.previousC = c0.map { $0 + b * H } ?? zeros
                            }
                            step.mask = mask.map { $0 + b * R }
                            if let dy { for k in 0..<R { dh[b * R + k] += dy[n * R + k] } }
                            let flow = CellGradientStep(dh: dh + b * R, dc: dc + b * H,
                                                        dx: dInput.map { $0 + rows.inputRow(n) * I },
                                                        inputSums: rows.isIndexed ? sums + rows.inputRow(n) * width : nil)
                            rows.cell.backward(step, flow, into: dWeights)
                        }
                    }
                }
            }
        }
        for row in 0..<distinct {
            for j in 0..<width {
                rows.cell.inputGradients(sums[row * width + j], row: j, rows.input + row * I, dInput.map { $0 + row * I }, into: dWeights.wIH)
            }
        }
        if let dh0 = try doubles(gradients.dh0) { for i in 0..<B * R { dh0[i] = dh[i] } }
        if let dc0 = try doubles(gradients.dc0) { for i in 0..<B * H { dc0[i] = dc[i] } }
    }

    public func recurrentPlan(cell: RecurrentCell, input: Int, hidden: Int, state: Int, batch: Int) -> String {
        "reference: one step of one sequence at a time, float64"
    }

    fileprivate func pointers(_ weights: RecurrentWeights) throws -> CellWeights {
        CellWeights(wIH: try doubles(weights.wIH), wHH: try doubles(weights.wHH), wHR: try doubles(weights.wHR),
                    bIH: try doubles(weights.bIH), bHH: try doubles(weights.bHH))
    }
}

/// Finds the rows of a pass; in inference every step shares one scratch row.
private struct LayerRows {
    let cell: ReferenceCell
    /// [N, I] or [U, I]
    let input: Doubles
    private let positions: UnsafeMutablePointer<Int32>?
    private let gates: Doubles?
    private let previousH: Doubles?
    private let c: Doubles?
    private let candidate: Doubles?
    private let hidden: Doubles?
    private let scratch: Doubles
    private let gateWidth: Int
    /// Width of one scratch row: holds an H or an R.
    private let width: Int

    init(_ pass: RecurrentPass, on backend: ReferenceBackend) throws {
        switch pass.input {
        case .dense(let x): (input, positions) = (try backend.doubles(x), nil)
        case .indexed(let rows, let index): (input, positions) = (try backend.doubles(rows), try backend.integers(index.positions))
        }
        gates = try backend.doubles(pass.activations?.gates)
        previousH = try backend.doubles(pass.activations?.previousH)
        c = try backend.doubles(pass.activations?.c)
        candidate = try backend.doubles(pass.activations?.candidate)
        hidden = try backend.doubles(pass.activations?.hidden)
        let weights = try backend.pointers(pass.weights)
        gateWidth = pass.cell.gateCount * pass.hiddenWidth
        width = max(pass.hiddenWidth, pass.weights.stateWidth)
        scratch = Doubles.allocate(capacity: 3 * gateWidth + 8 * width)
        cell = ReferenceCell(cell: pass.cell, weights: weights, inputWidth: pass.input.width, hiddenWidth: pass.hiddenWidth,
                             stateWidth: pass.weights.stateWidth, rounding: backend.rounding, a: scratch, u: scratch + gateWidth,
                             direct: scratch + 3 * gateWidth, inner: scratch + 3 * gateWidth + width,
                             through: scratch + 3 * gateWidth + 2 * width)
    }

    func deallocate() { scratch.deallocate() }

    var isIndexed: Bool { positions != nil }

    /// Row of the dense input, or of the distinct rows.
    func inputRow(_ n: Int) -> Int { positions.map { Int($0[n]) } ?? n }

    /// The rows of packed row `n`; the caller sets `previousH` backward, `mask`, `h`, and `previousC` of an LSTM.
    func step(_ n: Int) -> CellStep {
        let rest = scratch + 3 * gateWidth + 3 * width
        let H = cell.hiddenWidth
        return CellStep(x: input + inputRow(n) * cell.inputWidth,
                        previousH: rest + 4 * width,
                        mask: nil,
                        maskedH: previousH.map { $0 + n * cell.stateWidth } ?? rest,
                        previousC: rest + width,
                        gates: gates.map { $0 + n * gateWidth } ?? scratch + 2 * gateWidth,
                        c: c.map { $0 + n * H } ?? rest + width,
                        candidate: candidate.map { $0 + n * H } ?? rest + 2 * width,
                        hidden: hidden.map { $0 + n * H } ?? rest + 3 * width,
                        h: rest)
    }
}
