import CVector
import CarouselCore

extension CPUBackend {
    /// dW_hh = da^T h(t−1) and dW_hr = dh^T (o ⊙ f(c)) over all rows; db = Σ da.
    func lstmWeightGradients(_ pass: RecurrentPass, _ activations: RecurrentActivations, _ weights: RecurrentWeights) throws {
        let hidden = pass.hiddenWidth, state = pass.weights.stateWidth, rows = pass.layout.layout.rows
        try addWeightGradient(floats(activations.gates), pitch: 4 * hidden, columns: 4 * hidden, rows: rows,
                              floats(activations.previousH), width: state, into: floats(weights.wHH),
                              bIH: floats(weights.bIH), bHH: floats(weights.bHH))
        if let wHR = weights.wHR, let unprojected = activations.hidden {
            // The time loop left the gradient of every h here.
            let dh = try scratch(.state, count: rows * state)
            try addWeightGradient(dh, pitch: state, columns: state, rows: rows, floats(unprojected), width: hidden,
                                  into: floats(wHR))
        }
    }
}
