import CarouselCore

/// Which rows share a batch.
public enum BatchPlan {
    /// Batches that are sorted by length together before they are shuffled: large enough that rows of a
    /// batch have nearly one length, small enough that batches differ from epoch to epoch.
    static let window = 50

    /// The batches of one epoch: a pure function of its arguments, with every row exactly once.
    ///
    /// The rows are shuffled; inside windows of 50 batches they are sorted by length and cut into batches;
    /// then the batches are shuffled. All batches but one have `batchSize` rows.
    public static func training(lengths: [Int], batchSize: Int, seed: UInt64, epoch: Int) -> [[Int]] {
        let size = clamped(batchSize, lengths)
        var generator = SeededGenerator(seed: seed, purpose: 0x6261_7463_6800_0000 &+ UInt64(bitPattern: Int64(epoch)))
        let shuffled = generator.permutation(lengths.count)
        var batches: [[Int]] = []
        for start in stride(from: 0, to: shuffled.count, by: size * window) {
            let rows = shuffled[start..<min(start + size * window, shuffled.count)]
            batches += cut(sorted(Array(rows), lengths), size)
        }
        let order = generator.permutation(batches.count)
        return order.map { batches[$0] }
    }

    /// Batches for evaluation: all rows sorted by length, shortest first; equal lengths keep their order.
    public static func evaluation(lengths: [Int], batchSize: Int) -> [[Int]] {
        cut(sorted(Array(lengths.indices), lengths), clamped(batchSize, lengths))
    }

    /// At least one row, at most all of them.
    private static func clamped(_ batchSize: Int, _ lengths: [Int]) -> Int { max(1, min(batchSize, lengths.count)) }

    /// `rows` by length; the position decides between equal lengths.
    private static func sorted(_ rows: [Int], _ lengths: [Int]) -> [Int] {
        rows.enumerated().sorted { (lengths[$0.element], $0.offset) < (lengths[$1.element], $1.offset) }.map(\.element)
    }

    private static func cut(_ rows: [Int], _ size: Int) -> [[Int]] {
        stride(from: 0, to: rows.count, by: size).map { Array(rows[$0..<min($0 + size, rows.count)]) }
    }
}
