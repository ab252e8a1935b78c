import Foundation

/// Two reports of one command, row by row.
public struct BenchComparison: Codable, Sendable {
    /// A row or fact that both have.
    public struct Pair: Codable, Sendable {
        /// Of the row, or the name of the fact.
        public var key: String
        /// Then.
        public var old: Double
        /// Now.
        public var new: Double
        /// old / new: of times, above 1 is faster now.
        public var ratio: Double
    }

    /// Milliseconds at the median.
    public var rows: [Pair]
    /// Milliseconds of the fastest sample.
    public var minima: [Pair]
    /// Milliseconds of processor time, of rows that have it: what other programs disturb least.
    public var processor: [Pair]
    /// Single numbers.
    public var facts: [Pair]
    /// Rows and facts of the old report alone.
    public var onlyOld: [String]
    /// Rows and facts of the new report alone.
    public var onlyNew: [String]
    /// Why the figures may differ for other reasons than the program's speed.
    public var warnings: [String]

    /// Pairs rows and facts by their names.
    public init(old: BenchReport, new: BenchReport) {
        func pairs(_ old: [(String, Double)], _ new: [(String, Double)]) -> [Pair] {
            let known = Dictionary(old, uniquingKeysWith: { first, _ in first })
            return new.compactMap { key, value in
                known[key].map { Pair(key: key, old: $0, new: value, ratio: $0 == value ? 1 : $0 / value) }
            }
        }
        rows = pairs(old.rows.map { ($0.key, $0.milliseconds) }, new.rows.map { ($0.key, $0.milliseconds) })
        minima = pairs(old.rows.map { ($0.key, $0.minimum) }, new.rows.map { ($0.key, $0.minimum) })
        processor = pairs(old.rows.compactMap { row in row.processor.map { (row.key, $0) } },
                          new.rows.compactMap { row in row.processor.map { (row.key, $0) } })
        facts = pairs(old.facts.map { ($0.name, $0.value) }, new.facts.map { ($0.name, $0.value) })
        let oldKeys = old.rows.map(\.key) + old.facts.map(\.name), newKeys = new.rows.map(\.key) + new.facts.map(\.name)
        onlyOld = oldKeys.filter { !newKeys.contains($0) }
        onlyNew = newKeys.filter { !oldKeys.contains($0) }
        warnings = new.machine.differences(to: old.machine)
    }

    /// A table of times, one of single numbers, and what only one side has.
    public func lines() -> [String] {
        let processorRatios = Dictionary(processor.map { ($0.key, $0.ratio) }, uniquingKeysWith: { first, _ in first })
        var table = TextTable(header: ["compared", "old ms", "new ms", "old / new", "of minima", "of cpu time"], alignments: [.left])
        for (row, minimum) in zip(rows, minima) {
            table.add([row.key, BenchReport.number(row.old), BenchReport.number(row.new), String(format: "%.2f", row.ratio),
                       String(format: "%.2f", minimum.ratio),
                       processorRatios[row.key].map { String(format: "%.2f", $0) } ?? "-"])
        }
        var lines = rows.isEmpty ? [] : table.lines()
        if !facts.isEmpty {
            var table = TextTable(header: ["compared", "old", "new", "old / new"], alignments: [.left])
            for fact in facts {
                table.add([fact.key, BenchReport.number(fact.old), BenchReport.number(fact.new), String(format: "%.2f", fact.ratio)])
            }
            lines += [""] + table.lines()
        }
        if !onlyOld.isEmpty { lines.append("only in the old report: " + onlyOld.joined(separator: "; ")) }
        if !onlyNew.isEmpty { lines.append("only in the new report: " + onlyNew.joined(separator: "; ")) }
        return lines
    }
}
