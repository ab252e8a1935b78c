import CarouselCore
@testable import CarouselOpenCL
import Foundation
import Testing

/// A recurrent pass in ranges of steps gives the bits of the whole pass.
@Suite("Ranges of steps", .serialized, .enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason))
struct StepRangeTests {
    /// So many rows, and inputs so wide, that sums of a part would be cut in another way than those of the whole.
    private static let lengths = [12, 12, 12, 11, 9, 8, 7, 6, 5, 2, 0]

    /// All results of forward and backward.
    /// - Parameter cuts: steps at which the pass is cut; empty = it is not.
    private static func bits(_ cell: RecurrentCell, indexed: Bool, masked: Bool = false, cuts: [Int], on backend: OpenCLBackend) throws -> [UInt32] {
        try results(cell, indexed: indexed, masked: masked, cuts: cuts, on: backend).joined().map(\.bitPattern)
    }

    /// The same tensor by tensor: states first, then gradients.
    static func results(_ cell: RecurrentCell, indexed: Bool, masked: Bool = false, isOpaque: Bool = false, cuts: [Int] = [],
                        on backend: OpenCLBackend) throws -> [[Float]] {
        let hidden = 24, input = 520, layout = SequenceLayout(lengths: lengths), n = layout.rows, b = lengths.count, g = cell.gateCount * hidden
        var random = SeededGenerator(seed: 5, purpose: 1)
        func numbers(_ shape: Shape) throws -> Tensor { try backend.makeTensor((0..<shape.count).map { _ in random.normal() * 0.1 }, shape: shape) }
        func zeros(_ shape: Shape) throws -> Tensor { try backend.makeTensor([Float](repeating: 0, count: shape.count), shape: shape) }
        let index = try RowIndex(RowIndexLists((0..<n).map { Int32($0 % 7) }), on: backend), rows = indexed ? 7 : n
        let x = try numbers([rows, input]), isLSTM = cell.kind == .lstm
        var pass = RecurrentPass(
            cell: cell, layout: try PackedLayout(layout, on: backend), input: indexed ? .indexed(rows: x, index: index) : .dense(x),
            weights: RecurrentWeights(wIH: try numbers([g, input]), wHH: try numbers([g, hidden]), bIH: try numbers([g]), bHH: try numbers([g])),
            h0: try numbers([b, hidden]), c0: isLSTM ? try numbers([b, hidden]) : nil, y: try zeros([n, hidden]), hT: try zeros([b, hidden]),
            cT: isLSTM ? try zeros([b, hidden]) : nil,
            activations: try RecurrentActivations(cell: cell, rows: n, hidden: hidden, state: hidden, projected: false, isOpaque: isOpaque, on: backend))
        let gradients = RecurrentGradients(
            dy: try numbers([n, hidden]), dhT: try numbers([b, hidden]), dcT: isLSTM ? try numbers([b, hidden]) : nil, dInput: try zeros([rows, input]),
            dh0: try zeros([b, hidden]), dc0: isLSTM ? try zeros([b, hidden]) : nil,
            weights: RecurrentWeights(wIH: try zeros([g, input]), wHH: try zeros([g, hidden]), bIH: try zeros([g]), bHH: try zeros([g])))
        let edges = [0] + cuts + [layout.steps], ranges: [Range<Int>?] = cuts.isEmpty ? [nil] : zip(edges, edges.dropFirst()).map { $0..<$1 }
        if masked { pass.mask = try backend.makeTensor((0..<b * hidden).map { $0 % 3 == 0 ? 0 : 1.5 }, shape: [b, hidden]) }
        if indexed, !cuts.isEmpty { pass.projection = try zeros([rows, g]) }
        for range in ranges {
            pass.steps = range
            try backend.recurrentForward(pass)
        }
        let outputs = try [pass.y, pass.hT, pass.cT].compactMap { $0 }.map(backend.readFloats)
        for range in ranges.reversed() {
            pass.steps = range
            try backend.recurrentBackward(pass, into: gradients)
        }
        let weights = gradients.weights
        let found = try [gradients.dInput, gradients.dh0, gradients.dc0, weights.wIH, weights.wHH, weights.bIH, weights.bHH]
            .compactMap { $0 }.map(backend.readFloats)
        return outputs + found
    }

    @Test(arguments: RecurrentPlan.allCases) func partsGiveTheBitsOfTheWhole(plan: RecurrentPlan) throws {
        let backend = try DeviceSupport.backend(.gpu, adding: ["CAROUSEL_RECURRENT_PLAN": plan.rawValue, "CAROUSEL_KERNEL_CACHE": ""])
        for cell in [RecurrentCell(.rnn), RecurrentCell(.lstm), RecurrentCell(.gru), RecurrentCell(.gru, resetAfter: false)] {
            for (indexed, masked) in [(false, false), (true, false), (false, true)] {
                let whole = try Self.bits(cell, indexed: indexed, masked: masked, cuts: [], on: backend)
                let parts = try Self.bits(cell, indexed: indexed, masked: masked, cuts: [1, 2, 9], on: backend)
                #expect(parts == whole, "\(cell), indexed \(indexed), masked \(masked)")
            }
        }
        #expect(!backend.meetings.refused)
    }

    /// The cpu kernels take all steps at once.
    @Test func whoTakesNoPartsSaysSo() throws {
        let backend = try DeviceSupport.backend(.cpu)
        let error = #expect(throws: CarouselError.self) { try Self.bits(RecurrentCell(.rnn), indexed: false, cuts: [4], on: backend) }
        #expect(error?.status == .internalError)
    }
}
