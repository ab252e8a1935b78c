/// Columns of text lined up for a terminal.
public struct TextTable: Sendable {
    /// Which side a column is flush with.
    public enum Alignment: Sendable { case left, right }

    private var rows: [[String]]
    private let alignments: [Alignment]

    /// - Parameters:
    ///   - header: the first row; empty = none.
    ///   - alignments: one per column; columns beyond are flush right.
    public init(header: [String] = [], alignments: [Alignment]) {
        rows = header.isEmpty ? [] : [header]
        self.alignments = alignments
    }

    /// Adds a row.
    public mutating func add(_ row: [String]) { rows.append(row) }

    /// One line per row, columns two spaces apart, no spaces at the end.
    public func lines() -> [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { c in rows.map { c < $0.count ? Self.width($0[c]) : 0 }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (c, cell) in row.enumerated() {
                let gap = String(repeating: " ", count: widths[c] - Self.width(cell))
                let isLeft = c < alignments.count && alignments[c] == .left
                line += (c == 0 ? "" : "  ") + (isLeft ? cell + gap : gap + cell)
            }
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }

    /// Terminal columns `text` takes: Chinese, Japanese and Korean characters and full-width forms take two.
    static func width(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { sum, scalar in
            switch scalar.value {
            case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
                 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD: sum + 2
            case 0x0300...0x036F, 0x200B...0x200F, 0xFE00...0xFE0F: sum
            default: sum + 1
            }
        }
    }
}
