import CarouselCore

extension Conformance {
    /// Rows that take Adam's steps when they are needed.
    static func adamRowsCases() -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for (rows, width) in [(1, 1), (9, 5), (40, 16), (7, 70), (300, 128)] {
            let level = rows * width <= 1000 ? Level.tiny : .quick
            for variant in [OptimizerVariant.keras, .pytorch] {
                for (decay, averages) in [(0.0, false), (0.1, true)] {
                    let name = "V\(rows) D\(width) \(variant.rawValue) decay \(decay)\(averages ? " average" : "")"
                    @Sendable func step(_ number: Int, _ fault: Tensor? = nil) -> AdamStep {
                        AdamStep(learningRate: 0.01 / Double(number), epsilon: 1e-7, weightDecay: decay, variant: variant, step: number, fault: fault)
                    }
                    // 0, or what keeps the step with gradients and an event after it from happening.
                    for fault in [0.0, .nan] {
                        cases.append(ConformanceCase("optimizer", "adam rows \(name) fault \(fault)", level: level) { run in
                            let table = try Self.table(run, rows, width, averages: averages, marks: run.drawIntegers(rows, below: 5), events: 8)
                            let history = table.history
                            for number in 1...4 { try run.backend.record(.step(step(number)), as: number, in: history, fault: nil) }
                            if averages { try run.backend.record(.average(decay: 0.9), as: 3, in: history, fault: nil) }
                            try run.backend.record(.step(step(4)), as: 4, in: history, fault: nil)
                            let touched = RowIndexLists(run.drawIntegers(rows, below: rows)).distinct
                            let indices = try run.integers("rows", touched, [touched.count])
                            let watched = try run.input("fault", [fault], [1])
                            let gradients = try run.input("gradients", [touched.count, width])
                            try run.backend.adamRows(AdamRowsPass(step(5, watched), table, rows: indices, gradients: gradients, number: 5, calmFrom: 0))
                            try run.backend.record(.step(step(5)), as: 5, in: history, fault: watched)
                        })
                    }
                    cases.append(ConformanceCase("optimizer", "adam rows \(name) all", level: level) { run in
                        let table = try Self.table(run, rows, width, averages: averages, marks: run.drawIntegers(rows, below: 4), events: 8)
                        for number in 1...6 {
                            let event = averages && number % 2 == 0 ? AdamEvent.average(decay: 0.9) : .step(step(number))
                            try run.backend.record(event, as: number, in: table.history, fault: nil)
                        }
                        try run.backend.adamRows(AdamRowsPass(step(6), table, rows: nil, calmFrom: 0))
                    })
                }
                cases.append(sameBits(rows, width, variant, level))
            }
        }
        return cases
    }

    private static func table(_ run: CaseRun, _ rows: Int, _ width: Int, averages: Bool, marks: [Int32], events: Int) throws -> AdamTable {
        let tolerance = Tolerance.rows(events: events), meaning = IndexMeaning.grid("row", "column", width: width)
        func tensor(_ name: String, scale: Double, center: Double = 0) throws -> Tensor {
            try run.inPlace(name, run.draw(rows * width, scale: scale, center: center), [rows, width], tolerance, meaning)
        }
        let history = AdamHistory(events: try run.backend.makeTensor(shape: [events, AdamHistory.width]),
                                  last: try run.integersInPlace("last", [0], [1]), marks: try run.integersInPlace("marks", marks, [rows]))
        return AdamTable(weights: try tensor("weights", scale: 1), m: try tensor("m", scale: 0.3), v: try tensor("v", scale: 0.1, center: 0.11),
                         average: averages ? try tensor("average", scale: 1) : nil, history: history)
    }

    /// The device against itself: after many events with gradient 0 a row holds the bits of whole steps.
    private static func sameBits(_ rows: Int, _ width: Int, _ variant: OptimizerVariant, _ level: Level) -> ConformanceCase {
        ConformanceCase("optimizer", "adam rows V\(rows) D\(width) \(variant.rawValue) bits of whole steps", level: level) { run in
            let backend = run.backend, count = rows * width, shape: Shape = [rows, width], events = level > .tiny ? 240 : 24
            let start = [run.draw(count, scale: 0.05), run.draw(count, scale: 1e-3), run.draw(count, scale: 1e-6, center: 1.1e-6)]
            let whole = try start.map { try backend.makeTensor($0, shape: shape) }, lazy = try start.map { try backend.makeTensor($0, shape: shape) }
            let zeros = try backend.makeTensor([Double](repeating: 0, count: count), shape: shape)
            let table = AdamTable(weights: lazy[0], m: lazy[1], v: lazy[2], history: try AdamHistory(capacity: events, rows: rows, on: backend))
            var step = AdamStep(learningRate: 0.001, epsilon: 1e-8, variant: variant, step: 20)
            for number in 1...events {
                step.step += 1
                try backend.adam(step, weights: whole[0], gradients: zeros, m: whole[1], v: whole[2])
                try backend.record(.step(step), as: number, in: table.history, fault: nil)
            }
            try backend.adamRows(AdamRowsPass(step, table, rows: nil, calmFrom: 0))
            for (place, name) in ["weights", "m", "v"].enumerated() {
                let pairs = zip(try backend.readDoubles(lazy[place]), try backend.readDoubles(whole[place]))
                run.record("\(name) that differ", [Double(pairs.count { $0.bitPattern != $1.bitPattern })], tolerance: Tolerance.exact)
            }
        }
    }
}
