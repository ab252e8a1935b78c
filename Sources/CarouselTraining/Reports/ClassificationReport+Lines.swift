import Foundation

extension ClassificationReport {
    /// The report as lines for people: scores, then one line per class, then the confusion matrix.
    public func lines() -> [String] {
        func number(_ value: Double) -> String { String(format: "%.4f", value) }
        var lines = ["accuracy  \(number(accuracy))   loss  \(number(loss))   rows  \(count)", ""]
        var scores = TextTable(header: ["class", "precision", "recall", "F1", "rows"], alignments: [.left])
        for c in perClass { scores.add([c.label, number(c.precision), number(c.recall), number(c.f1), String(c.support)]) }
        for (name, mean) in [("macro mean", macro), ("micro mean", micro), ("weighted mean", weighted)] {
            scores.add([name, number(mean.precision), number(mean.recall), number(mean.f1), String(count)])
        }
        lines += scores.lines() + [""]
        var matrix = TextTable(header: ["true \\ predicted"] + perClass.map(\.label), alignments: [.left])
        for (c, row) in zip(perClass, confusion) { matrix.add([c.label] + row.map(String.init)) }
        return lines + matrix.lines()
    }
}
