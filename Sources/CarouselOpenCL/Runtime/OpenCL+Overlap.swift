import CarouselCore

/// Independent work in several queues.
extension OpenCLBackend {
    /// Lanes that pieces are shared out to.
    private var pieceLanes: Int { min(Lanes.pieces, tuning.lanes) }

    /// Whether what is asked for now goes to a queue that is not the usual one, or beside such.
    private var isOverlapping: Bool { lanes.order.current != Lanes.main || overlapping > 1 }

    public func overlap(_ pieces: [LaneWork]) throws {
        let width = min(pieceLanes, Set(pieces.map(\.lane)).count)
        guard overlaps, width > 1, !isOverlapping else { return try pieces.forEach { try $0.body() } }
        overlapping = width
        defer { overlapping = 1 }
        func lane(_ piece: LaneWork) -> Int { piece.lane % pieceLanes }
        // Who is needed in another lane says when it is done.
        let awaited = Set(pieces.flatMap { piece in piece.after.filter { lane(pieces[$0]) != lane(piece) } })
        let start = try lanes.mark(queues: holdsValues)
        var marks: [Int: Lanes.Mark] = [:]
        for (place, piece) in pieces.enumerated() {
            try lanes.order.on(lane(piece)) {
                try lanes.wait(for: start)
                for mark in piece.after.compactMap({ marks[$0] }) { try lanes.wait(for: mark) }
                try piece.body()
                if awaited.contains(place) { marks[place] = try lanes.mark(queues: holdsValues) }
            }
        }
        try lanes.join(0..<Lanes.pieces, queues: holdsValues)
    }

    public func aside(_ body: () throws -> Void) throws {
        guard overlaps, lanes.order.current != Lanes.aside else { return try body() }
        let start = try lanes.mark(queues: holdsValues)
        try lanes.order.on(Lanes.aside) {
            try lanes.wait(for: start)
            try body()
        }
    }

    /// Chunks of a sequence at most: each costs launches of its own, and beyond a few nothing more overlaps.
    private static var mostChunks: Int { 8 }

    /// Where a step leaves most of the device idle, whatever the plan. Not measured on a GPU.
    public func wavefrontSteps(of stack: [RecurrentPass]) -> Int? {
        guard overlaps, tuning.lanes > 1, family == .gpu, !isOverlapping, stack.count > 1, let steps = stack.first?.layout.layout.steps,
              stack.allSatisfy(leavesRoom) else { return nil }
        let chunk = max(tuning.chunkSteps, (steps + Self.mostChunks - 1) / Self.mostChunks)
        return steps >= 2 * chunk ? chunk : nil

        func leavesRoom(_ pass: RecurrentPass) -> Bool {
            guard pass.weights.wHR == nil, hasLittleWork(pass) else { return false }
            // Launches that meet and need the whole device would only wait for each other.
            return chooseRecurrentPlan(pass) != .persistent || isResident(pass, beside: min(pieceLanes, stack.count) - 1)
        }
    }

    public func join() throws { try lanes.join(lanes.order.unseen, queues: holdsValues) }
}
