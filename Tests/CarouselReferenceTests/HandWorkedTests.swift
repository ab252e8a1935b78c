import CarouselCore
import CarouselReference
import Foundation
import Testing

@Suite struct HandWorkedTests {
    let backend = ReferenceBackend()

    /// One LSTM step with I = H = 1, worked by hand.
    ///
    /// x = 2, h(0) = 1/2, c(0) = 1, W_ih = 0, W_hh = (2·ln 3, 0, ln 3, −2·ln 3), no biases. The pre-activations
    /// W_hh·h(0) are ln 3, 0, ½·ln 3, −ln 3, and σ(ln 3) = 3/(3+1), tanh(½·ln 3) = (3−1)/(3+1), so
    ///
    ///     i = 0.75   f = 0.5   g = 0.5   o = 0.25
    ///     c = 0.5·1 + 0.75·0.5 = 0.875
    ///     tanh(0.875) = (e^1.75 − 1)/(e^1.75 + 1) = 4.754602676 / 6.754602676 = 0.703905607
    ///     h = 0.25·0.703905607 = 0.175976402
    ///
    /// Backward from dh = 1:
    ///
    ///     dc = o·(1 − tanh²(c)) = 0.25·(1 − 0.495483103) = 0.126129224
    ///     di = dc·g·i(1−i)   = 0.126129224·0.5·0.1875  = 0.011824615
    ///     df = dc·c(0)·f(1−f) = 0.126129224·1·0.25      = 0.031532306
    ///     dg = dc·i·(1−g²)   = 0.126129224·0.75·0.75   = 0.070947689
    ///     do = tanh(c)·o(1−o) = 0.703905607·0.1875      = 0.131982301
    ///     dW_ih = 2·(di, df, dg, do), dW_hh = ½·(di, df, dg, do), dc(0) = dc·f = 0.063064612
    @Test func longShortTermMemory() throws {
        let ln3 = log(3.0)
        let cell = RecurrentCell(.lstm)
        let layout = try PackedLayout(SequenceLayout(lengths: [1]), on: backend)
        func one(_ value: Double) throws -> Tensor { try backend.makeTensor([value], shape: [1, 1]) }
        let pass = RecurrentPass(
            cell: cell, layout: layout, input: .dense(try one(2)),
            weights: RecurrentWeights(wIH: try backend.makeTensor([0, 0, 0, 0] as [Double], shape: [4, 1]),
                                      wHH: try backend.makeTensor([2 * ln3, 0, ln3, -2 * ln3], shape: [4, 1])),
            h0: try one(0.5), c0: try one(1), y: try one(0), hT: try one(0), cT: try one(0),
            activations: try RecurrentActivations(cell: cell, rows: 1, hidden: 1, state: 1, projected: false, on: backend))
        try backend.recurrentForward(pass)
        func near(_ tensor: Tensor?, _ expected: [Double], sourceLocation: SourceLocation = #_sourceLocation) throws {
            let values = try backend.readDoubles(try #require(tensor, sourceLocation: sourceLocation))
            for (value, hand) in zip(values, expected) {
                #expect(abs(value - hand) < 1e-8, "\(value) \(hand)", sourceLocation: sourceLocation)
            }
            #expect(values.count == expected.count, sourceLocation: sourceLocation)
        }
        try near(pass.activations?.gates, [0.75, 0.5, 0.5, 0.25])
        try near(pass.cT, [0.875])
        try near(pass.y, [0.175976402])
        try near(pass.hT, [0.175976402])

        let zeros = [Double](repeating: 0, count: 4)
        let gradients = RecurrentGradients(
            dy: try one(1), dInput: try one(.nan), dc0: try one(.nan),
            weights: RecurrentWeights(wIH: try backend.makeTensor(zeros, shape: [4, 1]),
                                      wHH: try backend.makeTensor(zeros, shape: [4, 1])))
        try backend.recurrentBackward(pass, into: gradients)
        let gates = [0.011824615, 0.031532306, 0.070947689, 0.131982301]
        try near(gradients.weights.wIH, gates.map { 2 * $0 })
        try near(gradients.weights.wHH, gates.map { $0 / 2 })
        try near(gradients.dInput, [0])
        try near(gradients.dc0, [0.063064612])
    }

    /// First steps from zero moments with g = 0.5, w = 1, lr = 0.1:
    /// Adam moves by lr (m̂ = g, √v̂ = |g|); momentum's first velocity is g; RMSprop with ρ = 0.75 has
    /// v = 0.25·0.25 = 0.0625, so d = 0.5/0.25 = 2.
    @Test func optimizers() throws {
        func state(_ value: Double) throws -> Tensor { try backend.makeTensor([value], shape: [1]) }
        for variant in [OptimizerVariant.keras, .pytorch] {
            let g = try state(0.5)
            var w = try state(1)
            try backend.adam(AdamStep(learningRate: 0.1, epsilon: 0, weightDecay: 0.5, variant: variant, step: 1),
                             weights: w, gradients: g, m: try state(0), v: try state(0))
            // Decay first: 1 − 0.1·0.5 = 0.95.
            #expect(abs(try backend.readDoubles(w)[0] - 0.85) < 1e-12)
            w = try state(1)
            try backend.sgd(SGDStep(learningRate: 0.1, momentum: 0.9, nesterov: true, variant: variant, step: 1),
                            weights: w, gradients: g, velocity: try state(0))
            // w − lr·(g + μg) = 1 − 0.1·0.95.
            #expect(abs(try backend.readDoubles(w)[0] - 0.905) < 1e-12)
            w = try state(1)
            try backend.rmsprop(RMSpropStep(learningRate: 0.1, rho: 0.75, epsilon: 0, variant: variant),
                                weights: w, gradients: g, v: try state(0), momentum: nil)
            #expect(abs(try backend.readDoubles(w)[0] - 0.8) < 1e-12)
        }
    }

    @Test func wrongShapesThrow() throws {
        let a = try backend.makeTensor(shape: [2, 3])
        #expect(throws: CarouselError.self) { try backend.multiply(MatrixProduct(a, a, into: a)) }
        #expect(throws: CarouselError.self) { try backend.columnSums(of: a, into: a, accumulate: false) }
        let integers = try backend.makeTensor([1, 2, 3, 4, 5, 6] as [Int32], shape: [2, 3])
        #expect(throws: CarouselError.self) { try backend.fill(integers, with: 1) }
    }

    @Test func memoryIsCounted() throws {
        let before = backend.allocatedBytes
        do {
            let tensor = try backend.makeTensor(shape: [10])
            #expect(backend.allocatedBytes == before + 80)
            #expect(try backend.readDoubles(tensor).allSatisfy { $0.isNaN })
        }
        #expect(backend.allocatedBytes == before)
    }
}
