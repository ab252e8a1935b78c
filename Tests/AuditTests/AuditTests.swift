import Carousel
@testable import CarouselNN
@testable import CarouselOpenCL
import CarouselReference
@testable import CarouselTraining
import Foundation
import Testing

/// The audit of sound devices, its measures and its files.
@Suite struct AuditTests {
    @Test(arguments: ["stacked-lstm", "simple-rnn", "bilstm", "gru", "relu-lstm"]) func soundDevicesPass(_ name: String) throws {
        let audit = try Audit(AuditSamples.audited(name), limits: AuditSamples.limits)
        let differences = try audit.differences()
        #expect(differences.count == audit.oracle.model.store.parameters.count)
        for d in differences { #expect(d.passed && d.samples > 0, "\(d.name): \(d.maximum), \(d.direction)") }
        for selector in try Device.available().devices.map(\.selector) {
            // Compilers take seconds for each cell in each plan: all plans show two cells, others all.
            for plan in try Device.plans(selector) where name == "gru" || !["fused step", "persistent"].contains(where: { plan.contains($0) }) {
                let device = audit.run(on: try Device.open(selector, plan: plan))
                #expect(device.plan == plan)
                #expect(device.verdict == .passed, "\(device.lines(onlyBad: true).joined(separator: "\n"))")
            }
        }
        // The comparison itself adds nothing.
        let itself = audit.run(on: ReferenceBackend())
        #expect(itself.tensors.allSatisfy { $0.maximum == 0 })
    }

    /// Against a reference that rounds the same operands.
    @Test(arguments: ["bilstm", "gru", "simple-rnn"]) func bfloat16Passes(_ name: String) throws {
        let audit = try Audit(AuditSamples.audited(name), limits: AuditSamples.limits, precision: .bfloat16)
        #expect(try audit.differences().isEmpty)
        let device = audit.run(on: try Device.open("cpu", precision: .bfloat16))
        #expect(device.verdict == .passed, "\(device.lines(onlyBad: true).joined(separator: "\n"))")
        #expect(device.plan == "standard, bfloat16")
        #expect(audit.run(on: try Device.open("cpu")).problem?.contains("float32") == true)
    }

    /// A plain network of the usual size, where one state that rounds to its other neighbour changes most that follow.
    @Test(arguments: [1, 3]) func statesThatRoundOtherwiseAreExpected(seed: UInt64) throws {
        let training = TrainingConfiguration(learningRate: 0.001, optimizer: .init(.adam), seed: seed)
        let limits = AuditLimits(rows: 2, steps: 48, trainingSteps: 2, samples: 0)
        let model = ModelConfiguration(layers: [.embedding(.init(units: 32)), AuditSamples.recurrent(.rnn, 128, .sequences), .pooling(.init(of: [.last, .mean]))])
        let audited = AuditCase(subject: "rnn", source: "random", model: model, input: .tokens(vocabulary: 40), classes: 2, training: training,
                                batch: AuditCase.randomTokens(limits, vocabulary: 40, classes: 2, seed: 1))
        let device = try Audit(audited, limits: limits, precision: .bfloat16).run(on: try Device.open("cpu", precision: .bfloat16))
        #expect(device.verdict == .passed, "\(device.lines(onlyBad: true).joined(separator: "\n"))")
        // What is allowed hides no wrong formula.
        try AuditSamples.withFolder { cache in
            for fault in KernelFaults.rnn where fault.family == "cpu" {
                let wrong = try AuditSamples.openCL(.cpu, cache: cache, replacing: [fault.file: KernelFaultTests.edited(fault)], precision: .bfloat16)
                let verdict = try Audit(audited, limits: limits, precision: .bfloat16).run(on: wrong).verdict
                #expect(verdict == .failed, "\(fault.name)")
            }
        }
    }

    @Test func everyTensorIsInTheTable() throws {
        let audit = try Audit(AuditSamples.audited("bilstm"), limits: AuditSamples.limits)
        let device = audit.run(on: try Device.open("cpu"))
        let names = audit.oracle.model.store.parameters.map(\.name)
        for kind in [AuditTensor.Kind.gradient, .clipping, .update] {
            #expect(Set(names).isSubset(of: device.tensors.filter { $0.kind == kind }.map(\.name)))
        }
        #expect(device.tensors.filter { $0.kind == .moment }.map(\.name) == ["m", "v"])
        #expect(Set(device.tensors.map { "\($0.kind) \($0.name)" }).count == device.tensors.count)
    }

    @Test func numbersThatAreNoneFail() {
        #expect(AuditMeasure([1, .nan], [1, 2], floor: 1e-3).maximum == .infinity)
        #expect(AuditMeasure([1], [1, 2], floor: 1e-3).maximum == .infinity)
        // However much noise would allow.
        #expect(AuditTolerance.verdict(.infinity, base: 1e-5, noise: 32, ceiling: 1e-2) == .failed)
        #expect(AuditTolerance.verdict(0.5, base: 1e-5, noise: 32, ceiling: 1e-2) == .undecided)
        #expect(AuditTolerance.verdict(0.5, base: 1e-5, noise: 3.2e-6, ceiling: 1e-2) == .failed)
    }

    /// A gradient that noise moves far excuses other gradients in part, and no output.
    @Test func sensitivityIsSharedAmongTheSameKind() {
        func tensor(_ kind: AuditTensor.Kind, _ name: String, _ maximum: Double) -> AuditTensor {
            AuditTensor(kind: kind, name: name, maximum: maximum, rms: 0, tolerance: 0, worst: "", got: 0, expected: 0, verdict: .passed)
        }
        let found = Audit.sensitivities([tensor(.output, "logits", 1e-8), tensor(.output, "losses", 1e-6), tensor(.gradient, "a", 1e-3),
                                         tensor(.gradient, "b", 1e-7), tensor(.steps, "losses", 1e-7)])
        #expect(found["output logits"] == 1e-7 && found["output losses"] == 1e-6 && found["steps losses"] == 1e-7)
        #expect(found["gradient a"] == 1e-3 && found["gradient b"] == 1e-4)
    }

    /// A device that stores a moment wrongly in one tensor, whose values are far below those of the others.
    @Test func smallMomentsAreJudgedByTheirOwnSize() throws {
        let audited = AuditSamples.audited("gru")
        let oracle = try AuditSubject(audited, on: ReferenceBackend())
        let store = oracle.model.store, count = store.count
        let small = try #require(store.parameters.first { $0.name == "head.bias" })
        var gradients = [Double](repeating: 0, count: count)
        for parameter in store.parameters {
            for i in 0..<parameter.shape.count { gradients[parameter.offset + i] = (parameter.name == small.name ? 1e-6 : 1e-3) * Double(i % 5 - 2) }
        }
        let zeros = ["m": [Double](repeating: 0, count: count), "v": [Double](repeating: 0, count: count)]
        func replay(_ change: (inout [String: [Double]]) -> Void) throws -> [AuditTensor] {
            let device = try AuditSubject(audited, on: ReferenceBackend()), backend = device.backend
            let start = try device.weights()
            try backend.write(gradients, to: device.model.store.gradients)
            try device.optimizer.clip()
            let norm = try device.optimizer.gradientNorm(), clipped = try backend.readDoubles(device.model.store.gradients)
            try device.optimizer.update(learningRate: device.learningRate)
            var moments = try device.moments()
            change(&moments)
            let replay = try OptimizerReplay(audited, oracle: oracle, meaning: ParameterMeaning(audited.model, words: [:]))
            try replay.examine(StepState(weights: start, gradients: gradients, moments: zeros, norm: norm), clipped: clipped,
                               weights: try device.weights(), moments: moments)
            return replay.tensors
        }
        #expect(try replay { _ in }.allSatisfy { $0.verdict == .passed })
        let wrong = try replay { $0["v"]?[small.offset] *= 1.01 }.filter { $0.verdict == .failed }
        #expect(wrong.map(\.name) == ["v"] && wrong.first?.worst == "step 1, head.bias: head, class 0", "\(wrong)")
        // Between two parameters there is nothing.
        if let gap = (0..<count).first(where: { i in !store.parameters.contains { ($0.offset ..< $0.offset + $0.shape.count).contains(i) } }) {
            #expect(try replay { $0["m"]?[gap] = 1e-3 }.contains { $0.name == "m" && $0.verdict == .failed })
        }
    }

    @Test func gatesAreJudgedByTheirOwnSize() {
        let expected = [100.0, 100, 2, 2], got = [100.0, 100, 2, 2.02]
        #expect(abs(AuditMeasure(got, expected, blocks: 2, floor: 1e-3).maximum - 0.01) < 1e-9)
        #expect(abs(AuditMeasure(got, expected, floor: 1e-3).maximum - 0.0002) < 1e-9)
        #expect(AuditMeasure(got, expected, blocks: 2, floor: 1e-3).index == 3)
    }

    @Test func placesHaveMeanings() throws {
        let model = ModelConfiguration(layers: AuditSamples.models["bilstm"] ?? [])
        let meaning = ParameterMeaning(model, words: [5: "film"])
        func parameter(_ name: String, _ shape: Shape) -> Parameter { Parameter(name: name, shape: shape, initializer: .zeros, offset: 0) }
        #expect(meaning.describe(parameter("embedding.weight", [12, 8]), 5 * 8 + 2) == "token 5 \"film\", element 2")
        #expect(meaning.describe(parameter("rnn.0.weight_ih_l0_reverse", [72, 8]), (18 + 4) * 8 + 3) == "lstm 0 backward, gate f, unit 4, input 3")
        #expect(meaning.describe(parameter("rnn.0.bias_ih_l0", [72]), 71) == "lstm 0, gate o, unit 17")
        #expect(meaning.describe(parameter("head.weight", [3, 20]), 41) == "head, class 2, input 1")
        #expect(meaning.describe(parameter("dense.0.bias", [20]), 7) == "dense 0, unit 7")
    }

    /// A plain network whose weights grow errors: too far is not called wrong, and not called right either.
    @Test func chaosIsUndecided() throws {
        var audited = AuditSamples.audited("simple-rnn")
        audited.batch = AuditCase.randomTokens(AuditLimits(rows: 2, steps: 100), vocabulary: 12, classes: 3, seed: 1)
        let drawn = try SequenceClassifier(audited.model, input: audited.input, classes: 3, seed: 7, on: ReferenceBackend())
        audited.weights = try drawn.store.export().map { tensor in
            guard tensor.name == "rnn.0.weight_hh_l0" else { return tensor }
            return HostTensor(name: tensor.name, shape: tensor.shape, values: .float64(tensor.doubles.map { $0 * 8 }))
        }
        let device = try Audit(audited, limits: AuditLimits(trainingSteps: 1, samples: 0)).run(on: try Device.open("cpu"))
        #expect(device.verdict == .undecided, "\(device.lines(onlyBad: true).joined(separator: "\n"))")
        #expect(device.tensors.filter { $0.kind == .update || $0.kind == .moment }.allSatisfy { $0.verdict == .passed })
    }

    @Test func reportsBecomeTextPagesAndJSON() throws {
        let audit = try Audit(AuditSamples.audited("simple-rnn"), limits: AuditSamples.limits)
        let report = AuditReport(audit, differences: try audit.differences(), devices: [audit.run(on: try Device.open("cpu"))], took: .seconds(1))
        #expect(report.verdict == .passed)
        let page = AuditPage.html(report)
        #expect(page.contains("rnn.0.weight_hh_l0") && page.hasSuffix("</html>\n"))
        #expect(!page.contains("http") && !page.contains("src="))
        let copy = try JSONDecoder().decode(AuditReport.self, from: JSONEncoder().encode(report))
        #expect(copy.devices[0].tensors.count == report.devices[0].tensors.count && copy.verdict == .passed)
        #expect(report.lines().contains { $0.contains("gradient  rnn.0.weight_hh_l0") })
    }
}
