import CarouselCore

// The plans `fused step` and `persistent`: work-groups own units (recurrent.cl).

/// A pass through the phases of one direction.
private struct PhaseRun {
    let tiling: RecurrentTiling
    let defines: KernelDefines
    let step: KernelName
    let sequence: KernelName
    /// What both begin with.
    let operands: [KernelArgument]
    /// Batch rows of every phase of the whole pass.
    let rows: [Int]
    /// The phases of this call.
    let phases: Range<Int>
}

extension OpenCLBackend {
    func unitsForward(_ pass: RecurrentPass, _ operands: RecurrentOperands, persistent: Bool) throws {
        let h = pass.hiddenWidth, cell = pass.cell, layout = pass.layout.layout, kept = pass.activations
        let tiling = try requiredTiling(gates: cell.gateCount, hidden: h, depth: h)
        let definitions = unitDefines(pass, tiling, persistent: persistent)
        let packed = try makeTensor(shape: tiling.packedShape(precision))
        try packUnits(.recurrentForward(cell.kind, .pack), definitions, tiling, pass.weights.wHH, gateStride: h * h, unitStride: h, depthStride: 1,
                      hidden: h, depth: h, into: packed)
        // A GRU that resets before its second product keeps z and r h between the two.
        let isHalved = cell.kind == .gru && !cell.resetAfter
        let state = isHalved ? try makeTensor(shape: [layout.batchSize, h]) : pass.cT
        var own = cell.kind == .lstm ? kept?.c : kept?.candidate
        if isHalved, own == nil { own = try makeTensor(shape: [layout.rows, h]) }
        let arguments: [KernelArgument] = [
            .tensor(operands.projection), .optional(operands.positions), .tensor(operands.bias), .tensor(packed), .optional(pass.h0), .optional(pass.mask),
            .tensor(pass.layout.offsets), .int(layout.steps), .int(h), .int(tiling.blocks),
            .int(operands.firstRow), .tensor(pass.y), .tensor(pass.hT),
            .optional(state), .optional(kept?.gates), .optional(kept?.previousH), .optional(own)]
        try run(PhaseRun(tiling: tiling, defines: definitions, step: .recurrentForward(cell.kind, .step),
                         sequence: .recurrentForward(cell.kind, .sequence), operands: arguments,
                         rows: layout.activeRows.flatMap { isHalved ? [$0, $0] : [$0] },
                         phases: phases(of: pass.stepRange, isHalved: isHalved)),
                persistent: persistent)
    }

    /// - Parameters:
    ///   - carry: [B, H] enters as dh_T; leaves as dh_0 only if `gradients` ask for it.
    ///   - state: [B, H] an LSTM's dc; another cell's `carry` again.
    func unitsBackward(_ pass: RecurrentPass, _ kept: RecurrentActivations, _ gradients: RecurrentGradients, carry: Tensor, state: Tensor,
                       persistent: Bool) throws {
        let h = pass.hiddenWidth, cell = pass.cell, layout = pass.layout.layout, depth = cell.gateCount * h
        let tiling = try requiredTiling(gates: 1, hidden: h, depth: depth)
        let definitions = unitDefines(pass, tiling, persistent: persistent)
        let packed = try makeTensor(shape: tiling.packedShape(precision))
        try packUnits(.recurrentBackward(cell.kind, .pack), definitions, tiling, pass.weights.wHH, gateStride: 0, unitStride: 1, depthStride: h,
                      hidden: h, depth: depth, into: packed)
        // What a step started from, and that of the first step.
        let before: (Tensor?, Tensor?) = switch cell.kind {
        case .rnn: (nil, nil)
        case .lstm: (kept.c, pass.c0)
        case .gru: (pass.y, pass.h0)
        }
        let arguments: [KernelArgument] = [
            .optional(gradients.dy), .tensor(packed), .optional(before.0), .optional(before.1), .optional(pass.mask), .tensor(pass.layout.offsets),
            .int(layout.steps), .int(h), .int(tiling.blocks), .tensor(carry), .tensor(state), .tensor(kept.gates),
            .optional(cell.kind == .lstm ? kept.c : kept.candidate)]
        let isHalved = cell.kind == .gru && !cell.resetAfter, steps = pass.stepRange
        var rows = layout.activeRows.reversed().flatMap { isHalved ? [$0, $0] : [$0] }
        var phases = phases(of: layout.steps - steps.upperBound ..< layout.steps - steps.lowerBound, isHalved: isHalved)
        // The gradient of the initial state takes one more product.
        if steps.lowerBound == 0, gradients.dh0 != nil, let first = layout.activeRows.first {
            rows.append(first)
            phases = phases.lowerBound ..< phases.upperBound + 1
        }
        try run(PhaseRun(tiling: tiling, defines: definitions, step: .recurrentBackward(cell.kind, .step),
                         sequence: .recurrentBackward(cell.kind, .sequence), operands: arguments, rows: rows, phases: phases),
                persistent: persistent)
    }

    /// A step is one phase, or two.
    private func phases(of steps: Range<Int>, isHalved: Bool) -> Range<Int> {
        isHalved ? 2 * steps.lowerBound ..< 2 * steps.upperBound : steps
    }

    private func run(_ run: PhaseRun, persistent: Bool) throws {
        let tiling = run.tiling, batch = run.rows[run.phases].max() ?? 0
        guard persistent else {
            // Two groups for each compute unit hide each other's waiting.
            let blocks = 2 * device.computeUnits / tiling.tiles
            // One phase tells a planner which buffers are in use.
            for phase in run.phases where holdsValues || phase == run.phases.lowerBound {
                let rows = run.rows[phase]
                let height = tiling.height(rows, groups: blocks)
                try launch(run.step, run.defines, global: (tiling.tiles * tiling.items, (rows + height - 1) / height, 1),
                           local: (tiling.items, 1, 1), run.operands + [.int(phase), .int(height)])
            }
            return
        }
        let operands = run.operands + [.int(run.phases.lowerBound), .int(run.phases.upperBound)]
        let resident = try residentGroups(of: Meetings.Launch(name: run.sequence, defines: run.defines),
                                          useful: tiling.tiles * ((batch + tiling.rows - 1) / tiling.rows)) { groups, patience, state in
            try meetings.admit(groups: groups, on: self)
            try launch(run.sequence, run.defines, global: (groups * tiling.items, 1, 1), local: (tiling.items, 1, 1),
                       operands + [.int(tiling.rows), .int(groups), .int(2), .int(patience), .tensor(state), .tensor(state.dropping(2))])
        }
        let grid = meetingGrid(tiling, rows: batch, resident: resident, sharing: overlapping)
        let meeting = try makeTensor(shape: [1 + grid.rowBlocks * (1 + grid.workers)], type: .int32)
        let mark = try meetings.mark(on: self)
        try clear(meeting)
        let arguments = operands + [.int(grid.height), .int(grid.workers)]
        try meetings.admit(groups: grid.workers * grid.rowBlocks, on: self)
        for rescue in [false, true] {
            try launch(run.sequence, run.defines, global: ((rescue ? 1 : grid.workers) * tiling.items, grid.rowBlocks, 1),
                       local: (tiling.items, 1, 1),
                       arguments + [.flag(rescue), .int(meetingPatience), .tensor(meeting), .tensor(mark)])
        }
    }

    /// How often a group looks for the others before it gives up: seconds, where a look takes some hundred nanoseconds
    /// on a GPU, and one or two on a CPU, whose threads may have to wait for a core meanwhile.
    private var meetingPatience: Int { device.type == .cpu ? 1 << 30 : 1 << 22 }

    private func unitDefines(_ pass: RecurrentPass, _ tiling: RecurrentTiling, persistent: Bool) -> KernelDefines {
        defines(pass) + tiling.defines + ["PLAN": persistent ? 2 : 1, "UNROLL": device.type == .cpu ? 0 : 1]
    }

    private func requiredTiling(gates: Int, hidden: Int, depth: Int) throws -> RecurrentTiling {
        guard let tiling = recurrentTiling(gates: gates, hidden: hidden, depth: depth) else {
            throw CarouselError(.internalError, "no tiling for \(hidden) recurrent units on \(info.selector)")
        }
        return tiling
    }

    private func packUnits(_ name: KernelName, _ defines: KernelDefines, _ tiling: RecurrentTiling, _ weights: Tensor, gateStride: Int,
                           unitStride: Int, depthStride: Int, hidden: Int, depth: Int, into packed: Tensor) throws {
        try launch(name, defines, global: (tiling.items, tiling.keep * precision.byteCount / 4, tiling.tiles * tiling.blocks), local: (tiling.items, 1, 1),
                   [.tensor(weights), .int(gateStride), .int(unitStride), .int(depthStride), .int(hidden), .int(depth), .int(tiling.blocks),
                    .tensor(packed)])
    }
}
