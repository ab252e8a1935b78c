import CarouselCore
import COpenCL
import Foundation

/// The OpenCL functions of this machine, opened on first use.
enum OpenCLLibrary {
    /// nil when the library is missing. The pointer leads to a constant that lives as long as the process.
    nonisolated(unsafe) static let functions: UnsafePointer<COpenCLFunctions>? = carousel_opencl_functions()

    /// Throws `deviceUnavailable` with a hint when there is no library.
    static func require() throws -> COpenCLFunctions {
        guard let functions else {
            throw CarouselError(.deviceUnavailable, missingReason, hint: OpenCLDiscovery.installHint)
        }
        return functions.pointee
    }

    static var missingReason: String {
        "no OpenCL library on this machine: " + String(cString: carousel_opencl_problem())
    }
}
