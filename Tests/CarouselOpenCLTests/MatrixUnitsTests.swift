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
        let plain = try product(rows: 33, try backend("off", precision, cache: cache)), units = try product(rows: 33, device)
        #expect(relativeError(units.values, plain.values) < (precision == .float32 ? 2e-3 : 1e-6))
        #expect(units.isRestKept, "what lies between rows is left alone")
        // They go through registers then; the sum is the same.
        if precision == .bfloat16 { #expect(try product(rows: 33, device, isStored: true).values == units.values) }
    }

    /// Bias, accumulation and strides wider than the operands, beyond what the device itself compares.
    /// - Parameter isStored: whether both operands lie in memory as they are rounded to.
    private func product(rows m: Int, _ device: OpenCLBackend, isStored: Bool = false) throws -> (values: [Double], isRestKept: Bool) {
        let (n, k) = (50, 537)
        let a = OperationTests.numbers(m * (k + 3)), b = OperationTests.numbers(n * (k + 2), seed: 6), bias = OperationTests.numbers(n, seed: 7)
        let c = try device.makeTensor([Float](repeating: 0.5, count: m * (n + 1)), shape: [m, n + 1])
        func operand(_ values: [Double], _ shape: Shape) throws -> Tensor {
            let x = try device.makeTensor(values, shape: shape)
            guard isStored else { return x }
            let kept = try device.makeTensor(shape: shape, type: .bits16)
            try device.keep(x, maskedBy: nil, in: kept)
            return kept
        }
        try device.multiply(StridedProduct(a: operand(a, [m, k + 3]), strideA: k + 3, b: operand(b, [n, k + 2]),
                                           strideB: k + 2, transposeB: true, bias: device.makeTensor(bias, shape: [n]), c: c, strideC: n + 1,
                                           m: m, n: n, k: k, accumulate: true))
        let values = try device.readDoubles(c)
        return (values, (0..<m).allSatisfy { values[$0 * (n + 1) + n] == 0.5 })
    }

    /// Where asynchronous copies go wrong, operands go through registers, which gives the same bits.
    @Test func withoutAsynchronousCopies() throws {
        try DeviceSupport.withFolder { cache in
            let text = try KernelSources(environment: [:]).text("matmul_units_slabs.cl")
            let edited = text.replacing("*(__local float4 *)place = read_quad(p, count, wide);", with: "*(__local float4 *)place = 1.0f;")
            try #require(edited != text)
            let device = try backend("emulated", .bfloat16, cache: cache), plain = try backend("emulated", .bfloat16, cache: cache, replacing: ["matmul_units_slabs.cl": edited])
            #expect(device.matrixUnits?.copiesAhead == true && plain.matrixUnits?.copiesAhead == false)
            #expect(plain.info.details.contains { $0.hasPrefix("no asynchronous copies for matrix units: row") })
            #expect(try product(rows: 33, device).values == product(rows: 33, plain).values)
        }
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
        #expect(try backend("on", .bfloat16).matrixUnits?.instructions != .emulated)
        #expect(throws: CarouselError.self) { try backend("maybe", .float32) }
    }
}
