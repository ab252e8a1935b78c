import CarouselCore

extension Conformance {
    static func lossCases() -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for (batch, classes) in [(0, 3), (1, 2), (3, 1), (32, 2), (65, 5), (7, 257), (2, 5000)] {
            for kind in [CrossEntropy.Kind.softmax, .sigmoid] {
                if kind == .sigmoid && classes > 5 { continue }
                for scale in [2.0, 80.0] {
                    for (weighted, smoothing) in [(false, 0.0), (true, 0.0), (false, 0.1), (true, 0.1)] {
                        let width = kind == .softmax ? classes : 1
                        // Of one class the gradient is 0, and (1 − ε) + ε a rounding away from 1.
                        if kind == .softmax && classes == 1 && smoothing > 0 { continue }
                        let name = "\(kind.rawValue) B\(batch) C\(width) logits to \(Int(scale))"
                            + (weighted ? " weighted" : "") + (smoothing > 0 ? " smoothing" : "")
                        if cases.contains(where: { $0.name == name }) { continue }
                        cases.append(ConformanceCase("loss", name, level: batch * width <= 2000 ? .tiny : .quick) { run in
                            try crossEntropy(run, kind, batch, width, scale, weighted, smoothing)
                        })
                    }
                }
            }
        }
        return cases
    }

    private static func crossEntropy(_ run: CaseRun, _ kind: CrossEntropy.Kind, _ batch: Int, _ classes: Int,
                                     _ scale: Double, _ weighted: Bool, _ smoothing: Double) throws {
        // The first and last row sit at the bounds.
        var values = run.draw(batch * classes, scale: scale)
        for j in 0..<min(classes, values.count) {
            values[j] = j % 2 == 0 ? scale : -scale
            values[values.count - 1 - j] = -scale
        }
        let logits = try run.input("logits", values, [batch, classes])
        let labels = try run.integers("labels", run.drawIntegers(batch, below: kind == .softmax ? classes : 2), [batch])
        let weights = try weighted ? run.input("weights", [batch], scale: 0.9, center: 1) : nil
        let meaning = IndexMeaning.grid("b", "class", width: classes)
        let losses = try run.output("losses", [batch], Tolerance.loss)
        let dLogits = try run.output("dLogits", [batch, classes], Tolerance.loss, meaning)
        var loss = CrossEntropy(kind, logits: logits, labels: labels, weights: weights, labelSmoothing: smoothing,
                                scale: 0.75, losses: losses, dLogits: dLogits)
        try run.backend.crossEntropy(loss)
        loss.losses = try run.output("losses without gradient", [batch], Tolerance.loss)
        loss.dLogits = nil
        try run.backend.crossEntropy(loss)
    }
}
