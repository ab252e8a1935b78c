/// One batch on the host, ready for a device; crosses tasks (it is made ahead of the step that uses it).
///
/// Rows are sorted by length, longest first; `indices` remembers where each came from.
public struct SequenceBatch: Sendable {
    /// What the steps hold.
    public enum Input: Sendable {
        /// N token numbers in packed order.
        case tokens(RowIndexLists)
        /// N × F values in packed order, row-major.
        case features([Float], width: Int)
    }

    public private(set) var layout: SequenceLayout
    public private(set) var input: Input
    /// B class numbers, empty when there are none (prediction).
    public private(set) var labels: [Int32]
    /// B weights of the rows' losses, empty = all 1.
    public private(set) var weights: [Float]
    /// B positions in the data set the rows came from.
    public private(set) var indices: [Int]
    /// The tokens with each sequence read backwards, for models with a layer that does; nil until `indexReversed`.
    public private(set) var reversed: RowIndexLists?

    public var batchSize: Int { layout.batchSize }

    public init(layout: SequenceLayout, input: Input, labels: [Int32], weights: [Float] = [], indices: [Int]) {
        self.layout = layout
        self.input = input
        self.labels = labels
        self.weights = weights
        self.indices = indices
    }

    /// A batch without rows.
    public init() {
        self.init(layout: SequenceLayout(lengths: []), input: .features([], width: 1), labels: [], indices: [])
    }

    /// A batch of token sequences in any order.
    /// - Parameters:
    ///   - sequences: B lists of token numbers.
    ///   - labels, weights: B values in the order of `sequences`, or empty.
    ///   - indices: B positions in the data set; the default is 0, 1, ….
    public init(tokens sequences: [[Int32]], labels: [Int32] = [], weights: [Float] = [], indices: [Int]? = nil) {
        var scratch = Scratch()
        self.init()
        change(to: Array(sequences.indices), ofTokens: sequences, labels: labels, weights: weights, with: &scratch)
        if let indices { self.indices = self.indices.map { indices[$0] } }
    }

    /// A batch of numeric sequences in any order; each is `length × width` values, row-major.
    public init(features sequences: [[Float]], width: Int, labels: [Int32] = [], weights: [Float] = [],
                indices: [Int]? = nil) {
        var scratch = Scratch()
        self.init()
        change(to: Array(sequences.indices), ofFeatures: sequences, width: width, labels: labels, weights: weights, with: &scratch)
        if let indices { self.indices = self.indices.map { indices[$0] } }
    }

    /// Adds the index of the tokens read backwards, if there are tokens: work for the thread that prepares batches.
    public mutating func indexReversed() {
        guard case .tokens(let lists) = input, reversed == nil else { return }
        reversed = RowIndexLists(layout.reversedRows.map { lists.distinct[Int(lists.positions[Int($0)])] })
    }
}

/// One batch after the other in the same memory. Lists that another copy of the batch still needs are left to it.
extension SequenceBatch {
    /// Lists that are needed while a batch is made; kept for the next one.
    public struct Scratch: Sendable {
        fileprivate var lengths: [Int] = []
        /// Of every length, longest first: the place of the next row that has it.
        fileprivate var places: [Int] = []
        fileprivate var tokens: [Int32] = []
        fileprivate var reversedTokens: [Int32] = []
        fileprivate var index = RowIndexLists.Scratch()

        public init() {}
    }

    /// Becomes a batch of some rows of a set of token sequences.
    /// - Parameters:
    ///   - rows: numbers of the rows in the set, in any order.
    ///   - labels, weights: one for every row of the set, or empty.
    ///   - reversed: whether the tokens read backwards are indexed too.
    public mutating func change(to rows: [Int], ofTokens sequences: [[Int32]], labels: [Int32], weights: [Float], reversed: Bool = false,
                                with scratch: inout Scratch) {
        arrange(rows, labels, weights, &scratch) { sequences[$0].count }
        scratch.tokens.refill(with: repeatElement(0, count: layout.rows))
        layout.offsets.withUnsafeBufferPointer { offsets in
            scratch.tokens.withUnsafeMutableBufferPointer { tokens in
                for (b, row) in indices.enumerated() {
                    sequences[row].withUnsafeBufferPointer { sequence in
                        for t in 0..<sequence.count { tokens[offsets[t] + b] = sequence[t] }
                    }
                }
            }
        }
        var lists = RowIndexLists()
        if case .tokens(let old) = input { lists = old }
        // Held once only, the lists are changed in place.
        input = .features([], width: 1)
        lists.index(scratch.tokens, with: &scratch.index)
        input = .tokens(lists)
        var backwards = self.reversed
        self.reversed = nil
        guard reversed else { return }
        scratch.reversedTokens.removeAll(keepingCapacity: true)
        for n in layout.reversedRows { scratch.reversedTokens.append(scratch.tokens[Int(n)]) }
        backwards = backwards ?? RowIndexLists()
        backwards?.index(scratch.reversedTokens, with: &scratch.index)
        self.reversed = backwards
    }

    /// Becomes a batch of some rows of a set of numeric sequences, each `length × width` values, row-major.
    /// - Parameters:
    ///   - rows: numbers of the rows in the set, in any order.
    ///   - labels, weights: one for every row of the set, or empty.
    public mutating func change(to rows: [Int], ofFeatures sequences: [[Float]], width: Int, labels: [Int32], weights: [Float],
                                with scratch: inout Scratch) {
        arrange(rows, labels, weights, &scratch) { sequences[$0].count / width }
        var packed: [Float] = []
        if case .features(let old, _) = input { packed = old }
        input = .features([], width: width)
        packed.removeAll(keepingCapacity: true)
        for t in 0..<layout.steps {
            for b in 0..<layout.activeRows[t] {
                packed.append(contentsOf: sequences[indices[b]][t * width ..< (t + 1) * width])
            }
        }
        input = .features(packed, width: width)
        reversed = nil
    }

    /// Sorts rows by length, longest first, with what belongs to each; equal lengths keep their order.
    private mutating func arrange(_ rows: [Int], _ labels: [Int32], _ weights: [Float], _ scratch: inout Scratch, length: (Int) -> Int) {
        let longest = rows.reduce(0) { max($0, length($1)) }
        scratch.places.refill(with: repeatElement(0, count: longest + 2))
        for row in rows { scratch.places[longest - length(row) + 1] += 1 }
        for place in 1..<longest + 2 { scratch.places[place] += scratch.places[place - 1] }
        indices.refill(with: rows)
        scratch.lengths.refill(with: rows)
        for row in rows {
            let length = length(row), place = scratch.places[longest - length]
            scratch.places[longest - length] += 1
            indices[place] = row
            scratch.lengths[place] = length
        }
        layout.change(to: scratch.lengths)
        self.labels.removeAll(keepingCapacity: true)
        if !labels.isEmpty { self.labels.append(contentsOf: indices.lazy.map { labels[$0] }) }
        self.weights.removeAll(keepingCapacity: true)
        if !weights.isEmpty { self.weights.append(contentsOf: indices.lazy.map { weights[$0] }) }
    }
}
