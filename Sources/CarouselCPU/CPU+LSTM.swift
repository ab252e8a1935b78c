import CVector
import CarouselCore

extension CPUBackend {
    /// dW_hh = da^T h(t−1) and dW_hr = dh^T (o ⊙ f(c)) over all rows; db = Σ da.
    func lstmWeightGradients(_ pass: RecurrentPass, _ activations: RecurrentActivations, _ weights: RecurrentWeights) throws {
        let hidden = pass.hiddenWidth, state = pass.weights.stateWidth, rows = pass.layout.layout.rows
        try addWeightGradient(gateRows(pass, activations), columns: 4 * hidden, rows: rows,
                              keptRows(pass, activations.previousH), width: state, into: floats(weights.wHH),
                              bIH: floats(weights.bIH), bHH: floats(weights.bHH))
        if let wHR = weights.wHR, let unprojected = activations.hidden {
            // The time loop left the gradient of every h here.
            let dh = try OperandRows(base: scratch(.state, count: rows * state), pitch: state)
            try addWeightGradient(dh, columns: state, rows: rows, OperandRows(base: floats(unprojected), pitch: hidden),
                                  width: hidden, into: floats(wHR))
        }
    }
}
