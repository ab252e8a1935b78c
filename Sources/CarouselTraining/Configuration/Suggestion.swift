/// "Did you mean": the nearest of the known words.
public enum Suggestion {
    /// The known word with the smallest edit distance to `word`, where that is small against the word's length.
    public static func nearest(to word: String, among known: some Sequence<String>) -> String? {
        func plain(_ text: String) -> [Character] { text.lowercased().map { $0 == "-" ? "_" : $0 } }
        let target = plain(word)
        let best = known.map { (word: $0, distance: distance(target, plain($0))) }.min { $0.distance < $1.distance }
        guard let best, best.distance <= max(1, target.count / 2), best.distance < best.word.count else { return nil }
        return best.word
    }

    /// Fewest insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`
    /// (optimal string alignment).
    static func distance(_ a: [Character], _ b: [Character]) -> Int {
        var before: [Int] = [], last = Array(0...b.count)
        for i in 0..<a.count {
            var row = [i + 1]
            for j in 0..<b.count {
                var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] { cost = min(cost, before[j - 1] + 1) }
                row.append(cost)
            }
            before = last
            last = row
        }
        return last[b.count]
    }
}
