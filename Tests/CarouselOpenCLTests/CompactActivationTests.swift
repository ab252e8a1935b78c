import CarouselCore
@testable import CarouselOpenCL
import Foundation
import Testing

/// What a pass saves for its way back in 16 bits, and what reads it there.
@Suite("Compact activations", .serialized, .enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason))
struct CompactActivationTests {
    private static let cells = [RecurrentCell(.rnn), RecurrentCell(.lstm), RecurrentCell(.gru), RecurrentCell(.gru, resetAfter: false)]

    private func backend(_ plan: RecurrentPlan, _ precision: Precision, cache: URL? = nil, adding variables: [String: String] = [:],
                         replacing edited: [String: String] = [:]) throws -> OpenCLBackend {
        let environment = variables.merging(["CAROUSEL_KERNEL_CACHE": cache == nil ? "off" : "on"]) { $1 }
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

    /// The forms change no state, and gradients by roundings only.
    @Test(arguments: [Precision.bfloat16, .float16]) func changeGradientsByRoundingsOnly(_ precision: Precision) throws {
        let backend = try backend(.stepwise, precision)
        for cell in precision == .bfloat16 ? Self.cells : [RecurrentCell(.lstm)] {
            for (indexed, masked) in [(false, true), (true, false)] {
                let readable = try StepRangeTests.results(cell, indexed: indexed, masked: masked, on: backend)
                let compact = try StepRangeTests.results(cell, indexed: indexed, masked: masked, isOpaque: true, on: backend)
                let (error, sameStates) = compared(compact, readable, states: cell.kind == .lstm ? 3 : 2)
                #expect(sameStates, "\(cell), indexed \(indexed), masked \(masked)")
                #expect(error > 0 && error <= 3 * Float(precision.unitRoundoff), "\(cell), indexed \(indexed), masked \(masked): \(error)")
            }
        }
    }

    /// A form that is read as another than it was written shows.
    @Test func aWrongFormIsFound() throws {
        for (file, old, new) in [("common.cl", "RESTORE_GATE(p) ((float)*(p)", "RESTORE_GATE(p) ((float)as_short(*(p))"),
                                 ("common.cl", "RESTORE_SIGNED(p) ((float)as_short(*(p))", "RESTORE_SIGNED(p) ((float)*(p)"),
                                 ("lstm.cl", "SAVE(S, OPERAND, activate_backward_##S(ACTIVATION, g", "SAVE(S, SIGNED, activate_backward_##S(ACTIVATION, g")] {
            let text = try KernelSources(environment: [:]).text(file)
            try #require(text.ranges(of: old).count == 1)
            let faulty = try backend(.stepwise, .bfloat16, replacing: [file: text.replacing(old, with: new)])
            let readable = try StepRangeTests.results(RecurrentCell(.lstm), indexed: true, on: faulty)
            let compact = try StepRangeTests.results(RecurrentCell(.lstm), indexed: true, isOpaque: true, on: faulty)
            let (error, sameStates) = compared(compact, readable, states: 3)
            #expect(sameStates && error > 3 * Float(Precision.bfloat16.unitRoundoff), "\(new): \(error)")
        }
    }

    /// However the steps are shared out; a dense projection then lies apart from the gates, call by call.
    @Test func plansAndPartsGiveTheSameBits() throws {
        try DeviceSupport.withFolder { cache in
            let stepwise = try backend(.stepwise, .bfloat16, cache: cache), fused = try backend(.fused, .bfloat16, cache: cache)
            let persistent = try backend(.persistent, .bfloat16, cache: cache)
            for cell in [RecurrentCell(.lstm), RecurrentCell(.gru, resetAfter: false)] {
                for (indexed, masked) in [(false, true), (true, false)] {
                    func results(_ backend: OpenCLBackend, cuts: [Int] = []) throws -> [[Float]] {
                        try StepRangeTests.results(cell, indexed: indexed, masked: masked, isOpaque: true, cuts: cuts, on: backend)
                    }
                    let expected = try results(fused), title: Comment = "\(cell), indexed \(indexed), masked \(masked)"
                    #expect(try results(fused, cuts: [1, 2, 9]) == expected, title)
                    #expect(try results(persistent) == expected, title)
                    #expect(try results(persistent, cuts: [3]) == expected, title)
                    #expect(try results(stepwise, cuts: [1, 2, 9]) == results(stepwise), title)
                }
            }
            #expect(!persistent.meetings.refused)
        }
    }

    /// Products and sums of what lies in 16 bits have the bits of those that round on the way.
    @Test(arguments: [Precision.bfloat16, .float16]) func storedOperandsGiveTheSameBits(_ precision: Precision) throws {
        let backend = try backend(.stepwise, precision)
        try products(on: backend, rows: [5, 70])
        let n = 77, width = 37, values = OperationTests.numbers(n * width)
        let x = try stored(values, [n, width], on: backend)
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

    /// Matrix units take them through registers.
    @Test func matrixUnitsReadStoredOperands() throws {
        let backend = try backend(.stepwise, .bfloat16, adding: ["CAROUSEL_MATRIX_UNITS": "emulated"])
        try #require(backend.matrixUnits != nil)
        try products(on: backend, rows: [40])
    }

    private func stored(_ values: [Double], _ shape: Shape, on backend: OpenCLBackend) throws -> Tensor {
        let x = try backend.makeTensor(values, shape: shape), y = try backend.makeTensor(shape: shape, type: .bits16)
        try backend.keep(x, maskedBy: nil, in: y)
        return y
    }

    /// Widths that four elements are and are not a part of, views that begin anywhere.
    private func products(on backend: OpenCLBackend, rows: [Int]) throws {
        for m in rows {
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
