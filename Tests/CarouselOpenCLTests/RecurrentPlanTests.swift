import CarouselCore
@testable import CarouselOpenCL
import Foundation
import Testing

/// The plans in which work-groups own units, against Double loops, each other and planted time-outs.
@Suite("Recurrent plans", .serialized, .enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason))
struct RecurrentPlanTests {
    private static let cells = [RecurrentCell(.rnn), RecurrentCell(.lstm), RecurrentCell(.gru), RecurrentCell(.gru, resetAfter: false)]
    private static let ragged = [6, 5, 4, 4, 4, 4, 4, 4, 4, 3, 2, 1, 0]

    /// The gpu kernels with one plan, some of their files replaced.
    private func backend(_ plan: RecurrentPlan?, replacing edited: [String: String] = [:]) throws -> OpenCLBackend {
        var environment = ProcessInfo.processInfo.environment
        environment["CAROUSEL_KERNEL_CACHE"] = "off"
        return try OpenCLBackend(device: 0, cacheDirectory: nil, environment: environment, family: .gpu, recurrentPlan: plan, replacing: edited)
    }

    /// One tile for several blocks of rows, a tile for each of two groups, more tiles than PoCL runs groups.
    @Test(arguments: [RecurrentPlan.fused, .persistent]) func areRight(_ plan: RecurrentPlan) throws {
        let backend = try backend(plan)
        for cell in Self.cells {
            for (variant, hidden) in [5, 16, 17].enumerated() {
                let test = RecurrentCase(cell: cell, lengths: Self.ragged, hidden: hidden, indexed: variant == 1, biases: variant != 2,
                                         initialState: variant != 1, optionalGradients: variant != 2)
                let errors = try test.errors(on: backend)
                #expect(errors.forward < 1e-5, "\(plan), \(cell), H \(hidden)")
                #expect(errors.backward < 5e-5, "\(plan), \(cell), H \(hidden): \(errors.worst)")
            }
        }
    }

    /// However many groups share the work, the sums are the same.
    @Test func fusedAndPersistentGiveTheSameBits() throws {
        let fused = try backend(.fused), persistent = try backend(.persistent)
        for cell in Self.cells {
            for rate in [0, 0.3] {
                let layer = PlannedLayer(cell: cell, lengths: Self.ragged, hidden: 40, dropout: rate)
                #expect(try layer.bits(on: fused) == layer.bits(on: persistent), "\(cell), dropout \(rate)")
            }
        }
        #expect(!persistent.meetings.refused)
    }

    /// More groups than compute units, where they were seen to run at once: a device that is told to have one core finds that as many
    /// groups as it has cores meet, and four times as many do not. The bits are the same.
    @Test(.enabled(if: OpenCLBackend.devices().devices.first.map { $0.computeUnits > 1 } ?? false, "one compute unit runs one group"))
    func residencyIsMeasured() throws {
        let layer = PlannedLayer(cell: RecurrentCell(.lstm), lengths: Self.ragged, hidden: 40)
        let bits = try layer.bits(on: backend(.fused))
        var persistent = try backend(.persistent), found: [Int] = []
        let units = persistent.meetings.units
        // Another program on the machine can keep a group away from its core, but never add one.
        for _ in 0..<5 where !found.contains(units) {
            persistent = try backend(.persistent)
            persistent.meetings.units = 1
            persistent.meetings.shares = [4 * units, units, 1]
            #expect(try layer.bits(on: persistent) == bits)
            #expect(persistent.meetings.resident.count == 2 && !persistent.meetings.refused)
            found = Array(persistent.meetings.resident.values)
            #expect(found.allSatisfy { [1, units].contains($0) })
        }
        #expect(found.contains(units))
        let plan = persistent.recurrentPlan(cell: RecurrentCell(.lstm), input: 4, hidden: 40, state: 40, batch: 13)
        #expect(plan.contains("work-groups that meet after every step"))
    }

    @Test func rulesChoose() {
        let rules = [RecurrentPlan.Rule(device: "acme", work: 10, choice: RecurrentChoice(plan: .persistent, reason: "measured"))] + RecurrentPlan.rules
        #expect(RecurrentPlan.choice(work: 10, device: "ACME Corporation X1", rules: rules).plan == .persistent)
        #expect(RecurrentPlan.choice(work: 11, device: "ACME Corporation X1", rules: rules).plan == .fused)
        #expect(RecurrentPlan.choice(work: 10, device: "Other", rules: rules).plan == .fused)
        #expect(RecurrentPlan.choice(work: .max, device: "Other").plan == .stepwise)
    }

    /// A product so deep that its weights are read in two parts.
    @Test func deepProductsAreRight() throws {
        let layer = PlannedLayer(cell: RecurrentCell(.gru), lengths: [2, 2, 1], hidden: 1030)
        func outputs(_ plan: RecurrentPlan) throws -> [Double] { try layer.outputs(on: try backend(plan)).map(Double.init) }
        #expect(try relativeError(outputs(.fused), outputs(.stepwise)) < 1e-5)
    }

    /// Groups that do not meet, in the first phases and later ones, forward and backward: the rest is made up for, also in
    /// launches that were queued before the host knew, the host says so once and goes on with another plan.
    @Test(.enabled(if: OpenCLBackend.devices().devices.first.map { $0.computeUnits > 1 } ?? false, "one compute unit has nobody to wait for"),
          arguments: [(RecurrentCell(.lstm), "(COLUMN_GATES == 1 || awaited <= 4) && i < limit"),
                      (RecurrentCell(.gru, resetAfter: false), "(COLUMN_GATES > 1 || awaited <= 6) && i < limit")])
    func timeOutsAreRepaired(_ cell: RecurrentCell, patience: String) throws {
        let text = try KernelSources(environment: [:]).text("recurrent.cl"), condition = "together = i < limit"
        try #require(text.ranges(of: condition).count == 1)
        let impatient = try backend(.persistent, replacing: ["recurrent.cl": text.replacing(condition, with: "together = " + patience)])
        var said: [String] = []
        impatient.notice = { said.append($0) }
        let layer = PlannedLayer(cell: cell, lengths: Self.ragged, hidden: 40, dropout: 0.3), expected = try layer.bits(on: try backend(.fused))
        #expect(impatient.recurrentPlan(cell: cell, input: 4, hidden: 40, state: 40, batch: 13).hasPrefix("persistent"))
        for _ in 0..<2 { #expect(try layer.bits(on: impatient, passes: 2) == expected) }
        #expect(said.count == 1 && said[0].contains("did not meet in time"), "\(said)")
        let plan = impatient.recurrentPlan(cell: cell, input: 4, hidden: 40, state: 40, batch: 13)
        #expect(plan.hasPrefix("fused step") && plan.contains("did not meet"), "\(plan)")
    }

    @Test func plansHaveNames() throws {
        let plans = try OpenCLBackend.plans(device: 0)
        for title in ["stepwise", "fused step", "persistent"] { #expect(plans.contains("gpu kernels, \(title)")) }
        #expect(Set(plans).count == plans.count)
        for plan in plans { #expect(try OpenCLBackend(device: 0, plan: plan)?.plan == plan) }
        #expect(try OpenCLBackend(device: 0, plan: "gpu kernels, sideways") == nil)
        let error = try #require(throws: CarouselError.self) {
            _ = try DeviceSupport.backend(.gpu, adding: ["CAROUSEL_RECURRENT_PLAN": "sideways"])
        }
        #expect(error.status == .badConfiguration && error.hint == "stepwise, fused, persistent")
        #expect(try DeviceSupport.backend(.gpu, adding: ["CAROUSEL_RECURRENT_PLAN": "fused"]).plan == "gpu kernels, fused step")
    }

    @Test func shapesDecide() throws {
        let backend = try backend(nil), lstm = RecurrentCell(.lstm)
        func plan(_ hidden: Int, _ state: Int, _ batch: Int) -> String {
            backend.recurrentPlan(cell: lstm, input: 8, hidden: hidden, state: state, batch: batch)
        }
        #expect(plan(128, 128, 64).hasPrefix("fused step (gpu kernels; little work in a step)"))
        #expect(plan(1024, 1024, 128).hasPrefix("stepwise (gpu kernels; much work in a step)"))
        #expect(plan(128, 64, 64).hasPrefix("stepwise (gpu kernels; a projection"))
    }

    @Test func tilingsCoverEveryWidth() throws {
        for gates in 1...4 {
            for hidden in [1, 7, 8, 9, 128, 129, 511, 1024, 1025, 2048, 4099] {
                let depth = gates == 1 ? 4 * hidden : hidden
                let tiling = try #require(RecurrentTiling(gates: gates, hidden: hidden, depth: depth, localMemory: 48 << 10, largestWorkGroup: 1024))
                #expect(tiling.slices * tiling.keep * tiling.blocks >= depth && tiling.tiles * tiling.units >= hidden)
                #expect(tiling.keep <= 128 && tiling.keep % 4 == 0)
                #expect(tiling.rows * (tiling.slices * (tiling.keep + 4) + tiling.items) * 4 < 48 << 10)
                // With less local memory fewer rows at a time, and nothing else that decides a sum.
                let small = try #require(RecurrentTiling(gates: gates, hidden: hidden, depth: depth, localMemory: 24 << 10, largestWorkGroup: 256))
                #expect((small.slices, small.keep, small.blocks) == (tiling.slices, tiling.keep, tiling.blocks) && small.rows <= tiling.rows)
            }
        }
        #expect(RecurrentTiling(gates: 4, hidden: 64, depth: 64, localMemory: 1 << 10, largestWorkGroup: 1024) == nil)
        #expect(RecurrentTiling(gates: 4, hidden: 64, depth: 64, localMemory: 48 << 10, largestWorkGroup: 128) == nil)
    }
}

/// A layer with random weights whose results on two backends can be compared bit by bit.
private struct PlannedLayer {
    var cell: RecurrentCell
    var lengths: [Int]
    var hidden: Int
    /// Recurrent dropout, in training.
    var dropout = 0.0
    private let input = 4

    private func numbers(_ purpose: UInt64, _ count: Int, _ size: Double = 0.6) -> [Double] {
        var random = SeededGenerator(seed: 3, purpose: purpose)
        return (0..<count).map { _ in random.normal() * size }
    }

    private func pass(on backend: any Backend, training: Bool) throws -> RecurrentPass {
        let layout = SequenceLayout(lengths: lengths), g = cell.gateCount * hidden, n = layout.rows, b = lengths.count
        let isLSTM = cell.kind == .lstm
        var mask: Tensor?
        if training, dropout > 0 {
            let factors = try backend.makeTensor([Double](repeating: 1, count: b * hidden), shape: [b, hidden])
            try backend.dropout(factors, into: factors, mask: DropoutMask(rate: dropout, key: 9))
            mask = factors
        }
        return RecurrentPass(
            cell: cell, layout: try PackedLayout(layout, on: backend), input: .dense(try backend.makeTensor(numbers(1, n * input), shape: [n, input])),
            weights: RecurrentWeights(
                wIH: try backend.makeTensor(numbers(2, g * input), shape: [g, input]),
                wHH: try backend.makeTensor(numbers(3, g * hidden, 1 / Double(hidden).squareRoot()), shape: [g, hidden]),
                bIH: try backend.makeTensor(numbers(4, g), shape: [g])),
            h0: try backend.makeTensor(numbers(5, b * hidden), shape: [b, hidden]),
            c0: isLSTM ? try backend.makeTensor(numbers(6, b * hidden), shape: [b, hidden]) : nil, mask: mask,
            y: try backend.makeTensor(shape: [n, hidden]), hT: try backend.makeTensor(shape: [b, hidden]),
            cT: isLSTM ? try backend.makeTensor(shape: [b, hidden]) : nil,
            activations: training ? try RecurrentActivations(cell: cell, rows: n, hidden: hidden, state: hidden, projected: false, on: backend) : nil)
    }

    /// y and h_T in inference.
    func outputs(on backend: any Backend) throws -> [Float] {
        let pass = try pass(on: backend, training: false)
        try backend.recurrentForward(pass)
        return try backend.readFloats(pass.y) + backend.readFloats(pass.hT)
    }

    /// Outputs and gradients of training passes one after another, of which the host reads only the last: the bits.
    func bits(on backend: any Backend, passes: Int = 1) throws -> [UInt32] {
        var read: [Tensor] = []
        for _ in 0..<passes {
            let pass = try pass(on: backend, training: true)
            try backend.recurrentForward(pass)
            let n = pass.layout.layout.rows, b = lengths.count, g = cell.gateCount * hidden
            func zeros(_ shape: Shape) throws -> Tensor { try backend.makeTensor([Float](repeating: 0, count: shape.count), shape: shape) }
            let gradients = RecurrentGradients(
                dy: try backend.makeTensor(numbers(7, n * hidden), shape: [n, hidden]),
                dhT: try backend.makeTensor(numbers(8, b * hidden), shape: [b, hidden]), dInput: try zeros([n, input]),
                dh0: try zeros([b, hidden]), dc0: pass.cT == nil ? nil : try zeros([b, hidden]),
                weights: RecurrentWeights(wIH: try zeros([g, input]), wHH: try zeros([g, hidden]), bIH: try zeros([g])))
            try backend.recurrentBackward(pass, into: gradients)
            read = [pass.y, pass.hT] + [pass.cT, gradients.dInput, gradients.dh0, gradients.dc0, gradients.weights.wIH, gradients.weights.wHH,
                                        gradients.weights.bIH].compactMap { $0 }
        }
        return try read.flatMap { try backend.readFloats($0).map(\.bitPattern) }
    }
}
