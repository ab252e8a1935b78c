import CarouselCore

extension OpenCLBackend {
    func rnnForward(_ pass: RecurrentPass, _ operands: RecurrentOperands) throws {
        let h = pass.hiddenWidth, layout = pass.layout.layout
        let product = try makeTensor(shape: [layout.batchSize, h])
        let output: [KernelArgument] = [.tensor(pass.y), .tensor(pass.hT), .optional(pass.activations?.gates),
                                        .optional(pass.activations?.previousH)]
        if family == .cpu {
            let packed = try pack(pass.weights.wHH, stride: h, transpose: true, k: h, n: h)
            try launch(.rnnRows, defines(pass), global: (rowGroups(pass), 1, 1),
                       operands.arguments(from: 0) + [.tensor(packed.panels), .optional(pass.mask), .tensor(product), .tensor(pass.layout.offsets),
                                .int(layout.steps), .int(h)] + output)
            return
        }
        for t in launchedSteps(pass) {
            let active = layout.activeRows[t], first = layout.offsets[t]
            try multiply(StridedProduct(a: multiplied(pass, from: first), strideA: h, b: pass.weights.wHH, strideB: h, transposeB: true,
                                        c: product, strideC: h, m: active, n: h, k: h))
            try launch(.rnnStep, defines(pass), columns: h, rows: active,
                       operands.arguments(from: first) + [.tensor(product), .int(first), .int(active), .int(h)] + output
                           + [.optional(pass.mask), .int(running(after: t, layout))])
        }
    }

    func rnnBackward(_ pass: RecurrentPass, _ kept: RecurrentActivations, _ gradients: RecurrentGradients,
                     carry: Tensor) throws -> [RecurrentGradientPart] {
        let h = pass.hiddenWidth, layout = pass.layout.layout
        if family == .cpu {
            let packed = try pack(pass.weights.wHH, stride: h, transpose: false, k: h, n: h)
            try launch(.rnnRowsBackward, defines(pass), global: (rowGroups(pass), 1, 1),
                       [.optional(gradients.dy), .tensor(packed.panels), .optional(pass.mask), .tensor(pass.layout.offsets),
                        .int(layout.steps), .int(h), .tensor(carry), .tensor(kept.gates)])
        } else if case let plan = chooseRecurrentPlan(pass), plan != .stepwise {
            try unitsBackward(pass, kept, gradients, carry: carry, state: carry, persistent: plan == .persistent)
        } else {
            for t in launchedSteps(pass).reversed() {
                let active = layout.activeRows[t], first = layout.offsets[t]
                try launch(.rnnStepBackward, defines(pass), columns: h, rows: active,
                           [.optional(gradients.dy), .tensor(carry), .int(first), .int(active), .int(h),
                            .tensor(kept.gates), .optional(pass.mask), .int(unmasked(before: t, pass))])
                try multiply(StridedProduct(a: kept.gates.dropping(first * h), strideA: h, b: pass.weights.wHH,
                                            strideB: h, c: carry, strideC: h, m: active, n: h, k: h))
                if t == pass.stepRange.lowerBound { try maskCarry(pass, carry, rows: active) }
            }
        }
        return [RecurrentGradientPart(gradient: kept.gates, stride: h, firstColumn: 0, width: h,
                                      multiplied: kept.previousH)]
    }
}
