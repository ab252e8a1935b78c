import CarouselCore

/// Which recurrent layers are checked: for every variant a few chosen cases and a sample of the grid
/// T {1, 2, 7, 33, 130} × B {1, 3, 32, 65} × I, H {1, 5, 16, 65, 256} × lengths × options.
extension Conformance {
    private struct Variant {
        var cell: RecurrentCell
        var projects = false
        /// Samples of the grid in the full set.
        var samples = 60
    }

    private static let variants: [Variant] = [
        Variant(cell: .init(.rnn)),
        Variant(cell: .init(.rnn, activation: .relu), samples: 36),
        Variant(cell: .init(.rnn, activation: .linear), samples: 24),
        Variant(cell: .init(.rnn, activation: .sigmoid), samples: 24),
        Variant(cell: .init(.rnn, activation: .hardSigmoid), samples: 24),
        Variant(cell: .init(.lstm), samples: 96),
        Variant(cell: .init(.lstm, activation: .relu), samples: 30),
        Variant(cell: .init(.lstm, recurrentActivation: .hardSigmoid), samples: 30),
        Variant(cell: .init(.lstm), projects: true),
        Variant(cell: .init(.lstm, activation: .relu, recurrentActivation: .hardSigmoid), projects: true, samples: 18),
        Variant(cell: .init(.gru), samples: 96),
        Variant(cell: .init(.gru, resetAfter: false), samples: 72),
        Variant(cell: .init(.gru, activation: .relu), samples: 24),
        Variant(cell: .init(.gru, activation: .relu, recurrentActivation: .hardSigmoid, resetAfter: false), samples: 24),
    ]

    /// No case costs the reference more.
    private static let operationLimit = 500_000_000

    static func recurrentCases() -> [ConformanceCase] {
        var names: Set<String> = []
        var cases: [ConformanceCase] = []
        func add(_ item: RecurrentCase, _ level: Level) {
            guard names.insert(item.name).inserted else { return }
            cases.append(ConformanceCase(item.cell.kind.rawValue, item.name, level: level) { try item.run($0) })
        }
        for (v, variant) in variants.enumerated() {
            for (item, level) in chosen(variant) { add(item, level) }
            var generator = SeededGenerator(seed: UInt64(v), purpose: 40)
            for sample in 0..<variant.samples {
                var item = sampled(variant, sample, &generator)
                add(item, sample < 2 ? .quick : .full)
                guard sample % 3 == 2 else { continue }
                item.options.insert(.opaque)
                add(item, .full)
            }
        }
        return cases
    }

    /// Small cases that each aim at one mistake.
    private static func chosen(_ variant: Variant) -> [(RecurrentCase, Level)] {
        func make(_ lengths: [Int], _ input: Int, _ hidden: Int, _ options: RecurrentOptions) -> RecurrentCase {
            RecurrentCase(cell: variant.cell, lengths: lengths, input: input, hidden: hidden,
                          projection: variant.projects ? max(1, hidden * 2 / 3) : nil, options: options)
        }
        return [
            (make([4, 4, 4], 5, 6, .everything), .quick),
            (make([5, 4, 4, 2, 1, 0, 0], 3, 17, .everything), .quick),
            (make([6, 3, 3, 1], 16, 16, .classifier), .quick),
            (make([5, 4, 4, 2, 1, 0, 0], 3, 17, .everything.union(.opaque)), .quick),
            (make([6, 3, 3, 1], 16, 33, .classifier.union([.opaque, .dy])), .quick),
            (make([40, 40, 36, 9], 20, 65, .classifier.union(.opaque)), .quick),
            (make([3, 2, 0], 4, 5, .everything.union(.indexed).subtracting([.bIH, .h0])), .tiny),
            (make([3, 2, 0], 4, 5, [.bIH, .dy, .dInput, .frozenBiases, .c0]), .tiny),
            (make([2, 1], 3, 4, [.dcT, .h0]), .tiny),
            (make([3, 2, 0], 4, 5, [.bIH, .dy, .dInput, .opaque]), .tiny),
            (make([3, 2, 1, 0], 3, 17, .everything.union([.indexed, .opaque, .mask])), .tiny),
            (make([4, 4, 4], 5, 6, .everything.union(.mask)), .quick),
            (make([6, 3, 3, 1], 16, 16, .classifier.union(.mask)), .quick),
            (make([5, 4, 4, 2, 1, 0, 0], 3, 69, .everything.union([.opaque, .mask])), .quick),
            (make([4, 2, 2, 1, 0], 3, 17, .everything.union(.mask)), .tiny),
            (make([3, 2, 0], 4, 5, [.bIH, .dy, .dInput, .mask]), .tiny),
            (make([0, 0], 3, 4, .everything), .tiny),
            (make([], 3, 4, .classifier), .tiny),
            (make([1], 1, 1, .everything), .tiny),
            // One unit more than a vector.
            (make([3, 2, 1], 3, 17, .everything), .tiny),
            (make([3, 3, 1], 17, 5, .classifier), .tiny),
            // More sequences than a work-group takes.
            (make([2, 2, 2, 2, 1, 1, 1, 1, 1, 0], 2, 4, .everything), .tiny),
        ]
    }

    /// Any point of the grid; sizes are drawn again until the case is affordable.
    private static func sampled(_ variant: Variant, _ sample: Int, _ generator: inout SeededGenerator) -> RecurrentCase {
        let sizes = [1, 5, 16, 65, 256]
        while true {
            // Walks through T and B evenly; I, H and options are drawn.
            let T = [1, 2, 7, 33, 130][sample % 5], B = [1, 3, 32, 65][(sample / 5 + sample) % 4]
            let I = pick(sizes, &generator), H = pick(sizes, &generator)
            let lengths = lengths(T, B, style: Int(generator.next() >> 62), &generator)
            var options = options(&generator)
            if variant.cell.kind != .lstm { options.subtract([.c0, .dcT, .dc0]) }
            if sample % 4 == 3 { options.insert(.mask) }
            let R = variant.projects ? max(1, H * 2 / 3) : nil
            let item = RecurrentCase(cell: variant.cell, lengths: lengths, input: I, hidden: H, projection: R, options: options)
            // Thousands of relus always have one near its kink: those cases stay smaller.
            let limit = hasKinks(variant.cell) ? operationLimit / 10 : operationLimit
            let gates = item.rows * H * variant.cell.gateCount
            if item.operations <= limit && (!hasKinks(variant.cell) || gates <= 30_000) { return item }
        }
    }

    private static func hasKinks(_ cell: RecurrentCell) -> Bool {
        [cell.activation, cell.recurrentActivation].contains { $0 == .relu || $0 == .hardSigmoid }
    }

    private static func pick(_ values: [Int], _ generator: inout SeededGenerator) -> Int {
        values[Int(generator.uniform() * Double(values.count))]
    }

    /// Uniform, random from 1, random with zeros and ones at the end, or one long sequence above many short ones.
    private static func lengths(_ T: Int, _ B: Int, style: Int, _ generator: inout SeededGenerator) -> [Int] {
        var lengths = [Int](repeating: T, count: B)
        for b in 1..<max(B, 1) {
            switch style {
            case 0: break
            case 1: lengths[b] = 1 + Int(generator.uniform() * Double(T))
            case 2: lengths[b] = b % 4 == 0 ? b % 3 == 0 ? 0 : 1 : Int(generator.uniform() * Double(T + 1))
            default: lengths[b] = min(T, 2 + Int(generator.uniform() * 3))
            }
        }
        return lengths.sorted(by: >)
    }

    /// At least one gradient comes in.
    private static func options(_ generator: inout SeededGenerator) -> RecurrentOptions {
        var options = RecurrentOptions(rawValue: Int(generator.next() >> 53))
        if generator.uniform() < 0.1 { options.insert(.frozenBiases) }
        if options.isDisjoint(with: [.dy, .dhT]) { options.insert(generator.uniform() < 0.5 ? .dy : .dhT) }
        return options
    }
}
