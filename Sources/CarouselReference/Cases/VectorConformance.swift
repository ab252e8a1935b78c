import CarouselCore

extension Conformance {
    /// Lengths of flat operands: around a vector, a work-group and several blocks.
    static let flatSizes = [0, 1, 7, 64, 1000, 70_000]
    static func flatLevel(_ count: Int) -> Level { count <= 1000 ? .tiny : .quick }

    static func vectorCases() -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for count in flatSizes {
            cases.append(ConformanceCase("vector", "fill \(count)", level: flatLevel(count)) { run in
                try run.backend.fill(run.output("y", [count], Tolerance.exact), with: -1.75)
            })
            for accumulate in [false, true] {
                cases.append(ConformanceCase("vector", "multiply \(count)\(accumulate ? " accumulate" : "")", level: flatLevel(count)) { run in
                    let c = try run.result("c", [count], accumulate: accumulate, Tolerance.elementwise)
                    try run.backend.multiply(run.input("a", [count]), run.input("b", [count]), into: c, accumulate: accumulate)
                })
            }
            for activation in Activation.allCases {
                cases += activationCases(activation, count)
            }
        }
        cases += copyCases() + dropoutCases()
        return cases
    }

    private static func activationCases(_ activation: Activation, _ count: Int) -> [ConformanceCase] {
        let name = "\(activation.rawValue) \(count)"
        return [
            ConformanceCase("vector", name, level: flatLevel(count)) { run in
                // Beyond ±9 tanh is 1 in float32, beyond ±17 the sigmoid; ±90 is past the range of exp.
                let x = run.draw(count, scale: 6)
                let wide = x.enumerated().map { $0.offset % 16 == 5 ? $0.element * 15 : $0.element }
                try run.backend.activate(activation, run.input("x", wide, [count]),
                                         into: run.output("y", [count], Tolerance.activation))
            },
            ConformanceCase("vector", "\(name) small arguments", level: flatLevel(count)) { run in
                let y = try run.output("y", [count], Tolerance.activation)
                try run.backend.activate(activation, run.input("x", [count], scale: 1e-2), into: y)
            },
            ConformanceCase("vector", "\(name) in place", level: flatLevel(count)) { run in
                let x = try run.inPlace("x", run.draw(count, scale: 3), [count], Tolerance.activation)
                try run.backend.activate(activation, x, into: x)
            },
            ConformanceCase("vector", "\(name) backward", level: flatLevel(count)) { run in
                let dx = try run.output("dx", [count], Tolerance.elementwise)
                try run.backend.activateBackward(activation, y: run.input("y", results(run, activation, count), [count]),
                                                 dy: run.input("dy", [count]), into: dx)
            },
            ConformanceCase("vector", "\(name) backward in place", level: flatLevel(count)) { run in
                let dy = try run.inPlace("dy", run.draw(count), [count], Tolerance.elementwise)
                try run.backend.activateBackward(activation, y: run.input("y", results(run, activation, count), [count]),
                                                 dy: dy, into: dy)
            },
        ]
    }

    /// Numbers the function can return, its bounds among them; the first is far from saturation, where
    /// 1 − y² is a difference of nearly equal numbers and a single element has no larger one beside it.
    private static func results(_ run: CaseRun, _ activation: Activation, _ count: Int) -> [Double] {
        run.draw(count, scale: 1).enumerated().map { value(of: activation, at: $0.offset % 2 == 0 ? $0.element : 5 * $0.element) }
    }

    private static func copyCases() -> [ConformanceCase] {
        struct Copy { var rows, source, from, target, at, width: Int }
        let copies = [
            Copy(rows: 7, source: 5, from: 0, target: 5, at: 0, width: 5), Copy(rows: 1, source: 1, from: 0, target: 1, at: 0, width: 1),
            Copy(rows: 33, source: 16, from: 3, target: 40, at: 20, width: 13), Copy(rows: 130, source: 65, from: 0, target: 130, at: 65, width: 65),
            Copy(rows: 1, source: 70_000, from: 1, target: 70_000, at: 0, width: 69_999), Copy(rows: 0, source: 4, from: 0, target: 4, at: 0, width: 4),
            Copy(rows: 5, source: 4, from: 2, target: 4, at: 1, width: 0), Copy(rows: 5000, source: 2, from: 1, target: 3, at: 2, width: 1),
        ]
        var cases: [ConformanceCase] = []
        for copy in copies {
            for (scale, accumulate) in [(1.0, false), (-0.5, true), (0.3, false)] {
                let name = "copy \(copy.rows) rows, \(copy.width) of \(copy.source) from \(copy.from) to \(copy.at) of "
                    + "\(copy.target), scale \(scale)" + (accumulate ? " accumulate" : "")
                let level = copy.rows * copy.width <= 10_000 ? Level.tiny : .quick
                cases.append(ConformanceCase("vector", name, level: level) { run in
                    // Columns outside the copied range keep their numbers.
                    let target = try run.inPlace("target", run.draw(copy.rows * copy.target), [copy.rows, copy.target],
                                                 scale == 1 && !accumulate ? Tolerance.exact : Tolerance.elementwise,
                                                 .grid("row", "column", width: copy.target))
                    try run.backend.copyColumns(run.input("source", [copy.rows, copy.source]), from: copy.from, to: target,
                                                at: copy.at, width: copy.width, scale: scale, accumulate: accumulate)
                })
            }
        }
        // How a training notices values that are not finite, on every device: 0 · ∞ is NaN, and NaN stays.
        cases.append(ConformanceCase("vector", "copy times 0 keeps what is not finite", level: .tiny) { run in
            let values = [1, .infinity, -3e38, -.infinity, .nan, 0, 1e-45, 7, .infinity]
            let start = [0.25, 0.5, -2, 3, 4, .nan, -0.125, 1024, -.infinity]
            for shape in [Shape([1, values.count]), Shape([values.count, 1])] {
                // Compared as records, since a NaN in a result is an error elsewhere.
                let source = try run.backend.makeTensor(values, shape: shape), target = try run.backend.makeTensor(start, shape: shape)
                try run.backend.copyColumns(source, from: 0, to: target, at: 0, width: shape[1], scale: 0, accumulate: true)
                let result = try run.backend.readDoubles(target)
                run.record("places of NaN, \(shape)", result.map { $0.isNaN ? 1 : 0 }, tolerance: Tolerance.exact)
                run.record("other values, \(shape)", result.map { $0.isNaN ? 0 : $0 }, tolerance: Tolerance.exact)
            }
        })
        return cases
    }

    private static func dropoutCases() -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for (m, f) in [(0, 3), (1, 1), (7, 5), (33, 65), (100, 700)] {
            for rate in [0, 0.1, 0.5, 0.9] {
                for shared in [false, true] {
                    let name = "dropout \(m)x\(f) rate \(rate)" + (shared ? " shared rows" : "")
                    cases.append(ConformanceCase("vector", name, level: m * f <= 3000 ? .tiny : .quick) { run in
                        let rows = try shared ? run.integers("rows", run.drawIntegers(m, below: 5), [m]) : nil
                        let mask = DropoutMask(rate: rate, key: RandomGenerator.key(7, UInt64(m)), rows: rows)
                        // Away from 0, so that a zero of the result is a dropped element.
                        let x = run.draw(m * f, scale: 0.5, center: 1), meaning = IndexMeaning.grid("row", "column", width: f)
                        let y = try run.output("y", [m, f], Tolerance.elementwise, meaning, sameZeros: true)
                        try run.backend.dropout(run.input("x", x, [m, f]), into: y, mask: mask)
                        let z = try run.inPlace("in place", x, [m, f], Tolerance.elementwise, meaning, sameZeros: true)
                        try run.backend.dropout(z, into: z, mask: mask)
                    })
                }
            }
        }
        return cases
    }
}
