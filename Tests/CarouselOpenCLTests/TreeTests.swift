import CarouselCore
@testable import CarouselOpenCL
import Testing

/// Sums within a work-group, with local memory or sub-groups.
@Suite(.enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason)) struct TreeTests {
    /// Fewer elements than a group has items, one pass, and two of either width.
    @Test func normsAreRight() throws {
        let backend = try DeviceSupport.backend(.gpu)
        for count in [1, 127, 128, 1 << 14, 1 << 14 + 1, 1 << 18 + 5] {
            let values = OperationTests.numbers(count), sum = try backend.makeTensor([Float](repeating: 3, count: 1), shape: [1])
            try backend.squaredNorm(of: try backend.makeTensor(values, shape: [count]), into: sum, accumulate: true)
            let expected = 3 + values.reduce(0) { $0 + Double($1) * Double($1) }
            #expect(abs(Double(try backend.readFloats(sum)[0]) - expected) < 1e-5 * expected, "\(count)")
        }
    }

    /// A device that offers no sub-groups is not asked for them, and the cpu family has no groups at all.
    @Test func subGroupsAreOnlyUsedWhereOffered() throws {
        for family in OpenCLBackend.KernelFamily.allCases {
            let backend = try DeviceSupport.backend(family)
            #expect(!backend.tree.hasSubGroups || (family == .gpu && backend.device.extensions.contains("cl_intel_subgroups")))
            #expect(!backend.info.details.contains { $0.hasPrefix("sub-groups not used") })
        }
    }
}
