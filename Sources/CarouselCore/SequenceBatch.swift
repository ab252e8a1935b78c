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

    public let layout: SequenceLayout
    public let input: Input
    /// B class numbers, empty when there are none (prediction).
    public let labels: [Int32]
    /// B weights of the rows' losses, empty = all 1.
    public let weights: [Float]
    /// B positions in the data set the rows came from.
    public let indices: [Int]
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

    /// A batch of token sequences in any order.
    /// - Parameters:
    ///   - sequences: B lists of token numbers.
    ///   - labels, weights: B values in the order of `sequences`, or empty.
    ///   - indices: B positions in the data set; the default is 0, 1, ….
    public init(tokens sequences: [[Int32]], labels: [Int32] = [], weights: [Float] = [], indices: [Int]? = nil) {
        let order = Self.longestFirst(sequences.map(\.count))
        let layout = SequenceLayout(lengths: order.map { sequences[$0].count })
        var packed: [Int32] = []
        packed.reserveCapacity(layout.rows)
        for t in 0..<layout.steps {
            for b in 0..<layout.activeRows[t] { packed.append(sequences[order[b]][t]) }
        }
        self.init(layout: layout, input: .tokens(RowIndexLists(packed)),
                  labels: labels.isEmpty ? [] : order.map { labels[$0] },
                  weights: weights.isEmpty ? [] : order.map { weights[$0] },
                  indices: order.map { indices?[$0] ?? $0 })
    }

    /// A batch of numeric sequences in any order; each is `length × width` values, row-major.
    public init(features sequences: [[Float]], width: Int, labels: [Int32] = [], weights: [Float] = [],
                indices: [Int]? = nil) {
        let order = Self.longestFirst(sequences.map { $0.count / width })
        let layout = SequenceLayout(lengths: order.map { sequences[$0].count / width })
        var packed: [Float] = []
        packed.reserveCapacity(layout.rows * width)
        for t in 0..<layout.steps {
            for b in 0..<layout.activeRows[t] {
                packed.append(contentsOf: sequences[order[b]][t * width ..< (t + 1) * width])
            }
        }
        self.init(layout: layout, input: .features(packed, width: width),
                  labels: labels.isEmpty ? [] : order.map { labels[$0] },
                  weights: weights.isEmpty ? [] : order.map { weights[$0] },
                  indices: order.map { indices?[$0] ?? $0 })
    }

    /// Adds the index of the tokens read backwards, if there are tokens: work for the thread that prepares batches.
    public mutating func indexReversed() {
        guard case .tokens(let lists) = input, reversed == nil else { return }
        reversed = RowIndexLists(layout.reversedRows.map { lists.distinct[Int(lists.positions[Int($0)])] })
    }

    /// Positions sorted by length, longest first; equal lengths keep their order.
    static func longestFirst(_ lengths: [Int]) -> [Int] {
        lengths.indices.sorted { (lengths[$0], $1) > (lengths[$1], $0) }
    }
}
