import CarouselCore

/// What a layer holds of its last forward pass, for those who look for a number that is not finite.
public struct KeptTensor {
    /// What a row of the tensor stands for.
    public enum Rows {
        /// One row per step and sequence.
        case packed(SequenceLayout, reversed: Bool)
        /// One row per sequence.
        case sequences
        /// One row per distinct token of the batch.
        case tokens
    }

    public var name: String
    public var tensor: Tensor
    public var rows: Rows
    /// Names of the blocks a row is divided into, such as the gates of a cell; empty = one block.
    public var blocks: [String]

    public init(_ name: String, _ tensor: Tensor, _ rows: Rows, blocks: [String] = []) {
        self.name = name
        self.tensor = tensor
        self.rows = rows
        self.blocks = blocks
    }

    /// An element in words, and the sequence of the batch it belongs to.
    public func place(of element: Int) -> (description: String, sequence: Int?) {
        let width = max(1, tensor.shape[1]), row = element / width, column = element % width
        var unit = "unit \(column)"
        if blocks.count > 1 {
            let hidden = width / blocks.count
            unit = "gate \(blocks[column / hidden]), unit \(column % hidden)"
        }
        switch rows {
        case .packed(let layout, let reversed):
            let t = (layout.offsets.firstIndex { $0 > row } ?? 1) - 1
            let sequence = row - layout.offsets[t]
            return ("step \(reversed ? layout.lengths[sequence] - 1 - t : t), \(unit)", sequence)
        case .sequences:
            return (unit, row)
        case .tokens:
            return ("token \(row) of the batch's distinct ones, \(unit)", nil)
        }
    }
}
