/// Shape checks shared by all backends, so that each message is written once.
public enum Requirements {
    /// Throws `internalError` naming the operation and all shapes when `condition` is false; only then are they listed.
    public static func check(_ condition: Bool, _ operation: @autoclosure () -> String,
                             _ tensors: @autoclosure () -> KeyValuePairs<String, Tensor?>) throws {
        guard !condition else { return }
        let shapes = tensors().compactMap { name, tensor in
            tensor.map { "\(name) \($0.shape)" + ([.int32, .bits16].contains($0.type) ? " \($0.type.rawValue)" : "") }
        }
        throw CarouselError(.internalError, "\(operation()): shapes do not fit: " + shapes.joined(separator: ", "))
    }

    public static func product(_ p: MatrixProduct) throws {
        let fits = p.a.shape.rank == 2 && p.b.shape.rank == 2 && p.c.shape.rank == 2
            && p.k == (p.transposeB ? p.b.shape[1] : p.b.shape[0]) && p.c.shape == [p.m, p.n]
            && (p.bias == nil || p.bias!.count == p.n)
        try check(fits, "matrix product (transpose \(p.transposeA), \(p.transposeB))",
                  ["a": p.a, "b": p.b, "bias": p.bias, "c": p.c])
    }

    /// The event fits the history.
    public static func event(_ number: Int, _ history: AdamHistory) throws {
        let fits = history.events.shape.rank == 2 && history.events.shape[1] == AdamHistory.width && history.last.count == 1
            && (1...max(1, history.events.shape[0])).contains(number)
        try check(fits, "event \(number) of Adam", ["events": history.events, "last": history.last])
    }

    /// All of the table have one shape, the gradients that of the rows.
    public static func adamRows(_ p: AdamRowsPass) throws {
        let shape = p.table.weights.shape, history = p.table.history
        let fits = shape.rank == 2 && p.table.m.shape == shape && p.table.v.shape == shape
            && (p.table.average == nil || p.table.average!.shape == shape) && history.marks.count == shape[0]
            && (p.gradients == nil || p.rows != nil && p.gradients!.shape == [p.rows!.count, shape[1]])
        try check(fits, "Adam of rows", ["weights": p.table.weights, "m": p.table.m, "v": p.table.v, "average": p.table.average,
                                         "marks": history.marks, "rows": p.rows, "gradients": p.gradients])
        try event(max(1, p.number), history)
    }

    /// - Parameter inParts: whether the device takes ranges of steps.
    public static func forward(_ p: RecurrentPass, inParts: Bool = false) throws {
        let n = p.layout.layout.rows, b = p.layout.layout.batchSize
        let h = p.hiddenWidth, r = p.weights.stateWidth, g = p.cell.gateCount * h
        var fits = p.weights.wIH.shape == [g, p.input.width] && p.weights.wHH.shape == [g, r]
            && p.y.shape == [n, r] && p.hT.shape == [b, r]
            && (p.weights.bIH == nil || p.weights.bIH!.count == g) && (p.weights.bHH == nil || p.weights.bHH!.count == g)
            && (p.h0 == nil || p.h0!.shape == [b, r]) && (p.c0 == nil || p.c0!.shape == [b, h])
            && (p.mask == nil || p.mask!.shape == [b, r] && p.activations != nil)
            && (p.cell.kind == .lstm) == (p.cT != nil) && (p.cT == nil || p.cT!.shape == [b, h])
        if let wHR = p.weights.wHR { fits = fits && p.cell.kind == .lstm && wHR.shape == [r, h] } else { fits = fits && r == h }
        switch p.input {
        case .dense(let x): fits = fits && x.shape[0] == n
        case .indexed(let rows, let index): fits = fits && rows.shape[0] == index.distinctCount && index.count == n
        }
        if let a = p.activations {
            fits = fits && a.gates.shape == [n, g] && a.previousH.shape == [n, r]
                && (p.cell.kind != .lstm || a.c?.shape == [n, h]) && (p.cell.kind != .gru || a.candidate?.shape == [n, h])
                && (p.weights.wHR == nil || a.hidden?.shape == [n, h])
                && a.previousH.type == a.gates.type && (a.c?.type ?? a.gates.type) == a.gates.type
                && (a.candidate?.type ?? a.gates.type) == a.gates.type && (a.hidden?.type ?? a.gates.type) == a.gates.type
                && (a.isOpaque || a.gates.type == p.y.type)
        }
        if let steps = p.steps {
            fits = fits && inParts && !steps.isEmpty && steps.lowerBound >= 0 && steps.upperBound <= p.layout.layout.steps
                && p.activations != nil && p.weights.wHR == nil
            if case .indexed(let rows, _) = p.input { fits = fits && p.projection?.shape == [rows.shape[0], g] }
        }
        let x: Tensor
        switch p.input { case .dense(let t): x = t; case .indexed(let t, _): x = t }
        try check(fits, "\(p.cell.kind.rawValue) forward, N \(n), B \(b)",
                  ["x": x, "wIH": p.weights.wIH, "wHH": p.weights.wHH, "wHR": p.weights.wHR, "bIH": p.weights.bIH,
                   "bHH": p.weights.bHH, "h0": p.h0, "c0": p.c0, "mask": p.mask, "y": p.y, "hT": p.hT, "cT": p.cT,
                   "gates": p.activations?.gates])
    }

    /// - Parameter inParts: whether the device takes ranges of steps.
    public static func backward(_ p: RecurrentPass, _ g: RecurrentGradients, inParts: Bool = false) throws {
        try forward(p, inParts: inParts)
        let n = p.layout.layout.rows, b = p.layout.layout.batchSize
        let h = p.hiddenWidth, r = p.weights.stateWidth
        func like(_ a: Tensor?, _ b: Tensor?) -> Bool { a == nil || (b != nil && a!.shape == b!.shape) }
        let inputRows: Tensor
        switch p.input { case .dense(let t): inputRows = t; case .indexed(let t, _): inputRows = t }
        let fits = p.activations != nil && (g.dy == nil || g.dy!.shape == [n, r]) && (g.dhT == nil || g.dhT!.shape == [b, r])
            && (g.dcT == nil || g.dcT!.shape == [b, h]) && like(g.dInput, inputRows)
            && (g.dh0 == nil || g.dh0!.shape == [b, r]) && (g.dc0 == nil || g.dc0!.shape == [b, h])
            && like(g.weights.wIH, p.weights.wIH) && like(g.weights.wHH, p.weights.wHH) && like(g.weights.wHR, p.weights.wHR)
            && like(g.weights.bIH, p.weights.bIH) && like(g.weights.bHH, p.weights.bHH)
            && (g.weights.wHR == nil) == (p.weights.wHR == nil)
            && (p.steps == nil || g.dh0 != nil && (g.dc0 != nil || p.cell.kind != .lstm))
        try check(fits, "\(p.cell.kind.rawValue) backward, N \(n), B \(b)",
                  ["dy": g.dy, "dhT": g.dhT, "dcT": g.dcT, "dInput": g.dInput, "dh0": g.dh0, "dc0": g.dc0,
                   "dwIH": g.weights.wIH, "dwHH": g.weights.wHH, "dwHR": g.weights.wHR, "dbIH": g.weights.bIH,
                   "dbHH": g.weights.bHH, "gates": p.activations?.gates])
    }
}
