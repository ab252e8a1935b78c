@testable import CarouselTraining
import Carousel
@testable import CarouselOpenCL
import Foundation
import Testing

/// `Tuner` on an OpenCL device with kernels that are slow, or wrong, with some sizes.
@Suite(.serialized, .enabled(if: !OpenCLBackend.devices().devices.isEmpty, "no OpenCL device on this machine")) struct TunerTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("carousel-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func device(_ family: OpenCLBackend.KernelFamily, replacing edited: [String: String] = [:],
                        tuning: String = "") throws -> OpenCLBackend {
        var environment = ProcessInfo.processInfo.environment
        environment["CAROUSEL_KERNEL_CACHE"] = "on"
        environment["CAROUSEL_TUNING"] = tuning
        return try OpenCLBackend(device: 0, cacheDirectory: folder, environment: environment, family: family, replacing: edited)
    }

    /// Two slabs in local memory: right, but slow. Slabs of 8: wrong in one element.
    private func planted() throws -> [String: String] {
        let text = try KernelSources(environment: [:]).text("matmul.cl")
        let start = "    const int m0 = tile / columns * TILE_M, n0 = tile % columns * TILE_N;\n"
        let end = "            if (accumulate) value = read_quad"
        for place in [start, end] { try #require(text.ranges(of: place).count == 1) }
        return ["matmul.cl": text
            .replacing(start, with: start + "#if BUFFERS == 2\n    volatile int waited = 0;\n    while (waited < 4000) waited++;\n#endif\n")
            .replacing(end, with: "#if TILE_K == 8\n            if (m == 37 && n == 64) value.y += 1e-6f;\n#endif\n" + end)]
    }

    @Test func fasterSizesAreKeptAndWrongOnesNever() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let kernels = try planted(), plain = try device(.gpu, replacing: kernels)
        let tile = plain.tuning.tile(.medium)
        #expect(tile.buffers == 2 && tile.tileK == 16 && plain.tuningProblem == nil)

        let tuner = Tuner(on: plain, seconds: 600)
        let outcomes = try tuner.run(["product medium"], most: 3)
        let outcome = try #require(outcomes.first)
        #expect(outcomes.count == 1 && outcome.best.sizes["BUFFERS"] == 1 && outcome.gain > 1.03, "\(outcome)")
        #expect(outcome.dropped.count == 1 && outcome.dropped[0].contains("TILE_K 8") && outcome.dropped[0].contains("results are wrong"), "\(outcome.dropped)")
        #expect(plain.tuning.tile(.medium).sizes == outcome.best.sizes)

        let path = try tuner.save(outcomes)
        let later = try device(.gpu, replacing: kernels)
        #expect(later.tuning.tile(.medium).sizes == outcome.best.sizes && later.tuningProblem == nil)
        #expect(later.shippedTuning.tile(.medium) == tile)
        #expect(try device(.gpu, replacing: kernels, tuning: "default").tuning.tile(.medium) == tile)

        // Measured with other kernels, and damaged in several ways: not used, and said.
        let others = try device(.gpu)
        #expect(others.tuning.tile(.medium) == tile && others.tuningProblem?.contains("other kernels") == true)
        let good = try Data(contentsOf: URL(fileURLWithPath: path))
        let text = String(decoding: good, as: UTF8.self)
        let damaged = [Data(), Data(good.prefix(good.count / 2)), Data(text.replacing("\"BUFFERS\" : 1", with: "\"BUFFERS\" : 2").utf8), Data("[]".utf8)]
        for data in damaged {
            try data.write(to: URL(fileURLWithPath: path))
            let backend = try device(.gpu, replacing: kernels)
            #expect(backend.tuning.tile(.medium) == tile && backend.tuningProblem?.contains("damaged") == true)
        }
        try Data(text.replacing("\"driver\" : \"", with: "\"driver\" : \"9").utf8).write(to: URL(fileURLWithPath: path))
        #expect(try device(.gpu, replacing: kernels).tuningProblem?.contains("another device or driver") == true)
    }

    /// A search whose time was up, or that looked at something else, leaves what an earlier one found; one that went through and found
    /// nothing takes it back.
    @Test func earlierFindsAreKept() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let plain = try device(.gpu), tuner = Tuner(on: plain, seconds: 1)
        func outcome(_ subject: String, found: Bool, complete: Bool) throws -> Tuner.Outcome {
            let choice = try #require(plain.tuningChoices.first { $0.subject == subject })
            let best = found ? try #require(plain.alternatives(to: choice).first) : choice
            return Tuner.Outcome(plain: choice, best: best, plainSeconds: 2, bestSeconds: found ? 1 : 2, measured: 1, dropped: [], isComplete: complete)
        }
        func kept() throws -> [String] {
            try TuningFile.load(try TuningFile.Owner(plain.device, sources: plain.programs.sources), in: folder).map(\.choice.subject).sorted()
        }
        _ = try tuner.save([outcome("product medium", found: true, complete: true), outcome("vectors", found: true, complete: false)])
        #expect(try kept() == ["product medium", "vectors"])
        _ = try tuner.save([outcome("product medium", found: false, complete: false), outcome("product large", found: true, complete: true)])
        #expect(try kept() == ["product large", "product medium", "vectors"])
        _ = try tuner.save([outcome("product medium", found: false, complete: true), outcome("product large", found: true, complete: true)])
        #expect(try kept() == ["product large", "vectors"])
    }

    /// A device whose own sizes give a wrong result is not tuned but refused.
    @Test func aDeviceThatComputesWrongIsRefused() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let text = try KernelSources(environment: [:]).text("matmul.cl")
        let edited = text.replacing("            if (bias) value += read_quad", with: "            if (n % 64 == 60) value.w *= 1.01f;\n            if (bias) value += read_quad")
        try #require(edited != text)
        let backend = try device(.gpu, replacing: ["matmul.cl": edited])
        do {
            _ = try Tuner(on: backend, seconds: 60).run(["product medium"])
            Issue.record("a wrong product was tuned")
        } catch let error as CarouselError {
            #expect(error.status == .checkFailed && error.message.contains("instead of"))
        }
    }

    /// Everything a device has sizes for has work that measures it, and products are of the shape they stand for.
    @Test(arguments: OpenCLBackend.KernelFamily.allCases) func everyChoiceCanBeMeasured(family: OpenCLBackend.KernelFamily) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let backend = try device(family)
        for choice in backend.tuningChoices {
            #expect(try TuningProblem.make(for: choice, on: backend) != nil, "\(choice.subject)")
            #expect(!backend.alternatives(to: choice).isEmpty && !backend.alternatives(to: choice).contains(choice))
            for isSmall in [true, false] {
                guard let shape = ProductShape(rawValue: choice.shape) else { continue }
                for product in TuningProblem.products(choice.shape, isSmall: isSmall) {
                    #expect(ProductSplit(m: product.m, n: product.n, k: product.k, largestWorkGroup: 1024).shape == shape, "\(product)")
                }
            }
        }
        var wrong = try #require(backend.tuningChoices.first)
        wrong.sizes["TILE_K"] = 5
        wrong.sizes["ROWS"] = 5
        #expect(throws: CarouselError.self) { try backend.choose(wrong) }
    }
}
