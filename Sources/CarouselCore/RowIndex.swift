/// N references into the rows of a table, with what is needed to sum gradients per distinct row.
///
/// A batch of text refers to few distinct tokens many times: their projections are computed once per
/// distinct row and their gradients are sums over segments, in a fixed order and without atomics.
public struct RowIndexLists: Sendable, Equatable {
    /// U distinct table rows, ascending.
    public var distinct: [Int32]
    /// For each of the N references its position in `distinct`.
    public var positions: [Int32]
    /// The N references sorted by (position, reference).
    public var order: [Int32]
    /// U + 1 values: references to `distinct[u]` are `order[segments[u] ..< segments[u + 1]]`.
    public var segments: [Int32]

    /// - Parameter references: N table rows, not negative.
    public init(_ references: [Int32]) {
        let highest = references.max() ?? -1
        var counts = [Int32](repeating: 0, count: Int(highest) + 1)
        for row in references { counts[Int(row)] += 1 }
        distinct = []
        segments = [0]
        // counts[row] becomes the place in `order` where the row's next reference goes.
        var place: Int32 = 0
        var slot = [Int32](repeating: 0, count: counts.count)
        for row in 0..<counts.count where counts[row] > 0 {
            slot[row] = Int32(distinct.count)
            distinct.append(Int32(row))
            let count = counts[row]
            counts[row] = place
            place += count
            segments.append(place)
        }
        positions = [Int32](repeating: 0, count: references.count)
        order = positions
        for (n, row) in references.enumerated() {
            positions[n] = slot[Int(row)]
            order[Int(counts[Int(row)])] = Int32(n)
            counts[Int(row)] += 1
        }
    }
}

/// `RowIndexLists` on a device; all tensors int32.
public struct RowIndex {
    /// [U]
    public let distinct: Tensor
    /// [N]
    public let positions: Tensor
    /// [N]
    public let order: Tensor
    /// [U + 1]
    public let segments: Tensor

    /// U, the number of distinct rows.
    public var distinctCount: Int { distinct.count }
    /// N, the number of references.
    public var count: Int { positions.count }

    public init(_ lists: RowIndexLists, on backend: any Backend) throws {
        try self.init(lists, in: Workspace(backend: backend))
    }

    /// In tensors of a workspace of its own, valid until it is asked for the next index.
    public init(_ lists: RowIndexLists, in workspace: Workspace) throws {
        distinct = try workspace.tensor("distinct", holding: lists.distinct, shape: [lists.distinct.count])
        positions = try workspace.tensor("positions", holding: lists.positions, shape: [lists.positions.count])
        order = try workspace.tensor("order", holding: lists.order, shape: [lists.order.count])
        segments = try workspace.tensor("segments", holding: lists.segments, shape: [lists.segments.count])
    }

    /// The sizes of an index alone, with undefined contents: for planning memory.
    public init(sizesOf count: Int, distinct u: Int, in workspace: Workspace) throws {
        distinct = try workspace.tensor("distinct", [u], type: .int32)
        positions = try workspace.tensor("positions", [count], type: .int32)
        order = try workspace.tensor("order", [count], type: .int32)
        segments = try workspace.tensor("segments", [u + 1], type: .int32)
    }
}
