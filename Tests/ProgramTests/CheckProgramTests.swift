import Foundation
import Testing

@Suite struct CheckProgramTests {
    /// Kernels that a driver takes from its cache may be right where those of the process that compiles them are not.
    @Test(arguments: ["gpu", "cpu"]) func resultsAreRightWhereNothingIsInACache(family: String) throws {
        let cache = FileManager.default.temporaryDirectory.appendingPathComponent("carousel-check-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: cache) }
        let outcome = try Program.run(["check", "--device", "opencl:0", "--level", "tiny", "--only", "loss", "optimizer"],
                                      environment: ["POCL_CACHE_DIR": cache.path, "CAROUSEL_KERNEL_CACHE": "off", "CAROUSEL_KERNEL_FAMILY": family])
        #expect(outcome.status == 0, "\(outcome.output)\n\(outcome.errors)")
    }
}
