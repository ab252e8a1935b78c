import CarouselCore
import CarouselReference
import Testing

/// One layer whose loss is a random weighting of everything it returns.
struct RecurrentProblem: CustomTestStringConvertible, Sendable {
    var cell: RecurrentCell
    var projection: Int?
    var lengths = [4, 3, 1, 0]
    var indexed = false
    var biases: [String] = ["bIH", "bHH"]
    var initialState = true
    var masked = false

    let inputWidth = 3, hidden = 4
    /// Table rows the packed rows of an indexed input refer to.
    let references: [Int32] = [5, 2, 5, 0, 2, 2, 7, 5]

    var testDescription: String {
        "\(cell.kind.rawValue) \(cell.activation.rawValue)/\(cell.recurrentActivation.rawValue)"
            + (cell.kind == .gru ? (cell.resetAfter ? " reset after" : " reset before") : "")
            + (projection == nil ? "" : " projected") + (indexed ? " indexed" : "")
            + (initialState ? "" : " zero state") + (masked ? " masked" : "") + " biases \(biases)"
    }

    var state: Int { projection ?? hidden }

    func values() -> Values {
        var generator = SeededGenerator(seed: 17, purpose: 2)
        let rows = lengths.reduce(0, +), batch = lengths.count, gates = cell.gateCount * hidden
        let inputRows = indexed ? RowIndexLists(references).distinct.count : rows
        var values: Values = [:]
        values["x"] = randomValues(inputRows * inputWidth, &generator)
        values["wIH"] = randomValues(gates * inputWidth, &generator)
        values["wHH"] = randomValues(gates * state, scale: 0.8, &generator)
        if projection != nil { values["wHR"] = randomValues(state * hidden, &generator) }
        for name in biases { values[name] = randomValues(gates, &generator) }
        if initialState {
            values["h0"] = randomValues(batch * state, &generator)
            if cell.kind == .lstm { values["c0"] = randomValues(batch * hidden, &generator) }
        }
        return values
    }

    /// 0 or 1 / (1 − 0.4) for each row and unit.
    private func mask(on backend: ReferenceBackend) throws -> Tensor? {
        guard masked else { return nil }
        var generator = SeededGenerator(seed: 19)
        return try backend.makeTensor((0..<lengths.count * state).map { _ in generator.uniform() < 0.4 ? 0 : 1 / 0.6 },
                                      shape: [lengths.count, state])
    }

    /// The layer's pass over `values` on a fresh reference.
    func pass(_ values: Values, on backend: ReferenceBackend) throws -> RecurrentPass {
        let layout = try PackedLayout(SequenceLayout(lengths: lengths), on: backend)
        let rows = layout.layout.rows, batch = lengths.count, gates = cell.gateCount * hidden
        func tensor(_ name: String, _ shape: Shape) throws -> Tensor? {
            try values[name].map { try backend.makeTensor($0, shape: shape) }
        }
        let input: RecurrentInput
        if indexed {
            let index = try RowIndex(RowIndexLists(references), on: backend)
            input = .indexed(rows: try #require(try tensor("x", [index.distinctCount, inputWidth])), index: index)
        } else {
            input = .dense(try #require(try tensor("x", [rows, inputWidth])))
        }
        let weights = RecurrentWeights(wIH: try #require(try tensor("wIH", [gates, inputWidth])),
                                       wHH: try #require(try tensor("wHH", [gates, state])),
                                       wHR: try tensor("wHR", [state, hidden]),
                                       bIH: try tensor("bIH", [gates]), bHH: try tensor("bHH", [gates]))
        let kept = try RecurrentActivations(cell: cell, rows: rows, hidden: hidden, state: state,
                                            projected: projection != nil, on: backend)
        return RecurrentPass(cell: cell, layout: layout, input: input, weights: weights,
                             h0: try tensor("h0", [batch, state]), c0: try tensor("c0", [batch, hidden]), mask: try mask(on: backend),
                             y: try backend.makeTensor(shape: [rows, state]), hT: try backend.makeTensor(shape: [batch, state]),
                             cT: cell.kind == .lstm ? try backend.makeTensor(shape: [batch, hidden]) : nil,
                             activations: kept)
    }

    /// Gradients of the outputs: dy, dhT, dcT.
    func outputGradients() -> Values {
        var generator = SeededGenerator(seed: 18)
        return ["y": randomValues(lengths.reduce(0, +) * state, &generator),
                "hT": randomValues(lengths.count * state, &generator),
                "cT": randomValues(lengths.count * hidden, &generator)]
    }

    func loss(_ values: Values) throws -> Double {
        let backend = ReferenceBackend()
        let pass = try pass(values, on: backend)
        try backend.recurrentForward(pass)
        let weighting = outputGradients()
        var loss = inner(try backend.readDoubles(pass.y), weighting["y"]!)
        loss += inner(try backend.readDoubles(pass.hT), weighting["hT"]!)
        if let cT = pass.cT { loss += inner(try backend.readDoubles(cT), weighting["cT"]!) }
        return loss
    }

    func gradients(_ values: Values) throws -> Values {
        let backend = ReferenceBackend()
        let pass = try pass(values, on: backend)
        try backend.recurrentForward(pass)
        let outputs = outputGradients()
        func started(_ tensor: Tensor?) throws -> Tensor? {
            guard let tensor else { return nil }
            let gradient = try backend.makeTensor(shape: tensor.shape)
            try backend.fill(gradient, with: 0.25)
            return gradient
        }
        let weights = RecurrentWeights(wIH: try #require(try started(pass.weights.wIH)),
                                       wHH: try #require(try started(pass.weights.wHH)),
                                       wHR: try started(pass.weights.wHR),
                                       bIH: try started(pass.weights.bIH), bHH: try started(pass.weights.bHH))
        let input: Tensor
        switch pass.input { case .dense(let x): input = x; case .indexed(let rows, _): input = rows }
        let g = RecurrentGradients(dy: try backend.makeTensor(outputs["y"]!, shape: pass.y.shape),
                                   dhT: try backend.makeTensor(outputs["hT"]!, shape: pass.hT.shape),
                                   dcT: try pass.cT.map { try backend.makeTensor(outputs["cT"]!, shape: $0.shape) },
                                   dInput: try backend.makeTensor(shape: input.shape),
                                   dh0: try pass.h0.map { try backend.makeTensor(shape: $0.shape) },
                                   dc0: try pass.c0.map { try backend.makeTensor(shape: $0.shape) }, weights: weights)
        try backend.recurrentBackward(pass, into: g)
        var result: Values = [:]
        func take(_ name: String, _ tensor: Tensor?, added: Double) throws {
            if let tensor { result[name] = try backend.readDoubles(tensor).map { $0 - added } }
        }
        try take("x", g.dInput, added: 0)
        try take("h0", g.dh0, added: 0)
        try take("c0", g.dc0, added: 0)
        try take("wIH", weights.wIH, added: 0.25)
        try take("wHH", weights.wHH, added: 0.25)
        try take("wHR", weights.wHR, added: 0.25)
        try take("bIH", weights.bIH, added: 0.25)
        try take("bHH", weights.bHH, added: 0.25)
        return result
    }

    static let all: [RecurrentProblem] = {
        var problems: [RecurrentProblem] = []
        for activation in Activation.allCases { problems.append(.init(cell: .init(.rnn, activation: activation))) }
        let lstms = [RecurrentCell(.lstm), RecurrentCell(.lstm, activation: .relu),
                     RecurrentCell(.lstm, recurrentActivation: .hardSigmoid), RecurrentCell(.lstm, activation: .linear)]
        problems += lstms.map { .init(cell: $0) }
        problems += lstms.map { .init(cell: $0, projection: 3) }
        for resetAfter in [true, false] {
            problems.append(.init(cell: .init(.gru, resetAfter: resetAfter)))
            problems.append(.init(cell: .init(.gru, activation: .relu, resetAfter: resetAfter)))
            problems.append(.init(cell: .init(.gru, recurrentActivation: .hardSigmoid, resetAfter: resetAfter)))
        }
        let cells = [RecurrentCell(.rnn), RecurrentCell(.lstm), RecurrentCell(.gru), RecurrentCell(.gru, resetAfter: false)]
        problems += cells.map { .init(cell: $0, indexed: true) }
        problems += cells.map { .init(cell: $0, biases: ["bIH"]) }
        problems += cells.map { .init(cell: $0, biases: ["bHH"]) }
        problems += cells.map { .init(cell: $0, biases: [], initialState: false) }
        problems += (cells + [RecurrentCell(.lstm, activation: .relu)]).map { .init(cell: $0, masked: true) }
        problems += [.init(cell: .init(.lstm), projection: 3, masked: true), .init(cell: .init(.gru), indexed: true, masked: true),
                     .init(cell: .init(.gru, resetAfter: false), biases: [], initialState: false, masked: true)]
        return problems
    }()
}

@Suite struct RecurrentGradientTests {
    @Test(arguments: RecurrentProblem.all)
    func agreesWithFiniteDifferences(_ problem: RecurrentProblem) throws {
        let values = problem.values()
        let gradients = try problem.gradients(values)
        #expect(Set(gradients.keys) == Set(values.keys))
        try expectGradients(gradients, of: problem.loss, at: values)
    }

    @Test(arguments: RecurrentProblem.all.filter { !$0.masked })
    func inferenceEqualsTraining(_ problem: RecurrentProblem) throws {
        let backend = ReferenceBackend()
        let values = problem.values()
        let training = try problem.pass(values, on: backend)
        var inference = try problem.pass(values, on: backend)
        inference.activations = nil
        try backend.recurrentForward(training)
        try backend.recurrentForward(inference)
        #expect(try backend.readDoubles(training.y) == backend.readDoubles(inference.y))
        #expect(try backend.readDoubles(training.hT) == backend.readDoubles(inference.hT))
        if let cT = training.cT, let other = inference.cT {
            #expect(try backend.readDoubles(cT) == backend.readDoubles(other))
        }
    }

    /// A batch gives what its sequences give alone.
    @Test func raggedBatchEqualsSingleSequences() throws {
        let batch = RecurrentProblem(cell: .init(.gru))
        let values = batch.values()
        let backend = ReferenceBackend()
        let pass = try batch.pass(values, on: backend)
        try backend.recurrentForward(pass)
        let layout = pass.layout.layout, hT = try backend.readDoubles(pass.hT)
        for (b, length) in batch.lengths.enumerated() {
            var single = batch
            single.lengths = [length]
            var alone = values
            alone["x"] = (0..<length).flatMap { t in
                let row = layout.row(step: t, sequence: b)
                return Array(values["x"]![row * batch.inputWidth ..< (row + 1) * batch.inputWidth])
            }
            alone["h0"] = Array(values["h0"]![b * batch.state ..< (b + 1) * batch.state])
            let one = try single.pass(alone, on: backend)
            try backend.recurrentForward(one)
            #expect(try backend.readDoubles(one.hT) == Array(hT[b * batch.state ..< (b + 1) * batch.state]))
        }
    }

    /// A mask of ones is none; one of zeros makes each step the first; a mask outside of training is refused.
    @Test(arguments: [RecurrentCell(.rnn), RecurrentCell(.lstm)]) func masksReachProductsOnly(_ cell: RecurrentCell) throws {
        let problem = RecurrentProblem(cell: cell), values = problem.values(), backend = ReferenceBackend()
        func states(_ factor: Double?, values: Values) throws -> [Double] {
            var pass = try problem.pass(values, on: backend)
            pass.mask = try factor.map { try backend.makeTensor([Double](repeating: $0, count: pass.hT.count), shape: pass.hT.shape) }
            try backend.recurrentForward(pass)
            return try backend.readDoubles(pass.y) + backend.readDoubles(pass.hT)
        }
        #expect(try states(1, values: values) == states(nil, values: values))
        var unconnected = values
        unconnected["wHH"] = values["wHH"]!.map { _ in 0 }
        #expect(try states(0, values: values) == states(nil, values: unconnected))

        var inference = try problem.pass(values, on: backend)
        inference.mask = try backend.makeTensor(shape: inference.hT.shape)
        inference.activations = nil
        #expect(throws: CarouselError.self) { try backend.recurrentForward(inference) }
    }

    @Test func emptyBatchesAreLegal() throws {
        for lengths in [[], [0, 0]] {
            let problem = RecurrentProblem(cell: .init(.lstm), lengths: lengths)
            let values = problem.values()
            let gradients = try problem.gradients(values)
            #expect(gradients["wHH"]!.allSatisfy { $0 == 0 })
            #expect(gradients["h0"]! == problem.outputGradients()["hT"]!)
            #expect(gradients["c0"]! == problem.outputGradients()["cT"]!)
        }
    }
}
