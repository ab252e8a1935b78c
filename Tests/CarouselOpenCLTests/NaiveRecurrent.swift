import CarouselCore
import Foundation

/// Recurrent forward passes in Double, one scalar at a time: the oracle of these tests. Gradients are central
/// differences of a random linear function of all outputs.
struct NaiveRecurrent {
    var cell: RecurrentCell
    var layout: SequenceLayout
    var inputWidth: Int
    var hiddenWidth: Int
    var stateWidth: Int
    /// Table row of each packed row; nil = dense.
    var references: [Int32]?

    /// Everything a pass reads, as flat arrays by name: x, wIH, wHH, wHR, bIH, bHH, h0, c0.
    var operands: [String: [Double]] = [:]

    var packed: [Int32] { references ?? (0..<Int32(layout.rows)).map { $0 } }

    func act(_ a: Activation, _ x: Double) -> Double {
        switch a {
        case .linear: x
        case .tanh: Foundation.tanh(x)
        case .sigmoid: 1 / (1 + Foundation.exp(-x))
        case .relu: max(x, 0)
        case .hardSigmoid: min(max(x + 3, 0), 6) / 6
        }
    }

    /// y [N, R], hT [B, R], cT [B, H].
    func forward() -> (y: [Double], hT: [Double], cT: [Double]) {
        let h = hiddenWidth, r = stateWidth, b = layout.batchSize, g = cell.gateCount
        let x = operands["x"] ?? [], wIH = operands["wIH"] ?? [], wHH = operands["wHH"] ?? []
        let bIH = operands["bIH"] ?? [Double](repeating: 0, count: g * h)
        let bHH = operands["bHH"] ?? [Double](repeating: 0, count: g * h)
        var hT = operands["h0"] ?? [Double](repeating: 0, count: b * r)
        var cT = operands["c0"] ?? [Double](repeating: 0, count: b * h)
        var y = [Double](repeating: 0, count: layout.rows * r)
        let rows = packed
        for t in 0..<layout.steps {
            for s in 0..<layout.activeRows[t] {
                let n = layout.row(step: t, sequence: s), from = Int(rows[n])
                let before = Array(hT[s * r ..< (s + 1) * r])
                func a(_ j: Int) -> Double {
                    (0..<inputWidth).reduce(bIH[j]) { $0 + wIH[j * inputWidth + $1] * x[from * inputWidth + $1] }
                }
                func u(_ j: Int, _ v: [Double]) -> Double { (0..<r).reduce(bHH[j]) { $0 + wHH[j * r + $1] * v[$1] } }
                var after = [Double](repeating: 0, count: h)
                let f = { act(cell.activation, $0) }, sigma = { act(cell.recurrentActivation, $0) }
                switch cell.kind {
                case .rnn:
                    for j in 0..<h { after[j] = f(a(j) + u(j, before)) }
                case .lstm:
                    for j in 0..<h {
                        let i = sigma(a(j) + u(j, before)), forget = sigma(a(h + j) + u(h + j, before))
                        let new = f(a(2 * h + j) + u(2 * h + j, before)), o = sigma(a(3 * h + j) + u(3 * h + j, before))
                        cT[s * h + j] = forget * cT[s * h + j] + i * new
                        after[j] = o * f(cT[s * h + j])
                    }
                case .gru:
                    let reset = (0..<h).map { sigma(a($0) + u($0, before)) }
                    let gated = (0..<h).map { reset[$0] * before[$0] }
                    for j in 0..<h {
                        let z = sigma(a(h + j) + u(h + j, before))
                        let new = cell.resetAfter ? f(a(2 * h + j) + reset[j] * u(2 * h + j, before))
                            : f(a(2 * h + j) + u(2 * h + j, gated))
                        after[j] = z * before[j] + (1 - z) * new
                    }
                }
                if let wHR = operands["wHR"] {
                    after = (0..<r).map { q in (0..<h).reduce(0) { $0 + wHR[q * h + $1] * after[$1] } }
                }
                for j in 0..<r {
                    hT[s * r + j] = after[j]
                    y[n * r + j] = after[j]
                }
            }
        }
        return (y, hT, cT)
    }
}

/// Runs one case on a backend and on the oracle.
struct RecurrentCase {
    var cell: RecurrentCell
    var lengths: [Int]
    var input = 4
    var hidden = 5
    var state: Int? = nil
    var indexed = false
    var biases = true
    var initialState = true
    var optionalGradients = true

    /// Largest relative errors: of outputs, of sampled gradients; and the name of the worst gradient.
    func errors(on backend: any Backend) throws -> (forward: Double, backward: Double, worst: String) {
        var random = SeededGenerator(seed: 11)
        func numbers(_ count: Int, _ size: Double = 0.6) -> [Double] {
            (0..<count).map { _ in Double(Float(random.normal() * size)) }
        }
        let layout = SequenceLayout(lengths: lengths)
        let r = state ?? hidden, g = cell.gateCount * hidden, n = layout.rows, b = lengths.count
        var naive = NaiveRecurrent(cell: cell, layout: layout, inputWidth: input, hiddenWidth: hidden, stateWidth: r)
        var index: RowIndex?
        var lists: RowIndexLists?
        if indexed {
            let references = (0..<n).map { _ in Int32(truncatingIfNeeded: random.next() % 7) }
            let found = RowIndexLists(references)
            lists = found
            index = try RowIndex(found, on: backend)
            naive.references = found.positions
        }
        let rows = lists?.distinct.count ?? n
        let scale = 1 / Double(hidden).squareRoot()
        naive.operands["x"] = numbers(rows * input)
        naive.operands["wIH"] = numbers(g * input, 1 / Double(input).squareRoot())
        naive.operands["wHH"] = numbers(g * r, scale)
        if state != nil { naive.operands["wHR"] = numbers(r * hidden, scale) }
        if biases {
            naive.operands["bIH"] = numbers(g)
            naive.operands["bHH"] = numbers(g)
        }
        if initialState {
            naive.operands["h0"] = numbers(b * r)
            if cell.kind == .lstm { naive.operands["c0"] = numbers(b * hidden) }
        }
        let shapes: [String: Shape] = ["x": [rows, input], "wIH": [g, input], "wHH": [g, r], "wHR": [r, hidden],
                                       "bIH": [g], "bHH": [g], "h0": [b, r], "c0": [b, hidden]]
        // Each operand lies in the middle of a larger buffer, so that offsets matter; `before` marks += results.
        func place(_ values: [Double], _ shape: Shape) throws -> Tensor {
            let whole = try backend.makeTensor([Double](repeating: .nan, count: 3) + values + [.nan], shape: [values.count + 4])
            return Tensor(buffer: whole.buffer, offset: 3, shape: shape)
        }
        func blank(_ shape: Shape, _ value: Double = .nan) throws -> Tensor {
            try place([Double](repeating: value, count: shape.count), shape)
        }
        var on: [String: Tensor] = [:]
        for (name, values) in naive.operands { on[name] = try place(values, shapes[name]!) }
        let activations = try RecurrentActivations(cell: cell, rows: n, hidden: hidden, state: r, projected: state != nil,
                                                   on: backend)
        let isLSTM = cell.kind == .lstm
        var pass = RecurrentPass(
            cell: cell, layout: try PackedLayout(layout, on: backend),
            input: index.map { .indexed(rows: on["x"]!, index: $0) } ?? .dense(on["x"]!),
            weights: RecurrentWeights(wIH: on["wIH"]!, wHH: on["wHH"]!, wHR: on["wHR"], bIH: on["bIH"], bHH: on["bHH"]),
            h0: on["h0"], c0: on["c0"], y: try blank([n, r]), hT: try blank([b, r]),
            cT: isLSTM ? try blank([b, hidden]) : nil, activations: nil)
        var forwardError = 0.0
        let expected = naive.forward()
        for training in [false, true] {
            pass.activations = training ? activations : nil
            try backend.recurrentForward(pass)
            forwardError = max(forwardError, relativeError(try backend.readDoubles(pass.y), expected.y),
                               relativeError(try backend.readDoubles(pass.hT), expected.hT))
            if let cT = pass.cT {
                forwardError = max(forwardError, relativeError(try backend.readDoubles(cT), expected.cT))
            }
        }

        let dy = numbers(n * r), dhT = numbers(b * r), dcT = numbers(b * hidden)
        let gradients = RecurrentGradients(
            dy: try place(dy, [n, r]), dhT: optionalGradients ? try place(dhT, [b, r]) : nil,
            dcT: optionalGradients && isLSTM ? try place(dcT, [b, hidden]) : nil,
            dInput: try blank(shapes["x"]!), dh0: initialState ? try blank([b, r]) : nil,
            dc0: initialState && isLSTM ? try blank([b, hidden]) : nil,
            weights: RecurrentWeights(
                wIH: try blank([g, input], 0.25), wHH: try blank([g, r], 0.25),
                wHR: state == nil ? nil : try blank([r, hidden], 0.25),
                bIH: biases ? try blank([g], 0.25) : nil, bHH: biases ? try blank([g], 0.25) : nil))
        try backend.recurrentBackward(pass, into: gradients)

        func loss() -> Double {
            let out = naive.forward()
            var sum = zip(out.y, dy).reduce(0) { $0 + $1.0 * $1.1 }
            if optionalGradients {
                sum += zip(out.hT, dhT).reduce(0) { $0 + $1.0 * $1.1 }
                if isLSTM { sum += zip(out.cT, dcT).reduce(0) { $0 + $1.0 * $1.1 } }
            }
            return sum
        }
        let results: [(String, Tensor?, Double)] = [
            ("x", gradients.dInput, 0), ("wIH", gradients.weights.wIH, 0.25), ("wHH", gradients.weights.wHH, 0.25),
            ("wHR", gradients.weights.wHR, 0.25), ("bIH", gradients.weights.bIH, 0.25),
            ("bHH", gradients.weights.bHH, 0.25), ("h0", gradients.dh0, 0), ("c0", gradients.dc0, 0),
        ]
        var worst = (0.0, "")
        for (name, tensor, before) in results {
            guard let tensor, tensor.count > 0 else { continue }
            let actual = try backend.readDoubles(tensor)
            let step = 1e-5
            var sampled: [Double] = [], wanted: [Double] = []
            for i in stride(from: 0, to: actual.count, by: max(1, actual.count / 40)) {
                let value = naive.operands[name]![i]
                naive.operands[name]![i] = value + step
                let high = loss()
                naive.operands[name]![i] = value - step
                let low = loss()
                naive.operands[name]![i] = value
                sampled.append(actual[i] - before)
                wanted.append((high - low) / (2 * step))
            }
            let error = relativeError(sampled, wanted)
            if error > worst.0 || error.isNaN { worst = (error, "d\(name)") }
        }
        return (forwardError, worst.0, worst.1)
    }
}

/// max |a − b| / max(max |b|, 1e-3); infinite when a value is not finite.
func relativeError(_ a: [Double], _ b: [Double]) -> Double {
    guard a.count == b.count else { return .infinity }
    guard a.allSatisfy(\.isFinite) else { return .infinity }
    let size = max(b.map(abs).max() ?? 0, 1e-3)
    return zip(a, b).map { abs($0 - $1) }.reduce(0, max) / size
}
