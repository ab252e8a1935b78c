import CVector
import CarouselCore

extension CPUBackend {
    /// dW_hh = da^T h(t−1) over all rows; db = Σ da.
    func rnnWeightGradients(_ pass: RecurrentPass, _ activations: RecurrentActivations, _ weights: RecurrentWeights) throws {
        let hidden = pass.hiddenWidth
        try addWeightGradient(gateRows(pass, activations), columns: hidden, rows: pass.layout.layout.rows,
                              keptRows(pass, activations.previousH), width: hidden, into: floats(weights.wHH),
                              bIH: floats(weights.bIH), bHH: floats(weights.bHH))
    }
}
