import CarouselCore

extension OpenCLBackend {
    func gruForward(_ pass: RecurrentPass, _ operands: RecurrentOperands) throws {
        let h = pass.hiddenWidth, layout = pass.layout.layout, wHH = pass.weights.wHH
        let product = try makeTensor(shape: [layout.batchSize, 3 * h])
        let after = pass.cell.resetAfter
        var candidate = pass.activations?.candidate
        if candidate == nil, !after { candidate = try makeTensor(shape: [layout.rows, h]) }
        let output: [KernelArgument] = [.tensor(pass.y), .tensor(pass.hT), .optional(pass.activations?.gates),
                                        .optional(pass.activations?.previousH)]
        if family == .cpu {
            let packed = try pack(wHH, stride: h, transpose: true, k: h, n: after ? 3 * h : 2 * h)
            let packedN = after ? nil : try pack(wHH.dropping(2 * h * h), stride: h, transpose: true, k: h, n: h)
            try launch(.gruRows, defines(pass), global: (rowGroups(pass), 1, 1),
                       operands.arguments(from: 0) + [.tensor(packed.panels), .optional(packedN?.panels), .optional(pass.mask), .tensor(product),
                                .tensor(pass.layout.offsets), .int(layout.steps), .int(h)]
                           + output + [.optional(candidate)])
            return
        }
        for t in launchedSteps(pass) {
            let active = layout.activeRows[t], first = layout.offsets[t]
            let step: [KernelArgument] = operands.arguments(from: first) + [.tensor(product), .int(first), .int(active), .int(h)]
            let masking: [KernelArgument] = [.optional(pass.mask), .int(running(after: t, layout))]
            try multiply(StridedProduct(a: multiplied(pass, from: first), strideA: h, b: wHH, strideB: h, transposeB: true, c: product,
                                        strideC: 3 * h, m: active, n: after ? 3 * h : 2 * h, k: h))
            if after {
                try launch(.gruStep, defines(pass), columns: h, rows: active, step + output + masking + [.optional(candidate)])
            } else if let candidate {
                try launch(.gruReset, defines(pass), columns: h, rows: active,
                           step + [.tensor(pass.hT), .optional(pass.mask), .optional(pass.activations?.gates), .tensor(candidate)])
                try multiply(StridedProduct(a: candidate.dropping(first * h), strideA: h, b: wHH.dropping(2 * h * h),
                                            strideB: h, transposeB: true, c: product.dropping(2 * h), strideC: 3 * h,
                                            m: active, n: h, k: h))
                try launch(.gruUpdate, defines(pass), columns: h, rows: active, step + output + masking)
            }
        }
    }

    func gruBackward(_ pass: RecurrentPass, _ kept: RecurrentActivations, _ gradients: RecurrentGradients,
                     carry: Tensor) throws -> [RecurrentGradientPart] {
        guard let candidate = kept.candidate else {
            throw CarouselError(.internalError, "GRU backward needs the candidates")
        }
        let h = pass.hiddenWidth, layout = pass.layout.layout, wHH = pass.weights.wHH
        let after = pass.cell.resetAfter
        // What comes back through W_hh, where it must not meet dh z: a reset or a mask is between.
        let through = after && pass.mask == nil ? nil : try makeTensor(shape: [layout.batchSize, h])
        if family == .cpu {
            let packed = try pack(wHH, stride: h, transpose: false, k: 3 * h, n: h)
            try launch(.gruRowsBackward, defines(pass), global: (rowGroups(pass), 1, 1),
                       [.optional(gradients.dy), .tensor(pass.y), .tensor(statesBefore(0, pass) ?? kept.previousH), .optional(pass.mask),
                        .tensor(packed.panels), .tensor(pass.layout.offsets), .int(layout.steps), .int(h), .tensor(carry), .tensor(kept.gates),
                        .tensor(candidate), .optional(through)])
        } else if case let plan = chooseRecurrentPlan(pass), plan != .stepwise {
            try unitsBackward(pass, kept, gradients, carry: carry, state: carry, persistent: plan == .persistent)
        } else {
            let du = after ? try makeTensor(shape: [layout.batchSize, 3 * h], type: kept.gates.type) : nil
            for t in launchedSteps(pass).reversed() {
                let active = layout.activeRows[t], first = layout.offsets[t]
                let gates = kept.gates.dropping(first * 3 * h), before = statesBefore(t, pass)
                let sum = pass.mask == nil ? carry : through ?? carry
                try launch(.gruStepBackward, defines(pass), columns: h, rows: active,
                           [.optional(gradients.dy), .optional(before), .optional(pass.mask), .optional(through), .int(first), .int(active),
                            .int(unmasked(before: t, pass)), .int(h), .tensor(carry), .tensor(kept.gates), .tensor(candidate),
                            .optional(du)])
                if let du {
                    try multiply(StridedProduct(a: du, strideA: 3 * h, b: wHH, strideB: h, c: sum, strideC: h,
                                                m: active, n: h, k: 3 * h, accumulate: pass.mask == nil))
                } else if let through {
                    try multiply(StridedProduct(a: gates.dropping(2 * h), strideA: 3 * h, b: wHH.dropping(2 * h * h),
                                                strideB: h, c: through, strideC: h, m: active, n: h, k: h))
                    try launch(.gruResetBackward, defines(pass), columns: h, rows: active,
                               [.tensor(through), .optional(before), .optional(pass.mask), .int(first), .int(active), .int(h),
                                .tensor(carry), .tensor(kept.gates)])
                    try multiply(StridedProduct(a: gates, strideA: 3 * h, b: wHH, strideB: h, c: sum, strideC: h,
                                                m: active, n: h, k: 2 * h, accumulate: pass.mask == nil))
                }
            }
            if let mask = pass.mask, let through {
                let rows = 0..<layout.activeRows[pass.stepRange.lowerBound]
                try multiply(mask.rows(rows), through.rows(rows), into: carry.rows(rows), accumulate: true)
            }
        }
        let resetUpdate = RecurrentGradientPart(gradient: kept.gates, stride: 3 * h, firstColumn: 0, width: 2 * h,
                                                multiplied: kept.previousH)
        let new = after
            ? RecurrentGradientPart(gradient: candidate, stride: h, firstColumn: 0, width: h,
                                    multiplied: kept.previousH)
            : RecurrentGradientPart(gradient: kept.gates, stride: 3 * h, firstColumn: 2 * h, width: h,
                                    multiplied: candidate)
        return [resetUpdate, new]
    }
}
