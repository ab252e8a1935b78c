import CVector
import CarouselCore

extension CPUBackend {
    /// Gates r and z: dW = da^T h(t−1), db = Σ da. Gate n, reset after: dW_hn = du_n^T h(t−1) and db_hn = Σ du_n, where the time
    /// loop left du_n = r ⊙ da_n in `candidate`; reset before: dW_hn = da_n^T (r ⊙ h(t−1)), which forward left there.
    func gruWeightGradients(_ pass: RecurrentPass, _ activations: RecurrentActivations, _ weights: RecurrentWeights) throws {
        guard let candidate = activations.candidate else { return }
        let hidden = pass.hiddenWidth, rows = pass.layout.layout.rows, pitch = 3 * hidden
        let gates = try floats(activations.gates), previous = try floats(activations.previousH)
        let wHH = try floats(weights.wHH), newGate = wHH + 2 * hidden * hidden
        let bIH = try floats(weights.bIH), bHH = try floats(weights.bHH)
        try addWeightGradient(gates, pitch: pitch, columns: 2 * hidden, rows: rows, previous, width: hidden, into: wHH,
                              bIH: bIH, bHH: bHH)
        let bIN = bIH.map { $0 + 2 * hidden }, bHN = bHH.map { $0 + 2 * hidden }
        if pass.cell.resetAfter {
            try addWeightGradient(floats(candidate), pitch: hidden, columns: hidden, rows: rows, previous, width: hidden,
                                  into: newGate, bHH: bHN)
            guard let bIN else { return }
            try columnSums(rows: rows, columns: hidden, gates + 2 * hidden, pitch: pitch, into: bIN, accumulate: true)
        } else {
            try addWeightGradient(gates + 2 * hidden, pitch: pitch, columns: hidden, rows: rows, floats(candidate),
                                  width: hidden, into: newGate, bIH: bIN, bHH: bHN)
        }
    }
}
