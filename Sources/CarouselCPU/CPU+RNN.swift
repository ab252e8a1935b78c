import CVector
import CarouselCore

extension CPUBackend {
    /// dW_hh = da^T h(t−1) over all rows; b_hh as b_ih.
    func rnnWeightGradients(_ pass: RecurrentPass, _ activations: RecurrentActivations, _ weights: RecurrentWeights) throws {
        let hidden = pass.hiddenWidth
        try addWeightGradient(floats(activations.gates), pitch: hidden, columns: hidden, rows: pass.layout.layout.rows,
                              floats(activations.previousH), width: hidden, into: floats(weights.wHH))
        if let bHH = weights.bHH { try columnSums(of: activations.gates, into: bHH, accumulate: true) }
    }
}
