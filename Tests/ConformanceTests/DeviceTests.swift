import Carousel
import CarouselCPU
import CarouselCore
import CarouselReference
import Testing

/// Every device of this machine against the reference: the CPU always, OpenCL devices where there are any.
@Suite(.serialized) struct DeviceTests {
    static let selectors = (try? Device.available().devices.map(\.selector)) ?? []

    @Test func theCPUIsAmongThem() { #expect(Self.selectors.contains("cpu")) }

    /// The full set takes minutes in a debug build, so that one runs the quick set.
    #if DEBUG
    static let level = Conformance.Level.quick
    #else
    static let level = Conformance.Level.full
    #endif

    @Test(arguments: selectors)
    func conforms(_ selector: String) throws {
        let backend = try Device.open(selector)
        let summary = Conformance.run(on: backend, level: Self.level) { result in
            #expect(result.passed, "\(selector): \(result.name): \(result.message ?? "")")
        }
        #expect(summary.passed)
        print("\(selector) (\(backend.info.name)): \(summary.cases) cases, \(summary.failures.count) failed, "
            + "worst relative error \(summary.maximumRelativeError), \(summary.seconds) s")
    }

    static let lowPrecisions = selectors.flatMap { selector in
        Device.precisions(selector).filter { $0 != .float32 }.map { (selector, $0) }
    }

    /// The rest does not know of precisions.
    static let hasProducts: @Sendable (ConformanceCase) -> Bool = { ["matrix", "rnn", "lstm", "gru"].contains($0.operation) }

    /// Judged by a reference that rounds the same operands.
    @Test(arguments: lowPrecisions)
    func conformsInLowPrecision(_ selector: String, _ precision: Precision) throws {
        let backend = try Device.open(selector, precision: precision)
        let summary = Conformance.run(on: backend, level: selector == "cpu" ? .quick : .tiny, filter: Self.hasProducts) { result in
            #expect(result.passed, "\(selector), \(precision): \(result.name): \(result.message ?? "")")
        }
        #expect(summary.passed)
        print("\(selector), \(precision.rawValue): \(summary.cases) cases, \(summary.failures.count) failed, "
            + "worst relative error \(summary.maximumRelativeError), \(summary.seconds) s")
    }

    /// Processors without bfloat16 instructions compute the same rounded products.
    @Test(arguments: InstructionSet.allCases.filter(\.isAvailable))
    func instructionsConformInBfloat16(_ instructions: InstructionSet) throws {
        let backend = try CPUBackend(threads: 2, useBLAS: false, instructions: instructions, precision: .bfloat16)
        let summary = Conformance.run(on: backend, level: .tiny, filter: Self.hasProducts) { result in
            #expect(result.passed, "\(instructions): \(result.name): \(result.message ?? "")")
        }
        #expect(summary.passed)
    }

    /// A reference of full precision must find the rounding: otherwise the cases above would pass without it.
    @Test(arguments: [Precision.bfloat16, .float16]) func roundedOperandsAreFound(_ precision: Precision) throws {
        let backend = FaultyBackend(nil, rounding: precision)
        let summary = Conformance.run(on: backend, level: .tiny, filter: Self.hasProducts) { _ in }
        #expect(summary.failures.count > summary.cases / 2)
    }
}
