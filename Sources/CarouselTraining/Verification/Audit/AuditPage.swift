import Foundation

/// The report as one HTML page that needs nothing from elsewhere.
public enum AuditPage {
    /// The whole page.
    public static func html(_ report: AuditReport) -> String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Audit of \(escaped(report.subject))</title>
        <style>
        \(style)
        </style>
        </head>
        <body>
        <h1>Audit of \(escaped(report.subject)) \(chip(report.verdict))</h1>
        <p class="facts">\(facts(report))</p>
        <p>Every number a device computed is compared with a plain implementation in double precision. A bar shows how much of
        its tolerance an error uses, on a logarithmic scale: an empty bar is a thousandth or less, a full one all of it.</p>
        \(summary(report))
        \(differences(report))
        \(report.devices.map(device).joined(separator: "\n"))
        </body>
        </html>

        """
    }

    private static let style = """
        :root { color-scheme: light dark; --text: #1c2430; --soft: #5b6675; --line: #d9dee6; --back: #ffffff; --head: #f4f6f9;
          --good: #1f7a4d; --bad: #b3261e; --open: #8a5a00; --bar: #9db7d9; }
        @media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --soft: #9aa5b4; --line: #333c48; --back: #14181e;
          --head: #1d232b; --good: #58c78d; --bad: #ff8a80; --open: #e6b450; --bar: #3f5f8a; } }
        body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
        .facts, .soft { color: var(--soft); }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
        th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
        th { background: var(--head); font-weight: 600; } td.number, th.number { text-align: right; } td.place { white-space: normal; min-width: 14rem; }
        tr.failed td { color: var(--bad); font-weight: 600; } tr.undecided td { color: var(--open); }
        .chip { font-size: .8rem; font-weight: 600; padding: .1rem .5rem; border: 1px solid currentColor; border-radius: .6rem; vertical-align: middle; }
        .passed .chip, .chip.passed { color: var(--good); } .chip.failed { color: var(--bad); } .chip.undecided { color: var(--open); }
        .bar { width: 7rem; height: .6rem; border: 1px solid var(--line); border-radius: .3rem; overflow: hidden; }
        .bar i { display: block; height: 100%; background: var(--bar); } tr.failed .bar i { background: var(--bad); } tr.undecided .bar i { background: var(--open); }
        details { margin-top: 2rem; } summary { cursor: pointer; } summary h2 { display: inline; }
        pre { white-space: pre-wrap; color: var(--bad); }
        """

    private static func facts(_ report: AuditReport) -> String {
        var facts = [escaped(report.source), "\(report.rows) rows", "\(report.steps) steps at most, \(report.tokens) in all",
                     "\(report.parameters) parameters", "\(report.trainingSteps) training steps", String(format: "%.1f s", report.seconds)]
        if let distance = report.kinkDistance {
            facts.append("closest argument to a kink \(AuditReport.scientific(distance))" + (report.moves > 0 ? " after moving the weights by up to a thousandth" : ""))
        }
        return facts.joined(separator: " · ")
    }

    private static func summary(_ report: AuditReport) -> String {
        let rows = report.devices.map { device -> [Cell] in
            let worst = device.tensors.max { $0.share < $1.share }
            return [.text(device.device), .text(device.name), .text(device.plan), .text(device.precision), .html(chip(device.verdict)),
                    .text(worst.map { "\($0.kind.rawValue) \($0.name)" } ?? "-"), .html(worst.map { bar($0) } ?? "")]
        }
        return table(["device", "name", "plan", "precision", "verdict", "closest to its tolerance", ""], zip(report.devices, rows).map { ($0.verdict, $1) })
    }

    private static func differences(_ report: AuditReport) -> String {
        guard !report.differences.isEmpty else { return "" }
        let rows = report.differences.map { d -> (AuditTensor.Verdict, [Cell]) in
            (d.passed ? .passed : .failed, [.text(d.name), .number("\(d.samples)"), .number(AuditReport.scientific(d.maximum)),
             .number(AuditReport.scientific(d.direction)), .number(AuditReport.scientific(d.tolerance)), .html(chip(d.passed ? .passed : .failed)),
             .place(d.worst)])
        }
        return "<h2>The reference against finite differences</h2>\n"
            + table(["tensor", "#entries", "#largest error", "#along a direction", "#allowed", "verdict", "worst entry"], rows)
    }

    private static func device(_ device: AuditedDevice) -> String {
        let rows = device.tensors.map { tensor -> (AuditTensor.Verdict, [Cell]) in
            var place = tensor.worst
            if tensor.verdict != .passed { place += String(format: ": got %.6g, expected %.6g", tensor.got, tensor.expected) }
            return (tensor.verdict, [.text(tensor.kind.rawValue), .text(tensor.name), .number(AuditReport.scientific(tensor.maximum)),
                                     .number(AuditReport.scientific(tensor.rms)), .number(AuditReport.scientific(tensor.tolerance)),
                                     .html(bar(tensor)), .html(chip(tensor.verdict)), .place(place)])
        }
        let problem = device.problem.map { "<p>The device could not compute the model:</p><pre>\(escaped($0))</pre>" } ?? ""
        let content = rows.isEmpty ? "" : table(["what", "tensor", "#largest", "#RMS", "#allowed", "", "verdict", "largest at"], rows)
        return """
            <details open>
            <summary><h2>\(escaped(device.device)), \(escaped(device.plan)), \(escaped(device.precision)) \(chip(device.verdict))</h2></summary>
            <p class="soft">\(escaped([device.name, device.driver].filter { !$0.isEmpty }.joined(separator: " · ")))</p>
            \(problem)\(content)
            </details>
            """
    }

    private enum Cell {
        case text(String), number(String), place(String), html(String)

        var markup: String {
            switch self {
            case .text(let text): "<td>\(escaped(text))</td>"
            case .number(let text): "<td class=\"number\">\(escaped(text))</td>"
            case .place(let text): "<td class=\"place\">\(escaped(text))</td>"
            case .html(let html): "<td>\(html)</td>"
            }
        }
    }

    /// - Parameter header: a leading # aligns a column's title with numbers.
    private static func table(_ header: [String], _ rows: [(AuditTensor.Verdict, [Cell])]) -> String {
        let titles = header.map { $0.hasPrefix("#") ? "<th class=\"number\">\(escaped(String($0.dropFirst())))</th>" : "<th>\(escaped($0))</th>" }
        let lines = rows.map { verdict, cells in "<tr class=\"\(verdict.rawValue)\">" + cells.map(\.markup).joined() + "</tr>" }
        return "<div class=\"scroll\"><table><thead><tr>\(titles.joined())</tr></thead><tbody>\n\(lines.joined(separator: "\n"))\n</tbody></table></div>"
    }

    private static func chip(_ verdict: AuditTensor.Verdict) -> String { "<span class=\"chip \(verdict.rawValue)\">\(verdict.rawValue)</span>" }

    /// The share of the tolerance on three decades.
    private static func bar(_ tensor: AuditTensor) -> String {
        let share = tensor.share.isFinite ? max(0, min(1, 1 + log10(max(tensor.share, 1e-9)) / 3)) : 1
        return "<div class=\"bar\" title=\"\(String(format: "%.3g", tensor.share * 100)) % of what is allowed\"><i style=\"width:\(Int((100 * share).rounded()))%\"></i></div>"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }
}
