/// Where the rows of a ragged batch lie when they are packed step by step.
///
/// Sequences are sorted longest first, so the ones still running at step t are exactly the first
/// `activeRows[t]` of the batch. A packed tensor `[N, F]` holds, for t = 0, 1, …, the rows of step t
/// for those sequences: row `offsets[t] + b` is (t, b). Nothing is stored past a sequence's end, so
/// ragged lengths cost neither memory nor arithmetic and no kernel needs a mask. (PyTorch calls the
/// same arrangement a packed sequence.)
///
/// Lengths of zero are allowed (at the end of the batch): such a sequence has no rows and its final
/// state is its initial state.
public final class SequenceLayout: Sendable {
    /// Length of every sequence, descending; B values.
    public let lengths: [Int]
    /// B_t: sequences running at step t; T values, descending, all > 0.
    public let activeRows: [Int]
    /// First packed row of step t; T + 1 values, the last is N.
    public let offsets: [Int]
    /// For every packed row (t, b) the packed row of (length_b − 1 − t, b): each sequence read backwards.
    /// The permutation is its own inverse. N values.
    public let reversedRows: [Int32]
    /// The sequence b every packed row belongs to. N values.
    public let sequenceOfRow: [Int32]

    /// T, the longest length.
    public var steps: Int { activeRows.count }
    /// B.
    public var batchSize: Int { lengths.count }
    /// N, the number of packed rows: the sum of the lengths.
    public var rows: Int { offsets[offsets.count - 1] }

    /// - Parameter sizesOnly: leaves `reversedRows` and `sequenceOfRow` empty, for planning memory.
    /// - Precondition: `lengths` is descending and not negative.
    public init(lengths: [Int], sizesOnly: Bool = false) {
        precondition(zip(lengths, lengths.dropFirst()).allSatisfy { $0 >= $1 } && (lengths.last ?? 0) >= 0,
                     "lengths must be descending and not negative")
        let steps = lengths.first ?? 0
        var active = [Int](repeating: 0, count: steps)
        for length in lengths where length > 0 { active[length - 1] += 1 }
        for t in stride(from: steps - 2, through: 0, by: -1) { active[t] += active[t + 1] }
        var offsets = [0]
        offsets.reserveCapacity(steps + 1)
        for count in active { offsets.append(offsets[offsets.count - 1] + count) }
        var reversed = [Int32](repeating: 0, count: sizesOnly ? 0 : offsets[steps]), sequences = reversed
        for t in 0..<(sizesOnly ? 0 : steps) {
            for b in 0..<active[t] {
                reversed[offsets[t] + b] = Int32(offsets[lengths[b] - 1 - t] + b)
                sequences[offsets[t] + b] = Int32(b)
            }
        }
        self.lengths = lengths
        self.activeRows = active
        self.offsets = offsets
        reversedRows = reversed
        sequenceOfRow = sequences
    }

    /// All sequences of one length.
    public convenience init(steps: Int, batchSize: Int) {
        self.init(lengths: [Int](repeating: steps, count: batchSize))
    }

    /// Packed row of step `t` of sequence `b`.
    public func row(step t: Int, sequence b: Int) -> Int { offsets[t] + b }
}

/// A layout together with its copies on one device.
public struct PackedLayout {
    public let layout: SequenceLayout
    /// [B] int32: `layout.lengths`.
    public let lengths: Tensor
    /// [T + 1] int32: `layout.offsets`.
    public let offsets: Tensor
    /// [N] int32: `layout.reversedRows`.
    public let reversedRows: Tensor
    /// [N] int32: `layout.sequenceOfRow`.
    public let sequenceOfRow: Tensor

    public init(_ layout: SequenceLayout, on backend: any Backend) throws {
        try self.init(layout, in: Workspace(backend: backend))
    }

    /// In tensors of a workspace of its own, valid until it is asked for the next layout.
    public init(_ layout: SequenceLayout, in workspace: Workspace) throws {
        self.layout = layout
        lengths = try workspace.tensor("lengths", holding: layout.lengths.map(Int32.init), shape: [layout.batchSize])
        offsets = try workspace.tensor("offsets", holding: layout.offsets.map(Int32.init), shape: [layout.steps + 1])
        reversedRows = try workspace.tensor("reversedRows", holding: layout.reversedRows, shape: [layout.rows])
        sequenceOfRow = try workspace.tensor("sequenceOfRow", holding: layout.sequenceOfRow, shape: [layout.rows])
    }

    /// The sizes of a layout alone, with undefined contents: for planning memory.
    public init(sizesOf layout: SequenceLayout, in workspace: Workspace) throws {
        self.layout = layout
        lengths = try workspace.tensor("lengths", [layout.batchSize], type: .int32)
        offsets = try workspace.tensor("offsets", [layout.steps + 1], type: .int32)
        reversedRows = try workspace.tensor("reversedRows", [layout.rows], type: .int32)
        sequenceOfRow = try workspace.tensor("sequenceOfRow", [layout.rows], type: .int32)
    }
}

/// A packed sequence on a device: `values` is [N, F].
public struct SequenceTensor {
    public let values: Tensor
    public let layout: PackedLayout

    public init(_ values: Tensor, layout: PackedLayout) {
        self.values = values
        self.layout = layout
    }
}
