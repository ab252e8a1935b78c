import CarouselCore

extension Conformance {
    static func optimizerCases() -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        func add(_ name: String, level: Level, _ body: @escaping @Sendable (CaseRun) throws -> Void) {
            cases.append(ConformanceCase("optimizer", name, level: level, body))
        }
        for count in flatSizes {
            for accumulate in [false, true] {
                add("squared norm \(count)\(accumulate ? " accumulate" : "")", level: flatLevel(count)) { run in
                    let sum = try run.result("sum", [1], accumulate: accumulate, Tolerance.norm)
                    try run.backend.squaredNorm(of: run.input("x", [count], scale: 3), into: sum, accumulate: accumulate)
                }
            }
            add("clip by value \(count)", level: flatLevel(count)) { run in
                let x = try run.inPlace("x", run.draw(count), [count], Tolerance.exact)
                try run.backend.clipByValue(x, limit: 0.5)
            }
            for factor in [0x1p16, 0x1p-16, 0] {
                add("scale \(count) by \(factor)", level: flatLevel(count)) { run in
                    let x = try run.inPlace("x", run.draw(count), [count], Tolerance.exact)
                    try run.backend.scale(x, by: run.input("factor", [factor], [1]))
                }
            }
            add("average \(count)", level: flatLevel(count)) { run in
                let mean = try run.inPlace("average", run.draw(count), [count], Tolerance.elementwise)
                try run.backend.average(run.input("weights", [count]), into: mean, decay: 0.999)
            }
            for variant in [OptimizerVariant.keras, .pytorch] {
                // Below, far above, exactly at nothing, and so small that the 1e-6 of one variant shows.
                for (norm, maximum) in [(0.25, 1.0), (400.0, 1.0), (0.0, 5.0), (1e-4, 0.005)] {
                    add("clip by norm \(count) \(variant.rawValue) squared norm \(norm) maximum \(maximum)", level: flatLevel(count)) { run in
                        let x = try run.inPlace("x", run.draw(count), [count], Tolerance.elementwise)
                        try run.backend.clipByNorm(x, squaredNorm: run.input("squared norm", [norm], [1]), maximum: maximum,
                                                   variant: variant)
                    }
                }
                // A loss or norm that was not finite leaves weights and moments as they are.
                for fault in [0.0, 1, .infinity, .nan] {
                    add("updates \(count) \(variant.rawValue) after fault \(fault)", level: flatLevel(count)) { run in
                        let watched = try run.input("fault", [fault], [1]), gradients = try run.input("gradients", [count])
                        let tolerance = fault == 0 ? Tolerance.optimizer : Tolerance.exact
                        func state(_ name: String) throws -> Tensor { try run.inPlace(name, run.draw(count, scale: 0.1, center: 0.2), [count], tolerance) }
                        try run.backend.sgd(SGDStep(learningRate: 0.05, momentum: 0.9, variant: variant, step: 3, fault: watched),
                                            weights: state("w sgd"), gradients: gradients, velocity: state("velocity"))
                        try run.backend.adam(AdamStep(learningRate: 0.01, epsilon: 1e-7, variant: variant, step: 3, fault: watched),
                                             weights: state("w adam"), gradients: gradients, m: state("m"), v: state("v"))
                        try run.backend.rmsprop(RMSpropStep(learningRate: 0.01, rho: 0.9, epsilon: 1e-2, variant: variant, fault: watched),
                                                weights: state("w rmsprop"), gradients: gradients, v: state("v rmsprop"), momentum: nil)
                    }
                }
                cases += sgdCases(count, variant) + adamCases(count, variant) + rmspropCases(count, variant)
            }
        }
        // More elements than one group adds up at once, in the tiny set too.
        add("squared norm 20000", level: .tiny) { run in
            let sum = try run.result("sum", [1], accumulate: false, Tolerance.norm)
            try run.backend.squaredNorm(of: run.input("x", [20_000], scale: 3), into: sum, accumulate: false)
        }
        return cases + lossScaleCases()
    }

    private static func lossScaleCases() -> [ConformanceCase] {
        let rule = LossScaleRule(start: 8, growthInterval: 4, smallest: 2, largest: 16)
        return [(8.0, 1.0), (8, 3), (16, 3), (2, 3)].flatMap { scale, good in
            [1.0, .infinity, .nan].flatMap { norm in
                [0.0, 1, .nan].map { fault in
                    ConformanceCase("optimizer", "loss scale \(scale) after \(good) good steps, squared norm \(norm), fault \(fault)", level: .tiny) { run in
                        let state = try run.inPlace("scale, inverse, good steps", [scale, 1 / scale, good], [3], Tolerance.exact)
                        let watched = try fault.isNaN ? run.input("fault", [fault], [1]) : run.inPlace("fault", [fault], [1], Tolerance.exact)
                        try run.backend.adjustLossScale(LossScaleStep(rule, state: state, squaredNorm: run.input("squared norm", [norm], [1]),
                                                                      fault: watched, skip: run.output("skip", [1], Tolerance.exact)))
                    }
                }
            }
        }
    }

    private static func sgdCases(_ count: Int, _ variant: OptimizerVariant) -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
            for (decay, step) in [(0.0, 1), (0.1, 1), (0.1, 7)] {
                let name = "sgd \(count) \(variant.rawValue) momentum \(momentum)\(nesterov ? " nesterov" : "") decay \(decay) step \(step)"
                cases.append(ConformanceCase("optimizer", name, level: flatLevel(count)) { run in
                    let w = try run.inPlace("weights", run.draw(count), [count], Tolerance.optimizer)
                    // A velocity is zero before the first step.
                    let start = step == 1 ? [Double](repeating: 0, count: count) : run.draw(count)
                    let v = try momentum == 0 ? nil : run.inPlace("velocity", start, [count], Tolerance.optimizer)
                    let settings = SGDStep(learningRate: 0.05, momentum: momentum, nesterov: nesterov, weightDecay: decay,
                                           variant: variant, step: step)
                    try run.backend.sgd(settings, weights: w, gradients: run.input("gradients", [count]), velocity: v)
                })
            }
        }
        return cases
    }

    private static func adamCases(_ count: Int, _ variant: OptimizerVariant) -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for (decay, step, epsilon) in [(0.0, 1, 1e-7), (0.0, 1000, 1e-8), (0.1, 2, 1e-3)] {
            let name = "adam \(count) \(variant.rawValue) decay \(decay) step \(step)"
            cases.append(ConformanceCase("optimizer", name, level: flatLevel(count)) { run in
                let w = try run.inPlace("weights", run.draw(count), [count], Tolerance.optimizer)
                let zeros = [Double](repeating: 0, count: count)
                let m = try run.inPlace("m", step == 1 ? zeros : run.draw(count, scale: 0.3), [count], Tolerance.optimizer)
                let v = try run.inPlace("v", step == 1 ? zeros : run.draw(count, scale: 0.1, center: 0.11), [count],
                                        Tolerance.optimizer)
                let settings = AdamStep(learningRate: 0.01, epsilon: epsilon, weightDecay: decay, variant: variant, step: step)
                try run.backend.adam(settings, weights: w, gradients: run.input("gradients", [count]), m: m, v: v)
            })
        }
        return cases
    }

    private static func rmspropCases(_ count: Int, _ variant: OptimizerVariant) -> [ConformanceCase] {
        [0, 0.9].map { momentum in
            ConformanceCase("optimizer", "rmsprop \(count) \(variant.rawValue) momentum \(momentum)", level: flatLevel(count)) { run in
                let w = try run.inPlace("weights", run.draw(count), [count], Tolerance.optimizer)
                let v = try run.inPlace("v", run.draw(count, scale: 0.1, center: 0.11), [count], Tolerance.optimizer)
                let b = try momentum == 0 ? nil : run.inPlace("momentum", run.draw(count), [count], Tolerance.optimizer)
                let settings = RMSpropStep(learningRate: 0.01, rho: 0.9, momentum: momentum, epsilon: 1e-2, variant: variant)
                try run.backend.rmsprop(settings, weights: w, gradients: run.input("gradients", [count]), v: v, momentum: b)
            }
        }
    }
}
