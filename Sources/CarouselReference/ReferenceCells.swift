import CarouselCore

/// One step of one sequence: what a cell reads, produces and keeps. All pointers are rows.
struct CellStep {
    /// [I]
    var x: Doubles
    /// [R] h(t − 1)
    var previousH: Doubles
    /// [R] the factors of h(t − 1) in recurrent products; nil = none.
    var mask: Doubles?
    /// [R] what W_hh multiplies: h(t − 1), masked.
    var maskedH: Doubles
    /// [H] c(t − 1), LSTM only.
    var previousC: Doubles
    /// [G·H] activated gates.
    var gates: Doubles
    /// [H] LSTM: c.
    var c: Doubles
    /// [H] GRU: W_hn h + b_hn if reset after, else r ⊙ h(t − 1), masked.
    var candidate: Doubles
    /// [H] LSTM: o ⊙ f(c).
    var hidden: Doubles
    /// [R] h(t).
    var h: Doubles
}

/// One step backward: the gradients of h(t) and c(t) come in and leave as those of h(t − 1) and c(t − 1).
struct CellGradientStep {
    /// [R]
    var dh: Doubles
    /// [H], LSTM only.
    var dc: Doubles
    /// [I] +=; nil = not wanted.
    var dx: Doubles?
    /// [G·H] += the gradient of a, of whose sums the caller makes the gradients of W_ih and x; nil = they are made here.
    var inputSums: Doubles?
}

/// The weights of a layer as pointers; also used for their gradients.
struct CellWeights {
    var wIH: Doubles
    var wHH: Doubles
    var wHR: Doubles?
    var bIH: Doubles?
    var bHH: Doubles?
}

/// The cells' formulas (see `RecurrentPass`), one gate per line.
struct ReferenceCell {
    let cell: RecurrentCell
    let weights: CellWeights
    /// I
    let inputWidth: Int
    /// H
    let hiddenWidth: Int
    /// R
    let stateWidth: Int
    /// Of the operands of products.
    let rounding: OperandRounding
    /// Scratch [G·H]: a = W_ih x + b_ih forward, its gradient backward.
    let a: Doubles
    /// Scratch [G·H]: u = W_hh h(t − 1) + b_hh forward, its gradient backward.
    let u: Doubles
    /// Scratch [max(H, R)]: the part of dh(t − 1) that does not pass through W_hh.
    let direct: Doubles
    /// Scratch [max(H, R)]: gradient of o ⊙ f(c), or of r ⊙ h(t − 1).
    let inner: Doubles
    /// Scratch [R]: the gradient of what W_hh multiplies.
    let through: Doubles

    private func f(_ x: Double) -> Double { value(of: cell.activation, at: x) }
    private func σ(_ x: Double) -> Double { value(of: cell.recurrentActivation, at: x) }
    private func df(_ y: Double) -> Double { slope(of: cell.activation, result: y) }
    private func dσ(_ y: Double) -> Double { slope(of: cell.recurrentActivation, result: y) }

    // MARK: forward

    func forward(_ s: CellStep) {
        for k in 0..<stateWidth { s.maskedH[k] = s.previousH[k] * (s.mask?[k] ?? 1) }
        for j in 0..<cell.gateCount * hiddenWidth {
            a[j] = dot(weights.wIH + j * inputWidth, s.x, inputWidth, in: rounding) + (weights.bIH?[j] ?? 0)
            u[j] = dot(weights.wHH + j * stateWidth, s.maskedH, stateWidth, in: rounding) + (weights.bHH?[j] ?? 0)
        }
        switch cell.kind {
        case .rnn: forwardRNN(s)
        case .lstm: forwardLSTM(s)
        case .gru: forwardGRU(s)
        }
    }

    private func forwardRNN(_ s: CellStep) {
        for j in 0..<hiddenWidth {
            s.gates[j] = f(a[j] + u[j])
            s.h[j] = s.gates[j]
        }
    }

    private func forwardLSTM(_ s: CellStep) {
        let H = hiddenWidth
        for j in 0..<H {
            let i = σ(a[j] + u[j])
            let forget = σ(a[H + j] + u[H + j])
            let g = f(a[2 * H + j] + u[2 * H + j])
            let o = σ(a[3 * H + j] + u[3 * H + j])
            s.gates[j] = i
            s.gates[H + j] = forget
            s.gates[2 * H + j] = g
            s.gates[3 * H + j] = o
            s.c[j] = forget * s.previousC[j] + i * g
            s.hidden[j] = o * f(s.c[j])
        }
        for k in 0..<stateWidth {
            s.h[k] = weights.wHR.map { dot($0 + k * H, s.hidden, H, in: rounding) } ?? s.hidden[k]
        }
    }

    private func forwardGRU(_ s: CellStep) {
        let H = hiddenWidth
        for j in 0..<H {
            let r = σ(a[j] + u[j])
            let z = σ(a[H + j] + u[H + j])
            s.gates[j] = r
            s.gates[H + j] = z
            s.candidate[j] = cell.resetAfter ? u[2 * H + j] : r * s.maskedH[j]
        }
        for j in 0..<H {
            let z = s.gates[H + j]
            let n = f(a[2 * H + j] + recurrentPartOfCandidate(s, j))
            s.gates[2 * H + j] = n
            s.h[j] = z * s.previousH[j] + (1 - z) * n
        }
    }

    /// GRU: r ⊙ (W_hn h + b_hn) if reset after, else W_hn (r ⊙ h) + b_hn; r and the candidate are known.
    func recurrentPartOfCandidate(_ s: CellStep, _ j: Int) -> Double {
        let row = 2 * hiddenWidth + j
        return cell.resetAfter
            ? s.gates[j] * s.candidate[j]
            : dot(weights.wHH + row * hiddenWidth, s.candidate, hiddenWidth, in: rounding) + (weights.bHH?[row] ?? 0)
    }

    // MARK: backward

    /// Leaves the gradients of a and u in the scratch rows, then adds to those of the weights.
    func backward(_ s: CellStep, _ g: CellGradientStep, into gradients: CellWeights) {
        for k in 0..<stateWidth {
            direct[k] = 0
            through[k] = 0
        }
        switch cell.kind {
        case .rnn: backwardRNN(s, g)
        case .lstm: backwardLSTM(s, g, into: gradients)
        case .gru: backwardGRU(s, g)
        }
        for j in 0..<cell.gateCount * hiddenWidth {
            // In a GRU with reset before, W_hn multiplies r ⊙ h(t − 1), whose gradient is already in `direct`.
            let resetBefore = cell.kind == .gru && !cell.resetAfter && j >= 2 * hiddenWidth
            if let sums = g.inputSums { sums[j] += a[j] } else { inputGradients(a[j], row: j, s.x, g.dx, into: gradients.wIH) }
            addScaled(u[j], resetBefore ? s.candidate : s.maskedH, to: gradients.wHH + j * stateWidth, stateWidth, in: rounding)
            gradients.bIH?[j] += a[j]
            gradients.bHH?[j] += u[j]
            if !resetBefore { addScaled(u[j], weights.wHH + j * stateWidth, to: through, stateWidth, in: rounding) }
        }
        for k in 0..<stateWidth { g.dh[k] = direct[k] + through[k] * (s.mask?[k] ?? 1) }
    }

    /// What the gradient `da` of element `row` of a adds to those of W_ih and of x.
    func inputGradients(_ da: Double, row: Int, _ x: Doubles, _ dx: Doubles?, into dwIH: Doubles) {
        addScaled(da, x, to: dwIH + row * inputWidth, inputWidth, in: rounding)
        if let dx { addScaled(da, weights.wIH + row * inputWidth, to: dx, inputWidth, in: rounding) }
    }

    private func backwardRNN(_ s: CellStep, _ g: CellGradientStep) {
        for j in 0..<hiddenWidth {
            a[j] = g.dh[j] * df(s.gates[j])
            u[j] = a[j]
        }
    }

    private func backwardLSTM(_ s: CellStep, _ g: CellGradientStep, into gradients: CellWeights) {
        let H = hiddenWidth
        if let wHR = weights.wHR {
            for j in 0..<H { inner[j] = 0 }
            for k in 0..<stateWidth {
                addScaled(g.dh[k], wHR + k * H, to: inner, H, in: rounding)
                if let dwHR = gradients.wHR { addScaled(g.dh[k], s.hidden, to: dwHR + k * H, H, in: rounding) }
            }
        } else {
            for j in 0..<H { inner[j] = g.dh[j] }
        }
        for j in 0..<H {
            let i = s.gates[j]
            let forget = s.gates[H + j]
            let candidate = s.gates[2 * H + j]
            let o = s.gates[3 * H + j]
            let output = f(s.c[j])
            let dc = g.dc[j] + inner[j] * o * df(output)
            a[j] = dc * candidate * dσ(i)
            a[H + j] = dc * s.previousC[j] * dσ(forget)
            a[2 * H + j] = dc * i * df(candidate)
            a[3 * H + j] = inner[j] * output * dσ(o)
            g.dc[j] = dc * forget
        }
        for j in 0..<4 * H { u[j] = a[j] }
    }

    private func backwardGRU(_ s: CellStep, _ g: CellGradientStep) {
        let H = hiddenWidth
        for j in 0..<H {
            let z = s.gates[H + j]
            let n = s.gates[2 * H + j]
            a[H + j] = g.dh[j] * (s.previousH[j] - n) * dσ(z)
            a[2 * H + j] = g.dh[j] * (1 - z) * df(n)
            u[H + j] = a[H + j]
            direct[j] = g.dh[j] * z
        }
        if !cell.resetAfter {
            for k in 0..<H { inner[k] = 0 }
            for j in 0..<H { addScaled(a[2 * H + j], weights.wHH + (2 * H + j) * H, to: inner, H, in: rounding) }
        }
        for j in 0..<H {
            let r = s.gates[j]
            let dr = cell.resetAfter ? a[2 * H + j] * s.candidate[j] : inner[j] * s.maskedH[j]
            a[j] = dr * dσ(r)
            u[j] = a[j]
            u[2 * H + j] = cell.resetAfter ? a[2 * H + j] * r : a[2 * H + j]
            if !cell.resetAfter { direct[j] += inner[j] * r * (s.mask?[j] ?? 1) }
        }
    }
}
