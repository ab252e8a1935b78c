import CarouselCore

/// A recurrent layer over one batch with everything that can be given or left out.
struct RecurrentCase: Sendable {
    var cell: RecurrentCell
    /// Descending.
    var lengths: [Int]
    var input: Int
    var hidden: Int
    /// R of an LSTM with projection.
    var projection: Int?
    var options: RecurrentOptions

    var state: Int { projection ?? hidden }
    var rows: Int { lengths.reduce(0, +) }

    /// Floating-point operations of training forward, inference and backward on the reference.
    var operations: Int {
        let perRow = 2 * cell.gateCount * hidden * (input + state) + 2 * (projection ?? 0) * hidden
        return 4 * rows * perRow
    }

    var name: String {
        let ragged = Set(lengths).count > 1 ? " ragged" : ""
        let functions = cell.kind == .rnn ? cell.activation.rawValue
            : "\(cell.activation.rawValue)/\(cell.recurrentActivation.rawValue)"
        let reset = cell.kind == .gru ? (cell.resetAfter ? " reset after" : " reset before") : ""
        return "\(cell.kind.rawValue) \(functions)\(reset) T\(lengths.first ?? 0) B\(lengths.count)\(ragged) I\(input) H\(hidden)"
            + (projection.map { " R\($0)" } ?? "") + options.description
    }
}

/// Optional operands of a pass, as bits so that a case can draw any combination.
struct RecurrentOptions: OptionSet, Sendable, CustomStringConvertible {
    let rawValue: Int
    static let indexed = RecurrentOptions(rawValue: 1 << 0)
    static let bIH = RecurrentOptions(rawValue: 1 << 1)
    static let bHH = RecurrentOptions(rawValue: 1 << 2)
    static let h0 = RecurrentOptions(rawValue: 1 << 3)
    static let c0 = RecurrentOptions(rawValue: 1 << 4)
    static let dy = RecurrentOptions(rawValue: 1 << 5)
    static let dhT = RecurrentOptions(rawValue: 1 << 6)
    static let dcT = RecurrentOptions(rawValue: 1 << 7)
    static let dInput = RecurrentOptions(rawValue: 1 << 8)
    static let dh0 = RecurrentOptions(rawValue: 1 << 9)
    static let dc0 = RecurrentOptions(rawValue: 1 << 10)
    /// The biases are given but not trained.
    static let frozenBiases = RecurrentOptions(rawValue: 1 << 11)
    /// Recurrent dropout.
    static let mask = RecurrentOptions(rawValue: 1 << 12)
    /// What the forward pass keeps is the backend's own affair, as in a training.
    static let opaque = RecurrentOptions(rawValue: 1 << 13)

    static let everything = RecurrentOptions(rawValue: (1 << 11) - 1).subtracting(.indexed)
    /// What classification of text by the last state trains with.
    static let classifier: RecurrentOptions = [.indexed, .bIH, .bHH, .dhT, .dInput]

    private static let names: [(RecurrentOptions, String)] = [
        (.indexed, "indexed"), (.bIH, "bIH"), (.bHH, "bHH"), (.h0, "h0"), (.c0, "c0"), (.dy, "dy"), (.dhT, "dhT"),
        (.dcT, "dcT"), (.dInput, "dInput"), (.dh0, "dh0"), (.dc0, "dc0"), (.frozenBiases, "frozen"),
    ]

    var description: String {
        if contains(.opaque) { return subtracting(.opaque).description + " opaque" }
        if contains(.mask) { return subtracting(.mask).description + " mask" }
        if self == .everything { return " everything" }
        if self == .classifier { return " classifier" }
        return Self.names.filter { contains($0.0) }.map { " " + $0.1 }.joined()
    }
}

extension RecurrentCase {
    /// Training forward, inference forward unless there is a mask, backward.
    func run(_ run: CaseRun) throws {
        let layout = SequenceLayout(lengths: lengths)
        let pass = try makePass(run, layout)
        try run.backend.recurrentForward(pass)
        try run.settle()
        // A mask belongs to training.
        if pass.mask == nil { try infer(run, pass, layout) }
        try run.backend.recurrentBackward(pass, into: makeGradients(run, pass, layout))
    }

    private func infer(_ run: CaseRun, _ pass: RecurrentPass, _ layout: SequenceLayout) throws {
        var inference = pass
        inference.activations = nil
        inference.y = try stateOutput(run, "y in inference", pass.y.shape, run.recurrentTolerance, .packed(layout, width: state))
        inference.hT = try stateOutput(run, "hT in inference", pass.hT.shape, run.recurrentTolerance, .grid("b", "unit", width: state))
        inference.cT = try pass.cT.map {
            try stateOutput(run, "cT in inference", $0.shape, run.recurrentTolerance, .grid("b", "unit", width: hidden))
        }
        try run.backend.recurrentForward(inference)
        try run.settle()
        // What a model answers must not depend on whether it also learns.
        try recordDifference(run, "y, inference - training", inference.y, pass.y, .packed(layout, width: state))
        try recordDifference(run, "hT, inference - training", inference.hT, pass.hT, .grid("b", "unit", width: state))
    }

    private func recordDifference(_ run: CaseRun, _ name: String, _ a: Tensor, _ b: Tensor, _ meaning: IndexMeaning) throws {
        let differences = zip(try run.backend.readDoubles(a), try run.backend.readDoubles(b)).map { $0 - $1 }
        run.record(name, differences, tolerance: Tolerance.exact, meaning)
    }

    /// Of W_ih.
    private var inputScale: Double { 1 / Double(input).squareRoot() }
    /// Of W_hh: keeps the states of relu and linear cells in range over 130 steps.
    private var stateScale: Double {
        (cell.activation == .relu || cell.activation == .linear ? 0.7 : 1) / Double(state).squareRoot()
    }

    /// A state: of order 1, unless it is the only one and happens to be near 0.
    private func stateOutput(_ run: CaseRun, _ name: String, _ shape: Shape, _ tolerance: Double,
                       _ meaning: IndexMeaning) throws -> Tensor {
        try run.output(name, shape, tolerance, meaning, smallestScale: 0.1)
    }

    /// A weight's gradient: a sum over the packed rows, of order √N.
    private func weightGradient(_ run: CaseRun, _ name: String, _ shape: Shape, _ tolerance: Double,
                     _ meaning: IndexMeaning) throws -> Tensor {
        try run.accumulator(name, shape, tolerance, meaning, smallestScale: 0.03 * Double(rows).squareRoot())
    }

    private func makePass(_ run: CaseRun, _ layout: SequenceLayout) throws -> RecurrentPass {
        let packed = try PackedLayout(layout, on: run.backend)
        let B = lengths.count, N = rows, G = cell.gateCount, H = hidden, R = state
        let x: RecurrentInput
        if options.contains(.indexed) {
            // Few distinct rows, each used several times, as the tokens of a text are.
            let references = run.drawIntegers(N, below: max(1, N / 3))
            let index = try RowIndex(RowIndexLists(references), on: run.backend)
            x = .indexed(rows: try run.input("rows", [index.distinctCount, input]), index: index)
        } else {
            x = .dense(try run.input("x", [N, input]))
        }
        let weights = RecurrentWeights(
            wIH: try run.input("wIH", [G * H, input], scale: inputScale),
            wHH: try run.input("wHH", [G * H, R], scale: stateScale),
            wHR: try projection == nil ? nil : run.input("wHR", [R, H], scale: 1.5 / Double(H).squareRoot()),
            bIH: try options.contains(.bIH) ? run.input("bIH", [G * H], scale: 0.5) : nil,
            bHH: try options.contains(.bHH) ? run.input("bHH", [G * H], scale: 0.5) : nil)
        let unit = IndexMeaning.packed(layout, width: H)
        func kept(_ name: String, _ width: Int, _ meaning: IndexMeaning) throws -> Tensor {
            guard !options.contains(.opaque) else { return try run.scratch(name, [N, width], type: run.backend.opaqueActivationType(of: cell)) }
            return try stateOutput(run, name, [N, width], run.recurrentTolerance, meaning)
        }
        let activations = RecurrentActivations(
            gates: try kept("gates", G * H, .packedGates(layout, cell, hidden: H)),
            previousH: try kept("previousH", R, .packed(layout, width: R)),
            c: try cell.kind == .lstm ? kept("c", H, unit) : nil,
            candidate: try cell.kind == .gru ? kept("candidate", H, unit) : nil,
            hidden: try projection == nil ? nil : kept("hidden", H, unit),
            isOpaque: options.contains(.opaque))
        return RecurrentPass(
            cell: cell, layout: packed, input: x, weights: weights,
            h0: try options.contains(.h0) ? run.input("h0", [B, R]) : nil,
            c0: try options.contains(.c0) && cell.kind == .lstm ? run.input("c0", [B, H]) : nil,
            mask: try options.contains(.mask) ? run.input("mask", mask(run, B * R), [B, R]) : nil,
            y: try stateOutput(run, "y", [N, R], run.recurrentTolerance, .packed(layout, width: R)),
            hT: try stateOutput(run, "hT", [B, R], run.recurrentTolerance, .grid("b", "unit", width: R)),
            cT: try cell.kind == .lstm ? stateOutput(run, "cT", [B, H], run.recurrentTolerance, .grid("b", "unit", width: H)) : nil,
            activations: activations)
    }

    /// 0 or 1 / (1 − 0.4).
    private func mask(_ run: CaseRun, _ count: Int) -> [Double] {
        run.draw(count).map { $0 < -0.2 ? 0 : 1 / 0.6 }
    }

    private func makeGradients(_ run: CaseRun, _ pass: RecurrentPass, _ layout: SequenceLayout) throws -> RecurrentGradients {
        let B = lengths.count, H = hidden, R = state, isLSTM = cell.kind == .lstm
        let tolerance = options.contains(.opaque) ? Tolerance.opaqueRecurrent(run.backend.precision) : run.recurrentTolerance
        // Sums over the gates, each a gradient of about 0.1 times a weight.
        let inputSum = 0.05 * Double(cell.gateCount * H).squareRoot() * inputScale
        let stateSum = 0.05 * Double(cell.gateCount * H).squareRoot() * stateScale
        let trainsBiases = !options.contains(.frozenBiases)
        let unit = IndexMeaning.grid("b", "unit", width: H), stateUnit = IndexMeaning.grid("b", "unit", width: R)
        let inputShape: Shape, inputMeaning: IndexMeaning
        switch pass.input {
        case .dense(let x): (inputShape, inputMeaning) = (x.shape, .packed(layout, width: input, "input"))
        case .indexed(let rows, _): (inputShape, inputMeaning) = (rows.shape, .grid("distinct row", "input", width: input))
        }
        let bias = IndexMeaning.gateRows(cell, hidden: H, width: 1, "bias")
        let weights = RecurrentWeights(
            wIH: try weightGradient(run, "dwIH", pass.weights.wIH.shape, tolerance,
                                     .gateRows(cell, hidden: H, width: input, "input")),
            wHH: try weightGradient(run, "dwHH", pass.weights.wHH.shape, tolerance,
                                     .gateRows(cell, hidden: H, width: R, "state")),
            wHR: try pass.weights.wHR.map {
                try weightGradient(run, "dwHR", $0.shape, tolerance, .grid("state", "unit", width: H))
            },
            bIH: try pass.weights.bIH.flatMap {
                trainsBiases ? try weightGradient(run, "dbIH", $0.shape, tolerance, bias) : nil
            },
            bHH: try pass.weights.bHH.flatMap {
                trainsBiases ? try weightGradient(run, "dbHH", $0.shape, tolerance, bias) : nil
            })
        return RecurrentGradients(
            dy: try options.contains(.dy) ? run.input("dy", pass.y.shape) : nil,
            dhT: try options.contains(.dhT) ? run.input("dhT", [B, R]) : nil,
            dcT: try options.contains(.dcT) && isLSTM ? run.input("dcT", [B, H]) : nil,
            dInput: try options.contains(.dInput)
                ? run.output("dInput", inputShape, tolerance, inputMeaning, smallestScale: inputSum) : nil,
            dh0: try options.contains(.dh0)
                ? run.output("dh0", [B, R], tolerance, stateUnit, smallestScale: stateSum) : nil,
            dc0: try options.contains(.dc0) && isLSTM
                ? run.output("dc0", [B, H], tolerance, unit, smallestScale: stateSum) : nil,
            weights: weights)
    }
}
