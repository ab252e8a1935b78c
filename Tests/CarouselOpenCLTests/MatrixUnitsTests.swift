import CarouselCore
@testable import CarouselOpenCL
import Foundation
import Testing

/// The kernel around NVIDIA's matrix units, with loops in place of its instructions.
@Suite(.serialized, .enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason)) struct MatrixUnitsTests {
    private func backend(_ setting: String, _ precision: Precision, cache: URL? = nil, replacing edited: [String: String] = [:]) throws -> OpenCLBackend {
        let environment = ["CAROUSEL_MATRIX_UNITS": setting, "CAROUSEL_KERNEL_CACHE": cache == nil ? "off" : "on"]
        return try OpenCLBackend(device: 0, cacheDirectory: cache, environment: environment, family: .gpu, precision: precision, replacing: edited)
    }

    /// The device itself compares them with the plain kernel before it takes them.
    @Test(arguments: [Precision.float32, .bfloat16]) func emulatedUnitsAgreeWithThePlainKernel(precision: Precision) throws {
        // The second device finds what the first has built.
        try DeviceSupport.withFolder { try compare(precision, cache: $0) }
    }

    private func compare(_ precision: Precision, cache: URL) throws {
        let device = try backend("emulated", precision, cache: cache)
        #expect(device.plan == precision.named("gpu kernels") + ", matrix units", "\(device.info.details)")
        // Bias, accumulation and strides wider than the operands, beyond what is compared there.
        let (m, n, k) = (33, 50, 537)
        let a = OperationTests.numbers(m * (k + 3)), b = OperationTests.numbers(n * (k + 2), seed: 6), bias = OperationTests.numbers(n, seed: 7)
        func result(_ device: OpenCLBackend) throws -> [Double] {
            let c = try device.makeTensor([Float](repeating: 0.5, count: m * (n + 1)), shape: [m, n + 1])
            try device.multiply(StridedProduct(a: device.makeTensor(a, shape: [m, k + 3]), strideA: k + 3, b: device.makeTensor(b, shape: [n, k + 2]),
                                               strideB: k + 2, transposeB: true, bias: device.makeTensor(bias, shape: [n]), c: c, strideC: n + 1,
                                               m: m, n: n, k: k, accumulate: true))
            return try device.readDoubles(c)
        }
        let plain = try result(try backend("off", precision, cache: cache)), units = try result(device)
        #expect(relativeError(units, plain) < (precision == .float32 ? 2e-3 : 1e-6))
        for row in 0..<m { #expect(units[row * (n + 1) + n] == 0.5, "what lies between rows is left alone") }
    }

    @Test func wrongUnitsAreNotUsed() throws {
        let text = try KernelSources(environment: [:]).text("matmul_units.cl")
        let edited = text.replacing("lane / 4 + e / 2 * 8, n = n0", with: "lane / 4 + (1 - e / 2) * 8, n = n0")
        try #require(edited != text)
        let device = try backend("emulated", .bfloat16, replacing: ["matmul_units.cl": edited])
        #expect(device.plan == "gpu kernels, bfloat16" && device.info.details.contains { $0.hasPrefix("matrix units not used: row") })
        let broken = try backend("emulated", .bfloat16, replacing: ["matmul_units.cl": "no kernel"])
        #expect(broken.plan == "gpu kernels, bfloat16" && broken.info.details.contains { $0.hasPrefix("matrix units not used: kernel file") })
    }

    /// Without being asked, float32 products stay float32, and other vendors' devices are left alone.
    @Test func unitsAreOnlyUsedWhereAskedFor() throws {
        #expect(try backend("", .float32).plan == "gpu kernels")
        #expect(try backend("on", .bfloat16).matrixUnits != .emulated)
        #expect(throws: CarouselError.self) { try backend("maybe", .float32) }
    }
}
