import CarouselCore
import CarouselReference

extension FaultyBackend {
    func recurrentPlan(cell: RecurrentCell, input: Int, hidden: Int, state: Int, batch: Int) -> String {
        inner.recurrentPlan(cell: cell, input: input, hidden: hidden, state: state, batch: batch)
    }

    func recurrentForward(_ pass: RecurrentPass) throws {
        var p = pass
        let layout = pass.layout.layout
        switch fault {
        case .gatesSwapped where p.cell.gateCount > 1:
            // The first two gates exchange their input weights.
            let block = pass.hiddenWidth * pass.input.width
            p.weights.wIH = try altered(p.weights.wIH) { values in
                for i in 0..<block { values.swapAt(i, block + i) }
            }
        case .recurrentActivationTakenAsSigmoid: p.cell.recurrentActivation = .sigmoid
        case .initialStateIgnored: p.h0 = nil
        case .initialCellIgnored: p.c0 = nil
        case .resetBeforeForAfter: p.cell.resetAfter = false
        case .maskIgnored: p.mask = nil
        case .maskOfTheNextSequence: p.mask = try p.mask.map { try altered($0) { $0 = Array($0.dropFirst(pass.weights.stateWidth) + $0.prefix(pass.weights.stateWidth)) } }
        case .candidateBiasOutsideReset where p.cell.kind == .gru:
            if let bIH = p.weights.bIH, let bHH = p.weights.bHH {
                let added = try readDoubles(bHH)
                p.weights.bIH = try altered(bIH) { for i in $0.indices { $0[i] += added[i] } }
                p.weights.bHH = nil
            }
        default: break
        }
        try inner.recurrentForward(p)

        let R = pass.weights.stateWidth
        switch fault {
        case .finalStateOneStepEarly:
            let y = try readDoubles(pass.y)
            try alter(pass.hT) { values in
                for (b, length) in layout.lengths.enumerated() where length > 1 {
                    for k in 0..<R { values[b * R + k] = y[layout.row(step: length - 2, sequence: b) * R + k] }
                }
            }
        case .finalStateOfEmptySequenceIsZero:
            try alter(pass.hT) { values in
                for (b, length) in layout.lengths.enumerated() where length == 0 {
                    for k in 0..<R { values[b * R + k] = 0 }
                }
            }
        case .inferenceDiffers where pass.activations == nil:
            try alter(pass.y) { for i in $0.indices { $0[i] *= 1.0001 } }
        case .previousStateNotKept:
            if let kept = pass.activations { try inner.fill(kept.previousH, with: 0) }
        default: break
        }
    }

    func recurrentBackward(_ pass: RecurrentPass, into gradients: RecurrentGradients) throws {
        var g = gradients, p = pass
        let layout = pass.layout.layout, R = pass.weights.stateWidth
        switch fault {
        case .outputGradientIgnored: g.dy = nil
        case .finalGradientOnlyForLongest:
            g.dhT = try g.dhT.map {
                try altered($0) { values in
                    for (b, length) in layout.lengths.enumerated() where length < layout.steps {
                        for k in 0..<R { values[b * R + k] = 0 }
                    }
                }
            }
        case .finalCellGradientIgnored: g.dcT = nil
        case .inputGradientNotWritten: g.dInput = nil
        case .initialStateGradientNotWritten: g.dh0 = nil
        case .initialCellGradientNotWritten: g.dc0 = nil
        case .biasGradientStale: g.weights.bHH = nil
        case .biasGradientOverwritten: try g.weights.bIH.map { try inner.fill($0, with: 0) }
        case .recurrentGradientOverwritten: try inner.fill(g.weights.wHH, with: 0)
        case .projectionGradientOverwritten: try g.weights.wHR.map { try inner.fill($0, with: 0) }
        case .firstStepMissingInRecurrentGradient:
            if let kept = pass.activations, layout.steps > 0 {
                try inner.fill(kept.previousH.rows(0..<layout.activeRows[0]), with: 0)
            }
        case .maskMissingInStateGradient: p.mask = nil
        case .unmaskedStateInRecurrentGradient:
            if let kept = pass.activations, pass.mask != nil {
                for t in 1..<max(1, layout.steps) {
                    let running = layout.activeRows[t], before = layout.offsets[t - 1]
                    try inner.copyColumns(pass.y.rows(before..<before + running), from: 0,
                                          to: kept.previousH.rows(layout.offsets[t]..<layout.offsets[t] + running), at: 0, width: R, scale: 1,
                                          accumulate: false)
                }
            }
        default: break
        }
        try inner.recurrentBackward(p, into: g)
        if fault == .lastStepMissingInInputGradient, case .dense = pass.input, let dInput = g.dInput, layout.steps > 0 {
            try inner.fill(dInput.rows(layout.offsets[layout.steps - 1]..<layout.rows), with: 0)
        }
    }
}
