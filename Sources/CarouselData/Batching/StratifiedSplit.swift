import CarouselCore

/// Divides rows into a training part and a held-out part with the same share of every class.
public enum StratifiedSplit {
    /// - Parameters:
    ///   - labels: class number of every row.
    ///   - fraction: share of every class to hold out, 0 … 1; a class of two or more rows keeps at least one
    ///     row in each part when `fraction` is strictly between.
    ///   - texts: when given, rows with exactly the same text stay together, so that no held-out text was
    ///     trained on.
    /// - Returns: row numbers, ascending in both parts; a pure function of the arguments.
    public static func split(labels: [Int32], fraction: Double, seed: UInt64,
                             texts: [String]? = nil) -> (training: [Int], held: [Int]) {
        let fraction = fraction.isFinite ? min(max(fraction, 0), 1) : 0
        // A group is one text with all its copies; it belongs to the class of its first row.
        var groups: [[Int]] = []
        if let texts, texts.count == labels.count {
            var groupOfText: [TextKey: Int] = [:]
            for row in labels.indices {
                let key = TextKey(texts[row])
                if let group = groupOfText[key] {
                    groups[group].append(row)
                } else {
                    groupOfText[key] = groups.count
                    groups.append([row])
                }
            }
        } else {
            groups = labels.indices.map { [$0] }
        }
        var groupsOfClass: [Int32: [Int]] = [:]
        for (g, rows) in groups.enumerated() { groupsOfClass[labels[rows[0]], default: []].append(g) }

        var generator = SeededGenerator(seed: seed, purpose: 0x7370_6C69_7400)
        var isHeld = [Bool](repeating: false, count: labels.count)
        for label in groupsOfClass.keys.sorted() {
            let members = groupsOfClass[label] ?? []
            let rows = members.reduce(0) { $0 + groups[$1].count }
            var wanted = Int((Double(rows) * fraction).rounded())
            if members.count > 1, fraction > 0, fraction < 1 { wanted = min(max(wanted, 1), rows - 1) }
            var taken = 0
            let order = generator.permutation(members.count)
            for (position, m) in order.enumerated() where taken < wanted {
                // The last group stays in training, whatever its size.
                if fraction < 1, members.count > 1, position == members.count - 1 { break }
                let group = groups[members[m]]
                // A group that would overshoot by more than it lacks is left for training.
                guard taken + group.count - wanted <= wanted - taken else { continue }
                for row in group { isHeld[row] = true }
                taken += group.count
            }
        }
        return (labels.indices.filter { !isHeld[$0] }, labels.indices.filter { isHeld[$0] })
    }
}
