import CarouselCore

extension OpenCLBackend {
    func lstmForward(_ pass: RecurrentPass, _ operands: RecurrentOperands) throws {
        guard let cT = pass.cT else { return }
        let h = pass.hiddenWidth, r = pass.weights.stateWidth, layout = pass.layout.layout
        let product = try makeTensor(shape: [layout.batchSize, 4 * h])
        let projected = pass.weights.wHR != nil
        let hidden = projected ? try pass.activations?.hidden ?? makeTensor(shape: [layout.rows, h]) : nil
        if family == .cpu {
            let packed = try pack(pass.weights.wHH, stride: r, transpose: true, k: r, n: 4 * h)
            let down = try pass.weights.wHR.map { try pack($0, stride: h, transpose: true, k: h, n: r) }
            try launch(.lstmRows, defines(pass), global: (rowGroups(pass), 1, 1),
                       operands.arguments(from: 0) + [.tensor(packed.panels), .optional(down?.panels), .optional(pass.mask), .tensor(product),
                                .tensor(pass.layout.offsets), .int(layout.steps), .int(h), .int(r), .tensor(pass.y),
                                .tensor(pass.hT), .tensor(cT), .optional(pass.activations?.gates),
                                .optional(pass.activations?.previousH), .optional(pass.activations?.c),
                                .optional(hidden)])
            return
        }
        for t in launchedSteps(pass) {
            let active = layout.activeRows[t], first = layout.offsets[t]
            if projected, let previous = pass.activations?.previousH {
                try keep(pass.hT.rows(0..<active), maskedBy: pass.mask, in: previous.rows(first..<first + active))
            }
            try multiply(StridedProduct(a: multiplied(pass, from: first), strideA: r, b: pass.weights.wHH, strideB: r, transposeB: true,
                                        c: product, strideC: 4 * h, m: active, n: 4 * h, k: r))
            try launch(.lstmStep, defines(pass), columns: h, rows: active,
                       operands.arguments(from: first) + [.tensor(product), .int(first), .int(active), .int(h), .tensor(hidden ?? pass.y),
                                .tensor(pass.hT), .tensor(cT), .optional(pass.activations?.gates),
                                .optional(projected ? nil : pass.activations?.previousH),
                                .optional(pass.activations?.c), .optional(projected ? nil : pass.mask),
                                .int(running(after: t, layout))])
            if let wHR = pass.weights.wHR, let hidden {
                let y = pass.y.rows(first..<first + active)
                try multiply(MatrixProduct(hidden.rows(first..<first + active), wHR, transposeB: true, into: y))
                try copy(y, to: pass.hT.rows(0..<active))
            }
        }
    }

    func lstmBackward(_ pass: RecurrentPass, _ kept: RecurrentActivations, _ gradients: RecurrentGradients,
                      carry: Tensor, cellCarry: Tensor) throws -> [RecurrentGradientPart] {
        guard let cells = kept.c else { throw CarouselError(.internalError, "LSTM backward needs the cells c") }
        let h = pass.hiddenWidth, r = pass.weights.stateWidth, layout = pass.layout.layout
        let wHR = pass.weights.wHR
        // With a projection: dy + carry of every row, and its gradient before the projection.
        let dh = wHR == nil ? nil : try makeTensor(shape: [layout.rows, r])
        let dhidden = wHR == nil ? nil : try makeTensor(shape: [layout.batchSize, h])
        if family == .cpu {
            let packed = try pack(pass.weights.wHH, stride: r, transpose: false, k: 4 * h, n: r)
            let up = try wHR.map { try pack($0, stride: h, transpose: false, k: r, n: h) }
            try launch(.lstmRowsBackward, defines(pass), global: (rowGroups(pass), 1, 1),
                       [.optional(gradients.dy), .tensor(packed.panels), .optional(up?.panels), .optional(pass.mask),
                        .tensor(pass.layout.offsets), .int(layout.steps), .int(h), .int(r), .tensor(cells),
                        .optional(pass.c0), .tensor(carry), .tensor(cellCarry), .tensor(kept.gates), .optional(dh),
                        .optional(dhidden)])
        } else if case let plan = chooseRecurrentPlan(pass), plan != .stepwise {
            try unitsBackward(pass, kept, gradients, carry: carry, state: cellCarry, persistent: plan == .persistent)
        } else {
            for t in launchedSteps(pass).reversed() {
                let active = layout.activeRows[t], first = layout.offsets[t]
                if let wHR, let dh, let dhidden {
                    let sum = dh.rows(first..<first + active)
                    try copy(carry.rows(0..<active), to: sum)
                    if let dy = gradients.dy {
                        try copyColumns(dy.rows(first..<first + active), from: 0, to: sum, at: 0, width: r, scale: 1,
                                        accumulate: true)
                    }
                    try multiply(MatrixProduct(sum, wHR, into: dhidden.rows(0..<active)))
                }
                let previous = t > 0 ? cells.dropping(layout.offsets[t - 1] * h) : nil
                try launch(.lstmStepBackward, defines(pass), columns: h, rows: active,
                           [.optional(wHR == nil ? gradients.dy : nil), .tensor(dhidden ?? carry), .tensor(cells),
                            .optional(previous), .optional(pass.c0), .int(first), .int(active), .int(h), .tensor(cellCarry),
                            .tensor(kept.gates), .optional(wHR == nil ? pass.mask : nil), .int(unmasked(before: t, pass))])
                try multiply(StridedProduct(a: kept.gates.dropping(first * 4 * h), strideA: 4 * h, b: pass.weights.wHH,
                                            strideB: r, c: carry, strideC: r, m: active, n: r, k: 4 * h))
                // The next kernel masks what it reads; behind the last one, and before a projection, nobody does.
                if t == pass.stepRange.lowerBound || wHR != nil { try maskCarry(pass, carry, rows: active) }
            }
        }
        if let dwHR = gradients.weights.wHR, let dh, let hidden = kept.hidden {
            let product = MatrixProduct(dh, transposeA: true, hidden, into: dwHR, accumulate: true)
            try gradients.weightsAside ? aside { try multiply(product) } : multiply(product)
        }
        return [RecurrentGradientPart(gradient: kept.gates, stride: 4 * h, firstColumn: 0, width: 4 * h,
                                      multiplied: kept.previousH)]
    }
}
