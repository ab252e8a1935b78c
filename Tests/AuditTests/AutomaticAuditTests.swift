import Carousel
@testable import CarouselOpenCL
@testable import CarouselTraining
import Foundation
import Testing

/// The audit that `train` runs by itself: when, how large, what is remembered.
@Suite struct AutomaticAuditTests {
    private func configuration(epochs: Int = 4) throws -> RunConfiguration {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.model.layers = AuditSamples.models["bilstm"] ?? []
        configuration.training.epochs = epochs
        return configuration
    }

    private func audit(_ configuration: RunConfiguration, cache: URL, adding variables: [String: String] = [:]) throws -> AutomaticAudit {
        let data = TrainingData(train: .text(TextDataSet(name: "rows", texts: ["a good film", "a bad one"], labels: ["good", "bad"])))
        return try AutomaticAudit(configuration, data: data, environment: ["XDG_CACHE_HOME": cache.path].merging(variables) { $1 })
    }

    private func isRemembered(_ outcome: AutomaticAudit.Outcome) -> Bool { if case .remembered = outcome { true } else { false } }
    private func isPassed(_ outcome: AutomaticAudit.Outcome) -> Bool { if case .passed = outcome { true } else { false } }

    @Test func shortRunsNeedNone() throws {
        try AuditSamples.withFolder { cache in
            guard case .notNeeded = try audit(try configuration(), cache: cache).run(on: try Device.open("cpu")) else {
                Issue.record("a short run was audited")
                return
            }
            #expect(try audit(try configuration(epochs: 40), cache: cache).work == 10 * audit(try configuration(), cache: cache).work)
            #expect(try FileManager.default.contentsOfDirectory(atPath: cache.path).isEmpty)
        }
    }

    @Test func passedAuditsAreRemembered() throws {
        try AuditSamples.withFolder { cache in
            let cpu = try Device.open("cpu"), plain = try configuration()
            #expect(isPassed(try audit(plain, cache: cache).run(on: cpu, longRun: 0)))
            #expect(isRemembered(try audit(plain, cache: cache).run(on: cpu, longRun: 0)))
            // More epochs change nothing that is audited; other layers, another optimizer do.
            #expect(isRemembered(try audit(try configuration(epochs: 9), cache: cache).run(on: cpu, longRun: 0)))
            var other = plain
            other.training.optimizer.name = .rmsprop
            #expect(isPassed(try audit(other, cache: cache).run(on: cpu, longRun: 0)))
            other = plain
            other.model.layers = AuditSamples.models["gru"] ?? []
            #expect(isPassed(try audit(other, cache: cache).run(on: cpu, longRun: 0)))
            // Kernels from a folder are not part of the key.
            let edited = ["CAROUSEL_KERNEL_DIRECTORY": "/nonexistent"]
            #expect(isPassed(try audit(plain, cache: cache, adding: edited).run(on: cpu, longRun: 0)))
            #expect(isPassed(try audit(plain, cache: cache, adding: ["CAROUSEL_KERNEL_CACHE": "off"]).run(on: cpu, longRun: 0)))
            // A damaged entry counts as none.
            let folder = cache.appendingPathComponent("carousel/audits")
            for file in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil) { try Data("x".utf8).write(to: file) }
            #expect(isPassed(try audit(plain, cache: cache).run(on: cpu, longRun: 0)))
        }
    }

    @Test func theKeyNamesProgramDeviceAndPlan() throws {
        try AuditSamples.withFolder { folder in
            let one = folder.appendingPathComponent("one"), two = folder.appendingPathComponent("two")
            try Data(repeating: 7, count: 100).write(to: one)
            try (Data(repeating: 7, count: 99) + [8]).write(to: two)
            #expect(try AutomaticAudit.fingerprint(of: one.path) != AutomaticAudit.fingerprint(of: two.path))
            #expect(throws: CarouselError.self) { try AutomaticAudit.fingerprint(of: folder.path + "/none") }
            guard AuditSamples.hasOpenCL else { return }
            let audit = try audit(try configuration(), cache: folder)
            let keys = try OpenCLBackend.KernelFamily.allCases.map { try audit.key(try AuditSamples.openCL($0, cache: folder)) }
            #expect(keys[0] != keys[1])
        }
    }

    /// A model of any size is audited on so few steps that the reference needs about two seconds.
    @Test func largeModelsGetFewSteps() throws {
        try AuditSamples.withFolder { cache in
            var large = try configuration()
            large.model.layers = [.embedding(.init(units: 2048)), AuditSamples.recurrent(.lstm, 2048)]
            let limits = try audit(large, cache: cache).limits
            #expect(limits.rows == 2 && limits.steps == 4)
            #expect(try audit(try configuration(), cache: cache).limits.rows == 4)
            // Too large even so.
            guard case .skipped(let reason) = try audit(large, cache: cache).run(on: try Device.open("cpu"), longRun: 0) else {
                Issue.record("a model that takes longer was audited")
                return
            }
            #expect(reason.contains("seconds"))
        }
    }

    @Test func memoryIsAskedForFirst() throws {
        try AuditSamples.withFolder { cache in
            guard case .skipped(let reason) = try audit(try configuration(), cache: cache).run(on: try Device.open("cpu"), longRun: 0, available: 1 << 16) else {
                Issue.record("an audit without memory was begun")
                return
            }
            #expect(reason.contains("needs about") && reason.contains("available"))
            // The audit itself refuses, before anything is made.
            let layers = [LayerConfiguration.embedding(.init(units: 100_000)), AuditSamples.recurrent(.lstm, 100_000)]
            var audited = AuditSamples.audited("gru")
            audited.model.layers = layers
            do {
                _ = try Audit(audited, limits: AuditSamples.limits)
                Issue.record("an audit without memory was begun")
            } catch let error as CarouselError {
                #expect(error.status == .outOfMemory && error.message.contains("available") && error.hint?.contains("units") == true, "\(error)")
            }
            // Every copy of the parameters counts.
            let memory = AuditMemory(AuditSamples.audited("gru")), large = AuditMemory(audited)
            #expect(memory.problem(available: Int(memory.needed) + 1) == nil && memory.problem(available: 0) == nil)
            #expect(large.needed > 8 * AuditMemory.copies * 8e10)
        }
    }

    /// Undecided once is undecided again; the reference need not compute it at each start.
    @Test func undecidedAuditsAreRememberedAsSuch() throws {
        try AuditSamples.withFolder { cache in
            let audit = try audit(try configuration(), cache: cache), cpu = try Device.open("cpu")
            audit.remember(try audit.key(cpu), .undecided)
            guard case .remembered(undecided: true) = try audit.run(on: cpu, longRun: 0) else {
                Issue.record("what was remembered is not")
                return
            }
        }
    }

    /// A device that computes nothing has computed nothing wrong.
    @Test(.enabled(if: AuditSamples.hasOpenCL, "no OpenCL device on this machine")) func errorsOfTheDeviceKeepTheirStatus() throws {
        try AuditSamples.withFolder { cache in
            let device = try AuditSamples.openCL(.cpu, cache: cache, replacing: ["lstm.cl": "no kernel"])
            do {
                _ = try audit(try configuration(), cache: cache).run(on: device, longRun: 0)
                Issue.record("a device without kernels was taken")
            } catch let error as CarouselError {
                #expect(error.status == .internalError && !error.message.contains("computes this model wrong"), "\(error)")
            }
        }
    }

    @Test(.enabled(if: AuditSamples.hasOpenCL, "no OpenCL device on this machine")) func aWrongDeviceEndsTheRun() throws {
        try AuditSamples.withFolder { cache in
            let text = try KernelSources(environment: [:]).text("lstm.cl")
            let faulty = text.replacing("STORE_##S(dc * f, c_carry)", with: "STORE_##S(dc * i, c_carry)")
            #expect(faulty != text)
            let device = try AuditSamples.openCL(.cpu, cache: cache, replacing: ["lstm.cl": faulty])
            let audit = try audit(try configuration(), cache: cache)
            for _ in 0..<2 {
                do {
                    _ = try audit.run(on: device, longRun: 0)
                    Issue.record("a faulty device was taken")
                } catch let error as CarouselError {
                    #expect(error.status == .checkFailed)
                    #expect(error.message.contains("rnn.0.weight_hh_l0") && error.message.contains("FAILED"))
                    #expect(error.hint?.contains("--no-audit") == true)
                }
            }
        }
    }
}
