import CarouselCore
import CarouselOpenCL
import Foundation
import Testing

/// Devices for tests. Without one, tests that compute are skipped with the printed reason.
enum DeviceSupport {
    static let isAvailable: Bool = {
        let found = OpenCLBackend.devices()
        if found.devices.isEmpty { print("OpenCL tests are skipped: \(found.reason ?? "no device")") }
        return !found.devices.isEmpty
    }()

    static let skipReason: Comment = "no OpenCL device on this machine"

    /// Device 0 with the kernels of one family and no cache of programs unless `variables` ask for it.
    static func backend(_ family: OpenCLBackend.KernelFamily, cache: URL? = nil,
                        adding variables: [String: String] = [:]) throws -> OpenCLBackend {
        var environment = ProcessInfo.processInfo.environment
        environment["CAROUSEL_KERNEL_FAMILY"] = family.rawValue
        environment["CAROUSEL_KERNEL_CACHE"] = "off"
        for (name, value) in variables { environment[name] = value }
        return try OpenCLBackend(device: 0, cacheDirectory: cache, environment: environment)
    }

    /// A fresh folder that is removed afterwards.
    static func withFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("carousel-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder)
    }
}
