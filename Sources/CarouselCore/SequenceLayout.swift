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
public struct SequenceLayout: Sendable {
    private var lists: Lists

    /// Length of every sequence, descending; B values.
    public var lengths: [Int] { lists.lengths }
    /// B_t: sequences running at step t; T values, descending, all > 0.
    public var activeRows: [Int] { lists.activeRows }
    /// First packed row of step t; T + 1 values, the last is N.
    public var offsets: [Int] { lists.offsets }
    /// For every packed row (t, b) the packed row of (length_b − 1 − t, b): each sequence read backwards.
    /// The permutation is its own inverse. N values.
    public var reversedRows: [Int32] { lists.reversedRows }
    /// The sequence b every packed row belongs to. N values.
    public var sequenceOfRow: [Int32] { lists.sequenceOfRow }
    /// `lengths` and `offsets` as devices read them.
    var lengthsOnDevice: [Int32] { lists.lengthsOnDevice }
    var offsetsOnDevice: [Int32] { lists.offsetsOnDevice }

    /// T, the longest length.
    public var steps: Int { activeRows.count }
    /// B.
    public var batchSize: Int { lengths.count }
    /// N, the number of packed rows: the sum of the lengths.
    public var rows: Int { offsets[offsets.count - 1] }

    /// - Parameter sizesOnly: leaves `reversedRows` and `sequenceOfRow` empty, for planning memory.
    /// - Precondition: `lengths` is descending and not negative.
    public init(lengths: [Int], sizesOnly: Bool = false) {
        lists = Lists()
        lists.describe(lengths, sizesOnly: sizesOnly)
    }

    /// All sequences of one length.
    public init(steps: Int, batchSize: Int) {
        self.init(lengths: [Int](repeating: steps, count: batchSize))
    }

    /// Becomes the layout of these lengths, in the memory of its lists unless another copy of it still needs them.
    mutating func change(to lengths: [Int]) {
        if !isKnownUniquelyReferenced(&lists) { lists = Lists() }
        lists.describe(lengths, sizesOnly: false)
    }

    /// Packed row of step `t` of sequence `b`.
    public func row(step t: Int, sequence b: Int) -> Int { offsets[t] + b }
}

extension SequenceLayout {
    /// What all copies of a layout share. `@unchecked`: changed only while a single layout holds it.
    private final class Lists: @unchecked Sendable {
        private(set) var lengths: [Int] = [], activeRows: [Int] = [], offsets: [Int] = []
        private(set) var reversedRows: [Int32] = [], sequenceOfRow: [Int32] = []
        private(set) var lengthsOnDevice: [Int32] = [], offsetsOnDevice: [Int32] = []

        func describe(_ lengths: [Int], sizesOnly: Bool) {
            precondition(zip(lengths, lengths.dropFirst()).allSatisfy { $0 >= $1 } && (lengths.last ?? 0) >= 0,
                         "lengths must be descending and not negative")
            let steps = lengths.first ?? 0
            self.lengths.refill(with: lengths)
            activeRows.refill(with: repeatElement(0, count: steps))
            for length in lengths where length > 0 { activeRows[length - 1] += 1 }
            for t in stride(from: steps - 2, through: 0, by: -1) { activeRows[t] += activeRows[t + 1] }
            offsets.refill(with: CollectionOfOne(0))
            for count in activeRows { offsets.append(offsets[offsets.count - 1] + count) }
            lengthsOnDevice.refill(with: lengths.lazy.map { Int32($0) })
            offsetsOnDevice.refill(with: offsets.lazy.map { Int32($0) })
            let rows = sizesOnly ? 0 : offsets[steps]
            reversedRows.refill(with: repeatElement(0, count: rows))
            sequenceOfRow.refill(with: repeatElement(0, count: rows))
            guard !sizesOnly else { return }
            // Buffers, since properties of a class are checked at every access and a batch has tens of thousands of rows.
            offsets.withUnsafeBufferPointer { offsets in
                reversedRows.withUnsafeMutableBufferPointer { reversed in
                    sequenceOfRow.withUnsafeMutableBufferPointer { sequences in
                        for (b, length) in lengths.enumerated() {
                            for t in 0..<length {
                                reversed[offsets[t] + b] = Int32(truncatingIfNeeded: offsets[length - 1 - t] + b)
                                sequences[offsets[t] + b] = Int32(truncatingIfNeeded: b)
                            }
                        }
                    }
                }
            }
        }
    }
}

extension Array {
    /// Holds other elements, in the memory it has if that is enough.
    mutating func refill(with elements: some Collection<Element>) {
        removeAll(keepingCapacity: true)
        append(contentsOf: elements)
    }
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
        lengths = try workspace.tensor("lengths", holding: layout.lengthsOnDevice, shape: [layout.batchSize])
        offsets = try workspace.tensor("offsets", holding: layout.offsetsOnDevice, shape: [layout.steps + 1])
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
