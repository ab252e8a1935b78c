import Foundation

extension BenchReport {
    /// The report for a terminal: what ran where, a table with the columns that have values, single numbers, notes.
    public func lines() -> [String] {
        let unit = (machine.device == "cpu" ? "thread" : "compute unit") + (machine.threads == 1 ? "" : "s")
        var lines = ["bench \(command) on \(machine.device), \(machine.deviceName), \(machine.threads) \(unit), plan \(machine.plan)"]
        if let peak, let peakMethod { lines.append("peak \(Self.number(peak)) GFLOP/s: \(peakMethod)") }
        lines.append("")
        lines += Self.table(rows, shareTitle: peak == nil ? "of step" : "of peak")
        if !facts.isEmpty {
            var table = TextTable(alignments: [.left, .right, .left])
            for fact in facts { table.add([fact.name, Self.number(fact.value), fact.unit]) }
            lines += [""] + table.lines()
        }
        return lines + (notes.isEmpty ? [] : [""] + notes)
    }

    private static func table(_ rows: [BenchRow], shareTitle: String) -> [String] {
        typealias Column = (title: String, alignment: TextTable.Alignment, text: (BenchRow) -> String?)
        let columns: [Column] = [
            ("what", .left, { $0.key }),
            ("ms", .right, { number($0.milliseconds) }),
            ("min", .right, { number($0.minimum) }),
            ("samples", .right, { "\($0.samples)" }),
            ("GFLOP/s", .right, { $0.gigaflops.map(number) }),
            ("GB/s", .right, { $0.gigabytes.map(number) }),
            ("cores", .right, { $0.cores.map { String(format: "%.2f", $0) } }),
            (shareTitle, .right, { $0.share.map(percent) }),
            ("of used", .right, { $0.shareOfUsed.map(percent) }),
            ("per FLOP", .right, { $0.ratio.map { String(format: "%.2f", $0) } }),
            ("allocations", .right, { $0.allocations.map(number) }),
            ("memory", .right, { $0.bytes.map(MemoryPlan.text) }),
            ("of plan", .right, { row in
                guard let bytes = row.bytes, let planned = row.plannedBytes, planned > 0 else { return nil }
                return percent(Double(bytes) / Double(planned))
            }),
            ("plan", .left, { $0.plan }),
        ]
        let shown = columns.filter { column in rows.contains { column.text($0) != nil } }
        var table = TextTable(header: shown.map(\.title), alignments: shown.map(\.alignment))
        for row in rows { table.add(shown.map { $0.text(row) ?? "-" }) }
        return table.lines()
    }

    /// Three digits that count: 0.0123, 1.23, 12.3, 123, 12345.
    static func number(_ value: Double) -> String {
        switch abs(value) {
        case 100...: String(format: "%.0f", value)
        case 10..<100: String(format: "%.1f", value)
        case 1..<10: String(format: "%.2f", value)
        case 0: "0"
        case 0.01..<1: String(format: "%.3f", value)
        default: String(format: "%.2e", value)
        }
    }

    static func percent(_ value: Double) -> String { String(format: "%.1f %%", 100 * value) }
}
