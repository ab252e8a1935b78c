import CarouselCore

extension Conformance {
    static func matrixCases() -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        let sizes = [1, 2, 5, 16, 17, 31, 64, 65, 130, 257]
        var generator = SeededGenerator(seed: 1, purpose: 41)
        func size() -> Int { sizes[Int(generator.uniform() * Double(sizes.count))] }
        // Edges: nothing to multiply, one element, and sizes around the tiles of kernels.
        var shapes = [(0, 5, 3), (4, 0, 3), (4, 5, 0), (1, 1, 1), (1, 257, 1), (257, 1, 65), (5, 17, 31), (64, 64, 64),
                      (65, 130, 17), (130, 257, 65), (16, 64, 256), (1, 300, 1024), (257, 257, 257)]
        let chosen = shapes.count
        for _ in 0..<24 { shapes.append((size(), size(), size())) }
        for (s, shape) in shapes.enumerated() {
            let (m, k, n) = shape
            for form in 0..<4 {
                // Bias and accumulation go through all combinations over the shapes.
                let bias = (s + form) % 2 == 0, accumulate = (s / 2 + form / 2) % 2 == 0
                let (ta, tb) = (form & 2 != 0, form & 1 != 0)
                // Beyond the chosen shapes two of the four forms.
                if s >= chosen && form % 2 != s % 2 { continue }
                cases.append(product(shape, ta, tb, bias: bias, accumulate: accumulate, level: s >= chosen - 1 ? .full : m * k * n <= 5000 ? .tiny : .quick))
            }
        }
        // A long sum in slices, and so many rows that tiles are large.
        for form in 0..<4 {
            let (ta, tb) = (form & 2 != 0, form & 1 != 0)
            cases.append(product((3, 520, 2), ta, tb, bias: tb, accumulate: ta, level: .tiny))
        }
        // Weight gradients: few columns over many rows, with whole and incomplete tiles on either side.
        for (shape, level) in [((40, 300, 5), Level.tiny), ((5, 300, 40), .tiny), ((96, 1100, 32), .quick), ((130, 1100, 65), .quick),
                               ((33, 2300, 100), .quick), ((16, 2100, 48), .quick), ((64, 4200, 64), .quick)] {
            for accumulate in [false, true] { cases.append(product(shape, true, false, bias: false, accumulate: accumulate, level: level)) }
        }
        cases.append(product((6100, 3, 2), false, true, bias: true, accumulate: false, level: .tiny))
        for (m, n) in [(0, 5), (1, 1), (7, 64), (1000, 7), (65, 257), (3, 0), (4097, 3)] {
            for accumulate in [false, true] { cases.append(columnSums(m, n, accumulate: accumulate)) }
        }
        return cases
    }

    private static func product(_ shape: (Int, Int, Int), _ ta: Bool, _ tb: Bool, bias: Bool, accumulate: Bool,
                                level: Level) -> ConformanceCase {
        let (m, k, n) = shape
        let form = (ta ? "T" : "N") + (tb ? "T" : "N")
        let name = "product \(form) \(m)x\(k)x\(n)" + (bias ? " bias" : "") + (accumulate ? " accumulate" : "")
        return ConformanceCase("matrix", name, level: level) { run in
            let a = try run.input("a", ta ? [k, m] : [m, k]), b = try run.input("b", tb ? [n, k] : [k, n])
            let c = try run.result("c", [m, n], accumulate: accumulate, Tolerance.sum(depth: k),
                                   .grid("row", "column", width: max(n, 1)))
            try run.backend.multiply(MatrixProduct(a, transposeA: ta, b, transposeB: tb,
                                                   bias: bias ? try run.input("bias", [n]) : nil,
                                                   into: c, accumulate: accumulate))
        }
    }

    private static func columnSums(_ m: Int, _ n: Int, accumulate: Bool) -> ConformanceCase {
        ConformanceCase("matrix", "column sums \(m)x\(n)" + (accumulate ? " accumulate" : ""),
                        level: m * n <= 13_000 ? .tiny : .quick) { run in
            let sums = try run.result("sums", [n], accumulate: accumulate, Tolerance.sum(depth: m))
            try run.backend.columnSums(of: run.input("x", [m, n]), into: sums, accumulate: accumulate)
        }
    }
}
