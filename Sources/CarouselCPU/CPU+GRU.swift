import CVector
import CarouselCore

extension CPUBackend {
    /// Gates r and z: dW = da^T h(t−1). Gate n, reset after: dW_hn = du_n^T h(t−1) and db_hn = Σ du_n, where the time
    /// loop left du_n = r ⊙ da_n in `candidate`; reset before: dW_hn = da_n^T (r ⊙ h(t−1)), which forward left there.
    func gruWeightGradients(_ pass: RecurrentPass, _ activations: RecurrentActivations, _ weights: RecurrentWeights) throws {
        guard let candidate = activations.candidate else { return }
        let hidden = pass.hiddenWidth, rows = pass.layout.layout.rows, pitch = 3 * hidden
        let gates = try floats(activations.gates), previous = try floats(activations.previousH)
        let wHH = try floats(weights.wHH), newGate = wHH + 2 * hidden * hidden
        try addWeightGradient(gates, pitch: pitch, columns: 2 * hidden, rows: rows, previous, width: hidden, into: wHH)
        if pass.cell.resetAfter {
            try addWeightGradient(floats(candidate), pitch: hidden, columns: hidden, rows: rows, previous, width: hidden,
                                  into: newGate)
        } else {
            try addWeightGradient(gates + 2 * hidden, pitch: pitch, columns: hidden, rows: rows, floats(candidate),
                                  width: hidden, into: newGate)
        }
        guard let bHH = weights.bHH else { return }
        guard pass.cell.resetAfter else { return try columnSums(of: activations.gates, into: bHH, accumulate: true) }
        try columnSums(rows: rows, columns: 2 * hidden, gates, pitch: pitch, into: floats(bHH), accumulate: true)
        try columnSums(rows: rows, columns: hidden, floats(candidate), pitch: hidden, into: floats(bHH) + 2 * hidden,
                       accumulate: true)
    }
}
