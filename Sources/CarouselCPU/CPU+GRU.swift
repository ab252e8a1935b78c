import CVector
import CarouselCore

extension CPUBackend {
    /// Gates r and z: dW = da^T h(t−1), db = Σ da. Gate n, reset after: dW_hn = du_n^T h(t−1) and db_hn = Σ du_n, where the time
    /// loop left du_n = r ⊙ da_n in `candidate`; reset before: dW_hn = da_n^T (r ⊙ h(t−1)), which forward left there.
    func gruWeightGradients(_ pass: RecurrentPass, _ activations: RecurrentActivations, _ weights: RecurrentWeights) throws {
        guard let kept = activations.candidate else { return }
        let hidden = pass.hiddenWidth, rows = pass.layout.layout.rows
        let gates = try gateRows(pass, activations), newGates = gates.from(column: 2 * hidden)
        let previous = try keptRows(pass, activations.previousH), candidate = try keptRows(pass, kept)
        let wHH = try floats(weights.wHH), newGate = wHH + 2 * hidden * hidden
        let bIH = try floats(weights.bIH), bHH = try floats(weights.bHH)
        try addWeightGradient(gates, columns: 2 * hidden, rows: rows, previous, width: hidden, into: wHH, bIH: bIH, bHH: bHH)
        let bIN = bIH.map { $0 + 2 * hidden }, bHN = bHH.map { $0 + 2 * hidden }
        if pass.cell.resetAfter {
            try addWeightGradient(candidate, columns: hidden, rows: rows, previous, width: hidden, into: newGate, bHH: bHN)
            guard let bIN else { return }
            try columnSums(rows: rows, columns: hidden, newGates, into: bIN, accumulate: true)
        } else {
            try addWeightGradient(newGates, columns: hidden, rows: rows, candidate, width: hidden, into: newGate, bIH: bIN, bHH: bHN)
        }
    }
}
