import Foundation

extension ClassificationReport {
    /// More classes than this make a matrix nobody can read.
    private static let widestMatrix = 30

    /// The report as lines for people: scores, then one line per class, then the confusion matrix, or of many classes
    /// the most frequent confusions.
    public func lines() -> [String] {
        func number(_ value: Double) -> String { String(format: "%.4f", value) }
        var lines = ["accuracy  \(number(accuracy))   loss  \(number(loss))   rows  \(count)", ""]
        var scores = TextTable(header: ["class", "precision", "recall", "F1", "rows"], alignments: [.left])
        for c in perClass { scores.add([c.label, number(c.precision), number(c.recall), number(c.f1), String(c.support)]) }
        for (name, mean) in [("macro mean", macro), ("micro mean", micro), ("weighted mean", weighted)] {
            scores.add([name, number(mean.precision), number(mean.recall), number(mean.f1), String(count)])
        }
        lines += scores.lines() + [""]
        guard perClass.count <= Self.widestMatrix else { return lines + confusionLines() }
        var matrix = TextTable(header: ["true \\ predicted"] + perClass.map(\.label), alignments: [.left])
        for (c, row) in zip(perClass, confusion) { matrix.add([c.label] + row.map(String.init)) }
        return lines + matrix.lines()
    }

    private func confusionLines() -> [String] {
        var cells: [(truth: Int, predicted: Int, rows: Int)] = []
        for (t, row) in confusion.enumerated() {
            for (p, rows) in row.enumerated() where t != p && rows > 0 { cells.append((t, p, rows)) }
        }
        guard !cells.isEmpty else { return [] }
        cells.sort { ($1.rows, $0.truth, $0.predicted) < ($0.rows, $1.truth, $1.predicted) }
        var table = TextTable(header: ["true", "predicted", "rows"], alignments: [.left, .left])
        for cell in cells.prefix(20) { table.add([perClass[cell.truth].label, perClass[cell.predicted].label, String(cell.rows)]) }
        return ["most frequent confusions (the whole matrix of \(perClass.count) classes: --json)"] + table.lines()
    }
}
