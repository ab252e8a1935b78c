import CarouselCore

/// How a product with recurrent weights is shared out among work-groups that own units; the parameters of `recurrent.cl`.
///
/// The order of every sum follows from `gates`, `hidden` and `depth`: how many rows are taken at a time or how many
/// groups there are does not matter.
struct RecurrentTiling: Hashable {
    /// Columns of the product for each unit: the gates forward, 1 backward.
    let gates: Int
    /// Units of a tile.
    static let units = 8
    let units = RecurrentTiling.units
    /// Parts of k that are summed beside each other.
    let slices: Int
    /// Weights an item keeps in registers.
    let keep: Int
    /// Batch rows at a time.
    let rows: Int
    let tiles: Int
    /// Parts of k that are summed one after another.
    let blocks: Int

    /// More would not leave an item of 256 enough registers for the rest.
    private static let mostKept = 128

    /// - Parameters:
    ///   - depth: k of the product.
    ///   - localMemory: bytes of a work-group.
    /// - Returns: nil where the device's work-groups have too little.
    init?(gates: Int, hidden: Int, depth: Int, localMemory: Int, largestWorkGroup: Int) {
        self.gates = gates
        slices = gates > 2 ? 8 : 32 / gates
        tiles = (hidden + units - 1) / units
        let whole = slices * Self.mostKept
        blocks = max(1, (depth + whole - 1) / whole)
        let share = slices * blocks
        keep = max(16, ((depth + share - 1) / share + 15) / 16 * 16)
        let items = gates * units * slices
        // As `operand` and `partial` in the kernels, and what the meeting needs.
        let perRow = (slices * (keep + 4) + items) * 4
        var most = 8
        while most > 0, most * perRow + 64 > localMemory { most /= 2 }
        rows = most
        guard most > 0, items <= largestWorkGroup else { return nil }
    }

    /// Work-items of a group.
    var items: Int { gates * units * slices }
    /// Of the weights as the items read them, in words of four bytes.
    func packedShape(_ precision: Precision) -> Shape { [tiles, blocks, keep * precision.byteCount / 4, items] }

    var defines: KernelDefines { ["COLUMN_GATES": gates, "UNITS": units, "SLICES": slices, "KEEP": keep, "ROWS": rows] }

    /// Rows of a group where `count` rows are shared by `groups`: whole steps of `rows`.
    func height(_ count: Int, groups: Int) -> Int {
        let share = (count + max(1, groups) - 1) / max(1, groups)
        return max(1, (share + rows - 1) / rows) * rows
    }
}

/// The work-groups of one launch of the persistent plan.
struct MeetingGrid {
    /// Groups that share a block of rows.
    let workers: Int
    let rowBlocks: Int
    /// Rows of a block.
    let height: Int
    /// Whether every group has one tile, whose weights stay in registers.
    let holdsWeights: Bool
}

extension OpenCLBackend {
    func recurrentTiling(gates: Int, hidden: Int, depth: Int) -> RecurrentTiling? {
        RecurrentTiling(gates: gates, hidden: hidden, depth: depth, localMemory: device.localMemory, largestWorkGroup: device.largestWorkGroup)
    }

    /// One group for each compute unit at most: so many are resident on a device that does nothing else, whatever
    /// registers and local memory they take.
    /// - Parameter sharing: launches that would run at the same time if each took its share of the units. A launch takes no
    ///   more where the weights stay in registers all the same; else it takes all, and the others have to wait for it.
    func meetingGrid(_ tiling: RecurrentTiling, rows: Int, sharing: Int = 1) -> MeetingGrid {
        let share = device.computeUnits / sharing, units = tiling.tiles <= share ? share : device.computeUnits
        let workers = max(1, min(tiling.tiles, units))
        let height = tiling.height(rows, groups: units / workers)
        return MeetingGrid(workers: workers, rowBlocks: max(1, (rows + height - 1) / height), height: height,
                           holdsWeights: tiling.blocks == 1 && workers == tiling.tiles)
    }
}
