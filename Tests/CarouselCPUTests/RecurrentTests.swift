import CarouselCore
@testable import CarouselCPU
import Testing

/// Forward and backward of the recurrent layers: the same bits on any number of threads, and gradients that
/// agree with finite differences of the forward pass.
@Suite struct RecurrentTests {
    static let cells = [RecurrentCell(.rnn), RecurrentCell(.lstm), RecurrentCell(.gru), RecurrentCell(.gru, resetAfter: false)]

    struct Network {
        var pass: RecurrentPass
        var gradients: RecurrentGradients
        /// All float results of both directions.
        var results: [Tensor]
    }

    /// - Parameter distinct: rows of an indexed input; nil = a dense one.
    static func network(_ cell: RecurrentCell, on backend: CPUBackend, lengths: [Int], input i: Int, hidden h: Int,
                        state r: Int? = nil, dropout: Double = 0, distinct: Int? = nil) throws -> Network {
        var random = SeededGenerator(seed: 3)
        let r = r ?? h
        func tensor(_ extents: Int...) throws -> Tensor {
            let shape = Shape(extents)
            return try backend.makeTensor((0..<shape.count).map { _ in Float(random.uniform() - 0.5) }, shape: shape)
        }
        let layout = try PackedLayout(SequenceLayout(lengths: lengths), on: backend)
        let n = layout.layout.rows, b = lengths.count, g = cell.gateCount * h, isLSTM = cell.kind == .lstm
        let weights = RecurrentWeights(wIH: try tensor(g, i), wHH: try tensor(g, r), wHR: r == h ? nil : try tensor(r, h),
                                       bIH: try tensor(g), bHH: try tensor(g))
        var mask: Tensor?
        if dropout > 0 {
            let factors = try backend.makeTensor([Double](repeating: 1, count: b * r), shape: [b, r])
            try backend.dropout(factors, into: factors, mask: DropoutMask(rate: dropout, key: 4))
            mask = factors
        }
        let x = try tensor(distinct ?? n, i)
        let input: RecurrentInput = try distinct.map { count in
            .indexed(rows: x, index: try RowIndex(RowIndexLists((0..<n).map { Int32($0 % count) }), on: backend))
        } ?? .dense(x)
        let pass = RecurrentPass(
            cell: cell, layout: layout, input: input, weights: weights, h0: try tensor(b, r),
            c0: isLSTM ? try tensor(b, h) : nil, mask: mask, y: try tensor(n, r), hT: try tensor(b, r),
            cT: isLSTM ? try tensor(b, h) : nil,
            activations: try RecurrentActivations(cell: cell, rows: n, hidden: h, state: r, projected: r != h, on: backend))
        let sums = RecurrentWeights(wIH: try tensor(g, i), wHH: try tensor(g, r), wHR: r == h ? nil : try tensor(r, h),
                                    bIH: try tensor(g), bHH: try tensor(g))
        let gradients = RecurrentGradients(
            dy: try tensor(n, r), dhT: try tensor(b, r), dcT: isLSTM ? try tensor(b, h) : nil, dInput: try tensor(x.shape[0], i),
            dh0: try tensor(b, r), dc0: isLSTM ? try tensor(b, h) : nil, weights: sums)
        let results: [Tensor?] = [pass.y, pass.hT, pass.cT, gradients.dInput, gradients.dh0, gradients.dc0, sums.wIH,
                                  sums.wHH, sums.wHR, sums.bIH, sums.bHH]
        return Network(pass: pass, gradients: gradients, results: results.compactMap { $0 })
    }

    @Test(arguments: cells) func resultsDoNotDependOnTheNumberOfThreads(_ cell: RecurrentCell) throws {
        let lengths = [12, 11, 11, 9] + [Int](repeating: 7, count: 60) + [1, 0]
        for set in VectorMathTests.available {
            var bits: [[[UInt32]]] = []
            for threads in [1, 2, 3] {
                let backend = try CPUBackend(threads: threads, instructions: set)
                let network = try Self.network(cell, on: backend, lengths: lengths, input: 70, hidden: 90)
                try backend.recurrentForward(network.pass)
                try backend.recurrentBackward(network.pass, into: network.gradients)
                bits.append(try network.results.map { try backend.readFloats($0).map(\.bitPattern) })
            }
            #expect(bits[0] == bits[1] && bits[0] == bits[2], "\(set)")
        }
    }

    /// The scalar whose gradients `network.gradients` asks for.
    static func objective(_ network: Network, _ backend: CPUBackend) throws -> Double {
        try backend.recurrentForward(network.pass)
        var sum = 0.0
        let pairs: [(Tensor?, Tensor?)] = [(network.pass.y, network.gradients.dy), (network.pass.hT, network.gradients.dhT),
                                           (network.pass.cT, network.gradients.dcT)]
        for case let (value?, gradient?) in pairs {
            for (x, d) in zip(try backend.readDoubles(value), try backend.readDoubles(gradient)) { sum += x * d }
        }
        return sum
    }

    @Test(arguments: cells) func gradientsMatchFiniteDifferences(_ cell: RecurrentCell) throws {
        let backend = try CPUBackend(threads: 2)
        for state in cell.kind == .lstm ? [19, 6] : [19] {
            let network = try Self.network(cell, on: backend, lengths: [4, 3, 1, 0], input: 5, hidden: 19, state: state)
            let weights = network.pass.weights, sums = network.gradients.weights
            guard case .dense(let x) = network.pass.input else { return }
            let pairs: [(Tensor?, Tensor?)] = [
                (x, network.gradients.dInput), (network.pass.h0, network.gradients.dh0),
                (network.pass.c0, network.gradients.dc0), (weights.wIH, sums.wIH), (weights.wHH, sums.wHH),
                (weights.wHR, sums.wHR), (weights.bIH, sums.bIH), (weights.bHH, sums.bHH)]
            for case let (_, sum?) in pairs { try backend.fill(sum, with: 0) }
            try backend.recurrentForward(network.pass)
            try backend.recurrentBackward(network.pass, into: network.gradients)
            for case let (parameter?, gradient?) in pairs {
                let values = try backend.readFloats(parameter), expected = try backend.readDoubles(gradient)
                for i in stride(from: 0, to: values.count, by: max(1, values.count / 7)) {
                    var moved = values
                    // Central differences in float32: the step balances its square against rounding.
                    let step: Float = 0x1p-6
                    moved[i] = values[i] + step
                    try backend.write(moved, to: parameter)
                    let above = try Self.objective(network, backend)
                    moved[i] = values[i] - step
                    try backend.write(moved, to: parameter)
                    let below = try Self.objective(network, backend)
                    try backend.write(values, to: parameter)
                    let difference = (above - below) / Double(2 * step)
                    #expect(abs(difference - expected[i]) < 2e-3 * max(1, abs(difference)), "\(parameter.shape) element \(i)")
                }
            }
        }
    }

    @Test func inferenceComputesTheSameStatesAsTraining() throws {
        let backend = try CPUBackend()
        for cell in Self.cells {
            var network = try Self.network(cell, on: backend, lengths: [9, 5, 5, 2, 0], input: 8, hidden: 33)
            try backend.recurrentForward(network.pass)
            let trained = try backend.readFloats(network.pass.y) + backend.readFloats(network.pass.hT)
            network.pass.activations = nil
            try backend.fill(network.pass.y, with: .nan)
            try backend.recurrentForward(network.pass)
            #expect(try backend.readFloats(network.pass.y) + backend.readFloats(network.pass.hT) == trained)
        }
    }

    /// What a training keeps in 16 bits changes no state and gradients by roundings only, the same with any instructions and
    /// on any number of threads.
    @Test(arguments: cells) func compactActivationsAreTheSameBits(_ cell: RecurrentCell) throws {
        let lengths = [12, 11, 11, 9] + [Int](repeating: 7, count: 60) + [1, 0]
        // Where the form is another; a GRU that resets before its product keeps float32.
        let isCompact = cell.kind != .gru || cell.resetAfter
        struct Size { var hidden: Int, state: Int? = nil, dropout = 0.0, distinct: Int? = nil }
        var sizes = [Size(hidden: 33), Size(hidden: 96, distinct: 40), Size(hidden: 33, dropout: 0.4, distinct: 7)]
        if cell.kind == .lstm { sizes.append(Size(hidden: 33, state: 21, distinct: 7)) }
        for size in sizes {
            func made(on backend: CPUBackend) throws -> Network {
                try Self.network(cell, on: backend, lengths: lengths, input: 20, hidden: size.hidden, state: size.state, dropout: size.dropout,
                                 distinct: size.distinct)
            }
            var compact: [[[UInt32]]] = [], readable: [[Double]] = []
            for set in VectorMathTests.available where set != .plain {
                for threads in [1, 3] {
                    let backend = try CPUBackend(threads: threads, instructions: set, precision: .bfloat16)
                    if readable.isEmpty {
                        let network = try made(on: backend)
                        try backend.recurrentForward(network.pass)
                        try backend.recurrentBackward(network.pass, into: network.gradients)
                        readable = try network.results.map(backend.readDoubles)
                    }
                    var network = try made(on: backend)
                    network.pass.activations?.isOpaque = true
                    try backend.recurrentForward(network.pass)
                    try backend.recurrentBackward(network.pass, into: network.gradients)
                    let results = try network.results.map(backend.readDoubles)
                    let states = cell.kind == .lstm ? 3 : 2
                    #expect(Array(results.prefix(states)) == Array(readable.prefix(states)))
                    #expect((results != readable) == isCompact, "\(size)")
                    for (got, expected) in zip(results, readable) {
                        let largest = expected.map(abs).max() ?? 0
                        #expect(zip(got, expected).allSatisfy { abs($0 - $1) <= 3 * Precision.bfloat16.unitRoundoff * max(largest, 0.1) })
                    }
                    compact.append(try network.results.map { try backend.readFloats($0).map(\.bitPattern) })
                }
            }
            for other in compact.dropFirst() { #expect(other == compact[0], "\(size)") }
        }
    }
}
