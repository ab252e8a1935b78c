import CarouselCore
@testable import CarouselOpenCL
import Testing

/// Independent work in several queues gives the bits of the same work in one.
@Suite("Overlap", .serialized, .enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason))
struct OverlapTests {
    private static func backend(_ overlap: String, _ plan: RecurrentPlan = .fused) throws -> OpenCLBackend {
        try DeviceSupport.backend(.gpu, adding: ["CAROUSEL_OVERLAP": overlap, "CAROUSEL_RECURRENT_PLAN": plan.rawValue,
                                                "CAROUSEL_KERNEL_CACHE": ""])
    }

    /// Matrices that products of neighbours replace again and again, over a grid: piece (i, j) needs (i - 1, j) and (i, j - 1).
    private static func grid(on backend: OpenCLBackend, size: Int) throws -> [UInt32] {
        let side = 24, lanes = 5, length = 6
        var random = SeededGenerator(seed: UInt64(size), purpose: 1)
        func matrix() throws -> Tensor {
            try backend.makeTensor((0..<side * side).map { _ in random.normal() / 5 }, shape: [side, side])
        }
        let cells = try (0..<lanes).map { _ in try (0..<length).map { _ in try matrix() } }
        let halves = try (0..<lanes).map { _ in try (0..<length).map { _ in try matrix() } }
        let weights = try matrix(), sums = try backend.makeTensor(shape: [1])
        var pieces: [LaneWork] = [], places: [Int: Int] = [:]
        for diagonal in 0 ..< lanes + length - 1 {
            for i in 0..<lanes where (0..<length).contains(diagonal - i) {
                let j = diagonal - i
                places[i * length + j] = pieces.count
                pieces.append(LaneWork(lane: i, after: i > 0 ? [places[(i - 1) * length + j]!] : []) {
                    for other in [i > 0 ? cells[i - 1][j] : nil, j > 0 ? cells[i][j - 1] : nil].compactMap({ $0 }) {
                        // Scratch that is released while commands use it.
                        let product = try backend.makeTensor(shape: [side, side])
                        try backend.multiply(MatrixProduct(other, weights, into: product))
                        try backend.multiply(MatrixProduct(product, other, transposeB: true, into: cells[i][j], accumulate: true))
                    }
                    try backend.aside {
                        let half = try backend.makeTensor([Float](repeating: 0.5, count: side * side), shape: [side, side])
                        try backend.multiply(cells[i][j], half, into: halves[i][j], accumulate: true)
                    }
                })
            }
        }
        try backend.overlap(pieces)
        try backend.join()
        try backend.squaredNorm(of: halves[lanes - 1][length - 1], into: sums, accumulate: false)
        return try (Array(cells.joined()) + Array(halves.joined()) + [sums]).flatMap { try backend.readFloats($0).map(\.bitPattern) }
    }

    @Test func piecesRunAsTheirNeedsSay() throws {
        let ordered = try Self.backend("off"), overlapped = try Self.backend("on")
        #expect(!ordered.overlaps && overlapped.overlaps)
        for round in 0..<4 {
            let expected = try Self.grid(on: ordered, size: round)
            #expect(try Self.grid(on: overlapped, size: round) == expected)
        }
        #expect(overlapped.lanes.order.current == 0)
    }

    /// A read sees what is aside, without a join.
    @Test func readsSeeEverything() throws {
        let backend = try Self.backend("on"), count = 1 << 18
        let x = try backend.makeTensor([Float](repeating: 1, count: count), shape: [count])
        for round in 1...4 {
            for _ in 0..<8 { try backend.aside { try backend.activate(.linear, x, into: x) } }
            try backend.aside { try backend.fill(x, with: Double(round)) }
            #expect(try backend.readFloats(x) == [Float](repeating: Float(round), count: count))
        }
    }

    /// Writes ahead overtake what does not use their tensors, and wait for what does.
    @Test func writesAheadWaitForTheirTensors() throws {
        let backend = try Self.backend("on"), count = 1 << 16, size: Shape = [count]
        let turns = try (0..<2).map { _ in try backend.makeTensor(shape: size) }, sum = try backend.makeTensor([Float](repeating: 0, count: count), shape: size)
        for step in 1...9 {
            // Twice the same one now and then: it is still in use.
            let x = turns[step % 4 == 3 ? 0 : step % 2]
            try backend.ahead { try backend.write([Float](repeating: Float(step), count: count), to: x) }
            for _ in 0..<3 { try backend.copyColumns(x.reshaped([1, count]), from: 0, to: sum.reshaped([1, count]), at: 0, width: count, scale: 1, accumulate: true) }
        }
        #expect(try backend.readFloats(sum) == [Float](repeating: 135, count: count))
    }

    /// More than the memory for writes holds, in pieces of all sizes, none of them waited for.
    @Test func manyWritesArriveWhole() throws {
        let backend = try Self.backend("off"), sizes = [1, 1000, 3 << 18, 1 << 20, 7, 5 << 18]
        var written: [(Tensor, Int32)] = []
        for round in 0..<6 {
            for (place, size) in sizes.enumerated() {
                let tensor = try backend.makeTensor(shape: [size], type: .int32), value = Int32(10 * round + place)
                try backend.write([Int32](repeating: value, count: size), to: tensor)
                written.append((tensor, value))
            }
        }
        for (tensor, value) in written { #expect(try backend.readIntegers(tensor).allSatisfy { $0 == value }) }
    }

    /// After an error the device is as usable as before.
    @Test func errorsLeaveNothingBehind() throws {
        let backend = try Self.backend("on"), x = try backend.makeTensor(shape: [64])
        for place in 0..<3 {
            #expect(throws: CarouselError.self) {
                try backend.overlap((0..<3).map { piece in
                    LaneWork(lane: piece) {
                        try backend.fill(x, with: 7)
                        if piece == place { throw CarouselError(.badData, "planted") }
                    }
                })
            }
            #expect(throws: CarouselError.self) { try backend.aside { throw CarouselError(.badData, "planted") } }
            #expect(backend.lanes.order.current == 0 && backend.overlapping == 1)
            try backend.join()
            try backend.fill(x, with: Double(place))
            #expect(try backend.readFloats(x) == [Float](repeating: Float(place), count: 64))
        }
    }

    @Test func commandsTellTheirQueue() throws {
        let backend = try Self.backend("on"), tensors = try (0..<3).map { _ in try backend.makeTensor(shape: [1 << 16]) }
        nonisolated(unsafe) var commands: [DeviceCommand] = []
        try backend.recordCommands { commands += $0 }
        for _ in 0..<3 {
            try backend.overlap(tensors.enumerated().map { lane, x in LaneWork(lane: lane) { try backend.activate(.tanh, x, into: x) } })
        }
        try backend.aside { try backend.fill(tensors[0], with: 1) }
        try backend.finish()
        try backend.recordCommands(nil)
        let queues = Dictionary(grouping: commands, by: \.queue)
        #expect(Set(queues.keys) == [0, 1, 2, Lanes.aside] && queues[1]?.map(\.name) == [String](repeating: "vector_activate", count: 3))
        for members in queues.values {
            for (command, next) in zip(members, members.dropFirst()) { #expect(command.ended <= next.started) }
        }
    }

    /// The device is finished before a command counts, not between its number and its place in the queue.
    @Test func roomIsMadeBeforeACommandCounts() throws {
        let backend = try Self.backend("on"), x = try backend.makeTensor(shape: [16])
        try backend.recordCommands { _ in }
        try backend.aside { for _ in 0 ... CommandTimer.mostPending { try backend.fill(x, with: 1) } }
        #expect(backend.lanes.order.unseen.contains(Lanes.aside))
        try backend.recordCommands(nil)
        #expect(backend.lanes.order.unseen.isEmpty)
    }

    /// Groups that wait for each other are resident together: launches that are too large for that wait.
    @Test func launchesThatMeetShareTheDevice() throws {
        let backend = try Self.backend("on", .persistent), units = backend.device.computeUnits
        func admit(_ groups: Int, lane: Int) throws -> Bool {
            try backend.lanes.order.on(lane) {
                let before = backend.lanes.order.unseen
                try backend.meetings.admit(groups: groups, on: backend)
                backend.lanes.order.advance()
                // Whether it waits for the others.
                return !before.isEmpty && backend.lanes.order.unseen.isEmpty
            }
        }
        #expect(try !admit(1, lane: 0) && admit(units, lane: 1), "all units are more than are left")
        try backend.finish()
        if units > 1 {
            #expect(try !admit(units - 1, lane: 0) && !admit(1, lane: 1), "together they fit")
            #expect(try admit(1, lane: 2), "a third does not")
            #expect(try !admit(units, lane: 2), "the first two are done before the lane's next command")
            try backend.finish()
        }
        // A share is taken only where weights stay in registers.
        let small = try #require(backend.recurrentTiling(gates: 4, hidden: 8, depth: 8)), large = try #require(backend.recurrentTiling(gates: 4, hidden: 400, depth: 400))
        let half = backend.meetingGrid(small, rows: 4096, resident: units, sharing: 2), whole = backend.meetingGrid(large, rows: 64, resident: units, sharing: 2)
        #expect(half.workers * half.rowBlocks <= max(1, units / 2) && whole.workers == min(large.tiles, units))
    }
}
