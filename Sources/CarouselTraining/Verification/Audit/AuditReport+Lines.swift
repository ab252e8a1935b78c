import Foundation

extension AuditReport {
    /// The whole report for a terminal.
    public func lines() -> [String] {
        var lines = heading
        if !differences.isEmpty {
            lines += ["", "reference against finite differences, both in double precision"]
            lines += Self.table(differences).map { "  " + $0 }
        }
        for device in devices { lines += [""] + device.lines() }
        return lines + [""] + summary
    }

    /// What was audited.
    public var heading: [String] {
        var lines = ["audit of \(subject)", "  \(source): \(rows) rows, \(steps) steps at most, \(tokens) in all; \(parameters) parameters"]
        if let kinkDistance {
            lines.append("  closest argument to a kink: \(Self.scientific(kinkDistance))"
                + (moves > 0 ? "; weights moved by up to a thousandth to get away from kinks" : ""))
            if kinkDistance < AuditTolerance.kinkDistance {
                lines.append("  that is within float32's rounding: a gradient that fails may lie on the other side of the kink")
            }
        }
        return lines
    }

    /// One line per device.
    public var summary: [String] {
        var table = TextTable(header: ["device", "plan", "precision", "verdict", "closest to its tolerance", "error", "allowed", "seconds"],
                              alignments: [.left, .left, .left, .left, .left, .right, .right, .right])
        for device in devices {
            let worst = device.tensors.max { $0.share < $1.share }
            table.add([device.device, device.plan, device.precision, device.verdict.rawValue,
                       device.problem ?? worst.map { "\($0.kind.rawValue) \($0.name)" } ?? "",
                       worst.map { Self.scientific($0.maximum) } ?? "-", worst.map { Self.scientific($0.tolerance) } ?? "-",
                       String(format: "%.1f", device.seconds)])
        }
        return table.lines()
    }

    private static func table(_ differences: [AuditDifference]) -> [String] {
        var table = TextTable(header: ["tensor", "entries", "largest error", "along a direction", "allowed", "verdict", "worst entry"],
                              alignments: [.left, .right, .right, .right, .right, .left, .left])
        for d in differences {
            table.add([d.name, "\(d.samples)", scientific(d.maximum), scientific(d.direction), scientific(d.tolerance),
                       d.passed ? "passed" : "FAILED", d.worst])
        }
        return table.lines()
    }

    /// 3.1e-07, 0, inf
    public static func scientific(_ value: Double) -> String {
        value == 0 ? "0" : value.isFinite ? String(format: "%.1e", value) : "\(value)"
    }
}

extension AuditedDevice {
    /// A table with one line per tensor.
    /// - Parameter onlyBad: leaves out what passed.
    public func lines(onlyBad: Bool = false) -> [String] {
        var lines = ["\(device), \(plan), \(precision)" + (name.isEmpty ? "" : ": \(name)")]
        if let problem { lines.append("  could not compute the model: \(problem)") }
        let shown = onlyBad ? tensors.filter { $0.verdict != .passed } : tensors
        guard !shown.isEmpty else { return lines }
        var table = TextTable(header: ["what", "tensor", "largest", "RMS", "allowed", "verdict", "largest at"],
                              alignments: [.left, .left, .right, .right, .right, .left, .left])
        for tensor in shown {
            var place = tensor.worst
            if tensor.verdict != .passed { place += String(format: ": got %.6g, expected %.6g", tensor.got, tensor.expected) }
            table.add([tensor.kind.rawValue, tensor.name, AuditReport.scientific(tensor.maximum), AuditReport.scientific(tensor.rms),
                       AuditReport.scientific(tensor.tolerance), tensor.verdict == .passed ? "passed" : tensor.verdict.rawValue.uppercased(),
                       place])
        }
        return lines + table.lines().map { "  " + $0 }
    }
}

extension AuditTensor {
    /// The largest error as a share of what is allowed.
    var share: Double { maximum == 0 ? 0 : tolerance == 0 ? .infinity : maximum / tolerance }
}
