import CarouselCore

extension Conformance {
    static func embeddingCases() -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        // (rows of the table V, references N, width D)
        for (v, n, d) in [(1, 1, 1), (10, 0, 4), (7, 7, 5), (50, 300, 16), (1000, 64, 65), (5, 4000, 3), (1, 300, 5), (3, 1100, 4), (20_000, 70, 1), (300, 500, 128)] {
            let size = "V\(v) N\(n) D\(d)"
            let level = n * d <= 5000 ? Level.tiny : .quick
            let meaning = IndexMeaning.grid("row", "column", width: d)
            cases.append(ConformanceCase("embedding", "gather \(size)", level: level) { run in
                let rows = try run.integers("rows", run.drawIntegers(n, below: v), [n])
                try run.backend.gather(run.input("table", [v, d]), rows: rows,
                                       into: run.output("y", [n, d], Tolerance.exact, meaning))
            })
            cases.append(ConformanceCase("embedding", "segment sums \(size)", level: level) { run in
                let lists = RowIndexLists(run.drawIntegers(n, below: v))
                let longest = zip(lists.segments, lists.segments.dropFirst()).map { Int($1 - $0) }.max() ?? 0
                let sums = try run.output("sums", [lists.distinct.count, d], Tolerance.sum(depth: longest), meaning)
                try run.backend.segmentSums(of: run.input("values", [n, d]), index: RowIndex(lists, on: run.backend), into: sums)
            })
            cases.append(ConformanceCase("embedding", "scatter add \(size)", level: level) { run in
                let distinct = RowIndexLists(run.drawIntegers(n, below: v)).distinct
                let rows = try run.integers("rows", distinct, [distinct.count])
                let table = try run.inPlace("table", run.draw(v * d), [v, d], Tolerance.elementwise, meaning)
                try run.backend.scatterAdd(run.input("values", [distinct.count, d]), rows: rows, into: table)
            })
        }
        return cases
    }
}
