import CarouselCore
@testable import CarouselOpenCL
import Foundation
import Testing

/// What a pass saves for its way back in 16 bits, and what reads it there.
@Suite("Compact activations", .serialized, .enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason))
struct CompactActivationTests {
    private static let cells = [RecurrentCell(.rnn), RecurrentCell(.lstm), RecurrentCell(.gru), RecurrentCell(.gru, resetAfter: false)]

    private func backend(_ plan: RecurrentPlan, _ precision: Precision, cache: URL? = nil,
                         replacing edited: [String: String] = [:]) throws -> OpenCLBackend {
        let environment = ["CAROUSEL_KERNEL_CACHE": cache == nil ? "off" : "on"]
        return try OpenCLBackend(device: 0, cacheDirectory: cache, environment: environment, family: .gpu, recurrentPlan: plan, precision: precision,
                                 replacing: edited)
    }

    /// The largest error of a gradient relative to its tensor, and whether the states have the same bits.
    private func compared(_ compact: [[Float]], _ readable: [[Float]], states: Int) -> (error: Float, sameStates: Bool) {
        var worst: Float = 0
        for (got, expected) in zip(compact, readable).dropFirst(states) {
            let largest = max(expected.map(abs).max() ?? 0, 0.01)
            for (x, y) in zip(got, expected) { worst = abs(x - y) <= .infinity ? max(worst, abs(x - y) / largest) : .infinity }
        }
        return (worst, Array(compact.prefix(states)) == Array(readable.prefix(states)))
    }

    /// One test, so that programs are built once.
    @Test func theFormsChangeRoundingsOnly() throws {
        try DeviceSupport.withFolder { cache in
            let bfloat16 = try backend(.stepwise, .bfloat16, cache: cache)
            for cell in Self.cells { try changesGradientsByRoundingsOnly(cell, on: bfloat16) }
            try changesGradientsByRoundingsOnly(RecurrentCell(.lstm), on: backend(.stepwise, .float16))
            try wrongFormsAreFound(bfloat16, cache: cache)
            let fused = try backend(.fused, .bfloat16), persistent = try backend(.persistent, .bfloat16)
            try givesTheSameBits(RecurrentCell(.lstm), [[bfloat16], [fused, persistent]])
            try givesTheSameBits(RecurrentCell(.gru, resetAfter: false), [[bfloat16], [fused]])
            #expect(!persistent.meetings.refused)
        }
    }

    /// States keep their bits.
    private func changesGradientsByRoundingsOnly(_ cell: RecurrentCell, on backend: OpenCLBackend) throws {
        for (indexed, masked) in [(false, true), (true, false)] {
            let readable = try StepRangeTests.results(cell, indexed: indexed, masked: masked, on: backend)
            let compact = try StepRangeTests.results(cell, indexed: indexed, masked: masked, isOpaque: true, on: backend)
            let (error, sameStates) = compared(compact, readable, states: cell.kind == .lstm ? 3 : 2)
            #expect(sameStates, "\(cell), indexed \(indexed), masked \(masked)")
            #expect(error > 0 && error <= 3 * Float(backend.precision.unitRoundoff), "\(cell), indexed \(indexed), masked \(masked): \(error)")
        }
    }

    /// Each place that is read in another form than it was written shows.
    private func wrongFormsAreFound(_ sound: OpenCLBackend, cache: URL) throws {
        let text = try KernelSources(environment: [:]).text("lstm.cl"), cell = RecurrentCell(.lstm)
        let readable = try StepRangeTests.results(cell, indexed: true, on: sound)
        for (old, new) in [("RESTORE(S, GATE, gates + H)", "RESTORE(S, SIGNED, gates + H)"),
                           ("RESTORE(S, SIGNED, gates + 2 * H)", "RESTORE(S, GATE, gates + 2 * H)"),
                           ("SAVE(S, OPERAND, activate_backward_##S(ACTIVATION, g", "SAVE(S, SIGNED, activate_backward_##S(ACTIVATION, g")] {
            try #require(text.ranges(of: old).count == 1)
            let faulty = try backend(.stepwise, .bfloat16, cache: cache, replacing: ["lstm.cl": text.replacing(old, with: new)])
            let (error, sameStates) = compared(try StepRangeTests.results(cell, indexed: true, isOpaque: true, on: faulty), readable, states: 3)
            #expect(sameStates && error > 3 * Float(Precision.bfloat16.unitRoundoff), "\(new): \(error)")
        }
    }

    /// However the steps are cut, on all backends of a group; a dense projection lies apart from the gates, call by call.
    private func givesTheSameBits(_ cell: RecurrentCell, _ groups: [[OpenCLBackend]]) throws {
        for (indexed, masked) in [(false, true), (true, false)] {
            for group in groups {
                var expected: [[Float]]?
                for backend in group {
                    for cuts in [[], [1, 2, 9]] {
                        let results = try StepRangeTests.results(cell, indexed: indexed, masked: masked, isOpaque: true, cuts: cuts, on: backend)
                        #expect(results == expected ?? results, "\(cell), indexed \(indexed), masked \(masked), \(backend.plan), cut at \(cuts)")
                        expected = expected ?? results
                    }
                }
            }
        }
    }

    /// Products and sums of what lies in 16 bits have the bits of those that round on the way.
    @Test(arguments: [Precision.bfloat16, .float16]) func storedOperandsGiveTheSameBits(_ precision: Precision) throws {
        let backend = try backend(.stepwise, precision)
        try products(on: backend)
        let n = 77, width = 37, x = try stored(OperationTests.numbers(n * width), [n, width], on: backend)
        // The same numbers in float32: each times one.
        let unit = try backend.makeTensor((0 ..< width * width).map { $0 % (width + 1) == 0 ? Float(1) : 0 }, shape: [width, width])
        let rounded = try backend.makeTensor(shape: [n, width])
        try backend.multiply(MatrixProduct(x, unit, into: rounded))
        let index = try RowIndex(RowIndexLists((0..<n).map { Int32($0 % 7) }), on: backend)
        func sums(_ x: Tensor) throws -> [Float] {
            let columns = try backend.makeTensor(shape: [width]), segments = try backend.makeTensor(shape: [7, width])
            try backend.columnSums(of: x, into: columns, accumulate: false)
            try backend.segmentSums(of: x, index: index, into: segments)
            return try backend.readFloats(columns) + backend.readFloats(segments)
        }
        #expect(try sums(x) == sums(rounded))
    }

    private func stored(_ values: [Double], _ shape: Shape, on backend: OpenCLBackend) throws -> Tensor {
        let x = try backend.makeTensor(values, shape: shape), y = try backend.makeTensor(shape: shape, type: .bits16)
        try backend.keep(x, maskedBy: nil, in: y)
        return y
    }

    /// Widths that four elements are and are not a part of, views that begin anywhere.
    private func products(on backend: OpenCLBackend) throws {
        for m in [5, 70] {
            for (n, k, first) in [(33, 150, 3), (40, 96, 8)] {
                for (left, right) in [(false, true), (true, false)] {
                    let a = OperationTests.numbers(m * k + first), b = OperationTests.numbers(n * k, seed: 6)
                    let shapeB: Shape = right ? [n, k] : [k, n]
                    func product(_ a: Tensor, _ b: Tensor) throws -> [Float] {
                        let c = try backend.makeTensor(shape: [m, n])
                        try backend.multiply(StridedProduct(a: a.dropping(first), strideA: left ? m : k, transposeA: left, b: b,
                                                            strideB: right ? k : n, transposeB: right, c: c, strideC: n, m: m, n: n, k: k))
                        return try backend.readFloats(c)
                    }
                    let storedA = try stored(a, [m * k + first], on: backend), storedB = try stored(b, shapeB, on: backend)
                    let floatA = try backend.makeTensor(a, shape: [m * k + first]), floatB = try backend.makeTensor(b, shape: shapeB)
                    let expected = try product(floatA, floatB)
                    #expect(try product(storedA, storedB) == expected, "\(m) x \(n) x \(k), \(left), \(right)")
                    #expect(try product(storedA, floatB) == expected, "\(m) x \(n) x \(k), \(left), \(right), a")
                }
            }
        }
    }

    /// Gates without bounds, devices of float32 and the kernels that do not know the forms keep float32.
    @Test func onlyBoundedGatesTakeHalfTheMemory() throws {
        let backend = try backend(.stepwise, .float16)
        for cell in Self.cells {
            let kept = try RecurrentActivations(cell: cell, rows: 3, hidden: 5, state: 5, projected: cell.kind == .lstm, isOpaque: true, on: backend)
            for tensor in [kept.gates, kept.previousH, kept.c, kept.candidate, kept.hidden].compactMap({ $0 }) {
                #expect(tensor.type == .bits16 && tensor.type.byteCount == 2)
            }
        }
        for cell in [RecurrentCell(.rnn, activation: .relu), RecurrentCell(.lstm, activation: .relu), RecurrentCell(.gru, recurrentActivation: .hardSigmoid)] {
            #expect(backend.opaqueActivationType(of: cell) == .float32)
        }
        #expect(try self.backend(.stepwise, .float32).opaqueActivationType(of: RecurrentCell(.lstm)) == .float32)
        let cpu = try OpenCLBackend(device: 0, family: .cpu, precision: .bfloat16)
        #expect(!cpu.keepsCompactActivations && cpu.opaqueActivationType(of: RecurrentCell(.lstm)) == .float32)
    }

    /// All of a pass's activations have one type, and readable ones float32.
    @Test func mixedTypesAreRefused() throws {
        let backend = try backend(.stepwise, .bfloat16)
        let layout = try PackedLayout(SequenceLayout(lengths: [2]), on: backend), x = try backend.makeTensor(shape: [2, 3])
        var kept = try RecurrentActivations(cell: RecurrentCell(.rnn), rows: 2, hidden: 4, state: 4, projected: false, isOpaque: true, on: backend)
        func forward() throws {
            try backend.recurrentForward(RecurrentPass(
                cell: RecurrentCell(.rnn), layout: layout, input: .dense(x),
                weights: RecurrentWeights(wIH: try backend.makeTensor(shape: [4, 3]), wHH: try backend.makeTensor(shape: [4, 4])),
                y: try backend.makeTensor(shape: [2, 4]), hT: try backend.makeTensor(shape: [1, 4]), cT: nil, activations: kept))
        }
        kept.isOpaque = false
        #expect(throws: CarouselError.self) { try forward() }
        kept.isOpaque = true
        kept.previousH = try backend.makeTensor(shape: [2, 4])
        #expect(throws: CarouselError.self) { try forward() }
    }
}
