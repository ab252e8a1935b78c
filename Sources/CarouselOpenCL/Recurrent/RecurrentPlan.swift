import CarouselCore

/// How the gpu kernels take a recurrent layer through its steps.
public enum RecurrentPlan: String, Sendable, CaseIterable {
    /// Per step one tiled product and one kernel for the cells.
    case stepwise
    /// Per step one launch: who makes the sums of a unit finishes the unit.
    case fused
    /// One launch for the sequence: work-groups keep their weights and meet after every step.
    case persistent

    /// As it stands in the name of a device's plan.
    public var title: String { self == .fused ? "fused step" : rawValue }

    /// The one of that name, or nil for nil and an empty name.
    /// - Throws: `badConfiguration`
    static func named(_ name: String?) throws -> RecurrentPlan? {
        guard let name, !name.isEmpty else { return nil }
        guard let plan = RecurrentPlan(rawValue: name) else {
            throw CarouselError(.badConfiguration, "\(EnvironmentSettings.recurrentPlan.rawValue) is \"\(name)\"",
                                hint: allCases.map(\.rawValue).joined(separator: ", "))
        }
        return plan
    }
}

/// The plan of one layer, and why.
struct RecurrentChoice {
    let plan: RecurrentPlan
    let reason: String
}

extension OpenCLBackend {
    /// Multiply-adds of one step up to which the fused step is chosen. A tiled product works with fewer reads of local memory for
    /// each of them, so it is to be preferred where a step has so many that launches no longer count: at 10 to 20
    /// TFLOP/s these are 10 to 20 µs, as long as two launches. Not measured on a GPU.
    private static var fusedStepLimit: Int { 100_000_000 }

    /// Follows from the shape, the device and what this run has seen of it, so that the same run chooses the same.
    ///
    /// `persistent` is not chosen unasked: whether a device lets groups meet that fast has to be measured on it.
    func chooseRecurrentPlan(_ cell: RecurrentCell, hidden: Int, batch: Int, projected: Bool) -> RecurrentChoice {
        if projected { return RecurrentChoice(plan: .stepwise, reason: "a projection is a second product in every step") }
        guard recurrentTiling(gates: cell.gateCount, hidden: hidden, depth: hidden) != nil,
              recurrentTiling(gates: 1, hidden: hidden, depth: cell.gateCount * hidden) != nil else {
            return RecurrentChoice(plan: .stepwise, reason: "the device has too little local memory or too small work-groups for another")
        }
        switch forcedPlan {
        case .persistent where meetings.refused:
            return RecurrentChoice(plan: .fused, reason: "work-groups did not meet in time on this device")
        case let plan?: return RecurrentChoice(plan: plan, reason: "as asked")
        case nil:
            let work = batch * cell.gateCount * hidden * hidden
            return work <= Self.fusedStepLimit ? RecurrentChoice(plan: .fused, reason: "little work in a step")
                : RecurrentChoice(plan: .stepwise, reason: "much work in a step")
        }
    }

    /// Whether launches count in a step.
    func hasLittleWork(_ pass: RecurrentPass) -> Bool {
        pass.layout.layout.batchSize * pass.cell.gateCount * pass.hiddenWidth * pass.hiddenWidth <= Self.fusedStepLimit
    }

    /// Whether the persistent plan can run beside so many others like it, each with its weights in registers.
    func isResident(_ pass: RecurrentPass, beside others: Int) -> Bool {
        (pass.hiddenWidth + RecurrentTiling.units - 1) / RecurrentTiling.units * (others + 1) <= device.computeUnits
    }

    func chooseRecurrentPlan(_ pass: RecurrentPass) -> RecurrentPlan {
        chooseRecurrentPlan(pass.cell, hidden: pass.hiddenWidth, batch: pass.layout.layout.batchSize,
                            projected: pass.weights.wHR != nil).plan
    }

    /// What `carousel summary` says of a layer.
    func describeRecurrentPlan(_ cell: RecurrentCell, hidden: Int, batch: Int, projected: Bool) -> String {
        let choice = chooseRecurrentPlan(cell, hidden: hidden, batch: batch, projected: projected)
        let start = "\(choice.plan.title) (gpu kernels; \(choice.reason)): one input projection, then "
        guard choice.plan != .stepwise, let tiling = recurrentTiling(gates: cell.gateCount, hidden: hidden, depth: hidden) else {
            return start + "per step one tiled product and one kernel for the cells, queued without waiting"
        }
        let launches = !cell.resetAfter && cell.kind == .gru ? "two launches" : "one launch"
        if choice.plan == .fused {
            return start + "per step \(launches), \(tiling.tiles) tiles of \(tiling.units) units, queued without waiting"
        }
        let grid = meetingGrid(tiling, rows: batch)
        return start + "one launch per sequence, \(grid.workers) x \(grid.rowBlocks) work-groups that meet after every step, recurrent weights "
            + (grid.holdsWeights ? "in registers" : "read anew in every step")
    }
}
