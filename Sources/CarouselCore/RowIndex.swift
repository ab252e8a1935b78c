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
        var scratch = Scratch()
        self.init()
        index(references, with: &scratch)
    }

    /// Of no references.
    init() { (distinct, positions, order, segments) = ([], [], [], [0]) }

    /// Lists that are needed while an index is made; kept for the next one.
    struct Scratch: Sendable {
        /// Of every table row: its references, then the place in `order` where the next one goes.
        fileprivate var counts: [Int32] = []
        /// Of every table row that is referred to: its place in `distinct`.
        fileprivate var slots: [Int32] = []
    }

    /// Becomes the index of other references, in the memory of its lists.
    mutating func index(_ references: [Int32], with scratch: inout Scratch) {
        let rows = Int(references.max() ?? -1) + 1
        // Below, places are not checked one by one.
        precondition(references.allSatisfy { $0 >= 0 }, "table rows must not be negative")
        scratch.counts.refill(with: repeatElement(0, count: rows))
        scratch.slots.refill(with: repeatElement(0, count: rows))
        scratch.counts.withUnsafeMutableBufferPointer { counts in
            for row in references { counts[Int(row)] += 1 }
        }
        distinct.removeAll(keepingCapacity: true)
        segments.refill(with: CollectionOfOne(0))
        var place: Int32 = 0
        for row in 0..<rows where scratch.counts[row] > 0 {
            scratch.slots[row] = Int32(distinct.count)
            distinct.append(Int32(row))
            let count = scratch.counts[row]
            scratch.counts[row] = place
            place += count
            segments.append(place)
        }
        positions.refill(with: references)
        order.refill(with: references)
        positions.withUnsafeMutableBufferPointer { positions in
            order.withUnsafeMutableBufferPointer { order in
                scratch.slots.withUnsafeBufferPointer { slots in
                    scratch.counts.withUnsafeMutableBufferPointer { places in
                        for n in positions.indices {
                            let row = Int(positions[n])
                            positions[n] = slots[row]
                            order[Int(places[row])] = Int32(truncatingIfNeeded: n)
                            places[row] += 1
                        }
                    }
                }
            }
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
