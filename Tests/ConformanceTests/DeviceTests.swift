import Carousel
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
}
