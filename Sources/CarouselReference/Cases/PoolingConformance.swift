import CarouselCore

extension Conformance {
    static func poolingCases() -> [ConformanceCase] {
        let batches: [(String, [Int])] = [
            ("one step", [1]), ("uniform", [7, 7, 7]), ("ragged", [33, 20, 20, 5, 1, 1, 0, 0]), ("empty", [0, 0]), ("no rows", []),
            ("long", [700, 3, 2]), ("wide batch", (0..<65).map { 65 - $0 }),
        ]
        var cases: [ConformanceCase] = []
        for (name, lengths) in batches {
            for width in [1, 5, 64, 257] {
                for pooling in Pooling.allCases {
                    let level = lengths.reduce(0, +) * width <= 6000 ? Level.tiny : .quick
                    cases.append(ConformanceCase("pooling", "\(pooling.rawValue) \(name) F\(width)", level: level) { run in
                        try pool(run, pooling, SequenceLayout(lengths: lengths), width)
                    })
                }
            }
        }
        return cases
    }

    private static func pool(_ run: CaseRun, _ pooling: Pooling, _ layout: SequenceLayout, _ width: Int) throws {
        let packed = try PackedLayout(layout, on: run.backend)
        let B = layout.batchSize, meaning = IndexMeaning.grid("b", "unit", width: width)
        // Halves between −4 and −1: many equal maxima, all of them negative.
        let values = run.draw(layout.rows * width).map { (3 * $0 - 5).rounded() / 2 }
        let x = try run.input("x", values, [layout.rows, width])
        let tolerance = pooling == .max ? Tolerance.exact : Tolerance.sum(depth: layout.steps)
        let y = try run.output("y", [B, width], tolerance, meaning)
        let argmax = try pooling == .max ? run.integerOutput("argmax", [B, width], meaning) : nil
        try run.backend.pool(pooling, x, layout: packed, into: y, argmax: argmax)
        let dx = try run.accumulator("dx", x.shape, Tolerance.elementwise, .packed(layout, width: width))
        try run.backend.poolBackward(pooling, dy: run.input("dy", [B, width]), layout: packed, argmax: argmax, into: dx)
    }
}
