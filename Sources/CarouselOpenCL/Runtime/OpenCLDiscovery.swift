import CarouselCore
import COpenCL
import Foundation

/// One OpenCL device as it describes itself.
public struct OpenCLDeviceDescription: Sendable, Codable, Equatable {
    public enum DeviceType: String, Sendable, Codable { case gpu, cpu, accelerator, other }

    /// Position among the devices of all platforms; `opencl:index` selects it.
    public var index: Int
    public var platform: String
    public var platformVersion: String
    public var name: String
    public var vendor: String
    public var driver: String
    /// For example `OpenCL C 1.2 PoCL`.
    public var languageVersion: String
    public var type: DeviceType
    public var computeUnits: Int
    /// Bytes of global memory.
    public var memory: Int
    /// Largest buffer in bytes.
    public var largestAllocation: Int
    /// Bytes of local memory per work-group.
    public var localMemory: Int
    /// Work-items per work-group.
    public var largestWorkGroup: Int
    /// Whether float division and square root can be asked to round correctly.
    public var roundsDivision: Bool
    /// Extensions kernels could use: half precision, double precision, sub-groups, integer dot products.
    public var extensions: [String]
}

/// What looking for devices found.
public struct OpenCLDiscoveryResult: Sendable {
    /// Devices of all platforms, in the order of the platforms.
    public var devices: [OpenCLDeviceDescription]
    /// Why there are none; nil when there are.
    public var reason: String?
    /// What to do about it.
    public var hint: String?
}

/// Finds devices.
enum OpenCLDiscovery {
    static let installHint = "apt install ocl-icd-libopencl1 pocl-opencl-icd (pocl-opencl-icd runs on the CPU; "
        + "a GPU needs its vendor's driver)"

    struct Device {
        let handle: cl_device_id
        let description: OpenCLDeviceDescription
    }

    /// PoCL sets its devices up on the first call, and a second thread that asks meanwhile meets half of one.
    private static let oneAtATime = NSLock()

    static func devices() throws -> [Device] { try oneAtATime.withLock { try find() } }

    private static func find() throws -> [Device] {
        let cl = try OpenCLLibrary.require()
        var platformCount: cl_uint = 0
        let code = cl.clGetPlatformIDs(0, nil, &platformCount)
        if code == -1001 || (code == CL_SUCCESS && platformCount == 0) { return [] }
        try OpenCLError.check(code, "clGetPlatformIDs")
        var platforms = [cl_platform_id?](repeating: nil, count: Int(platformCount))
        try OpenCLError.check(cl.clGetPlatformIDs(platformCount, &platforms, nil), "clGetPlatformIDs")
        var result: [Device] = []
        for platform in platforms.compactMap({ $0 }) {
            var count: cl_uint = 0
            let all = cl_device_type(0xFFFF_FFFF)
            let code = cl.clGetDeviceIDs(platform, all, 0, nil, &count)
            if code == -1 || count == 0 { continue }
            try OpenCLError.check(code, "clGetDeviceIDs")
            var handles = [cl_device_id?](repeating: nil, count: Int(count))
            try OpenCLError.check(cl.clGetDeviceIDs(platform, all, count, &handles, nil), "clGetDeviceIDs")
            for handle in handles.compactMap({ $0 }) {
                let query = DeviceQuery(cl: cl, device: handle)
                guard try query.flag(cl_device_info(CL_DEVICE_AVAILABLE)) else { continue }
                let name = try platformText(cl, platform, cl_platform_info(CL_PLATFORM_NAME))
                let version = try platformText(cl, platform, cl_platform_info(CL_PLATFORM_VERSION))
                result.append(Device(handle: handle, description: try query.describe(
                    index: result.count, platform: name, platformVersion: version)))
            }
        }
        return result
    }

    /// Why there is no device, and what to do, judged by what is installed.
    static func explainAbsence() -> (reason: String, hint: String) {
        let manager = FileManager.default
        guard OpenCLLibrary.functions != nil else { return (OpenCLLibrary.missingReason, installHint) }
        // The loader's own variable for another folder.
        let folder = ProcessInfo.processInfo.environment["OCL_ICD_VENDORS"] ?? "/etc/OpenCL/vendors"
        let drivers = ((try? manager.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".icd") }
        let hasNVIDIA = manager.fileExists(atPath: "/proc/driver/nvidia/version")
            || manager.fileExists(atPath: "/dev/nvidiactl")
        if hasNVIDIA, !drivers.contains("nvidia.icd") {
            return ("an NVIDIA driver is loaded, but \(folder)/nvidia.icd is missing, so OpenCL does not find it",
                    "mkdir -p \(folder) && echo libnvidia-opencl.so.1 > \(folder)/nvidia.icd "
                        + "(the library comes with the driver; in a container enable the compute capability)")
        }
        if drivers.isEmpty {
            return ("the OpenCL loader is installed, but no driver: \(folder) has no .icd file", installHint)
        }
        return ("OpenCL drivers are registered (\(drivers.sorted().joined(separator: ", "))), but none offers a device",
                "clinfo -l, and whether the driver's library and the device files can be opened")
    }

    private static func platformText(_ cl: COpenCLFunctions, _ platform: cl_platform_id,
                                     _ parameter: cl_platform_info) throws -> String {
        var size = 0
        try OpenCLError.check(cl.clGetPlatformInfo(platform, parameter, 0, nil, &size), "clGetPlatformInfo")
        var bytes = [UInt8](repeating: 0, count: max(size, 1))
        try OpenCLError.check(cl.clGetPlatformInfo(platform, parameter, size, &bytes, nil), "clGetPlatformInfo")
        return DeviceQuery.text(bytes)
    }
}

/// Reads properties of one device.
private struct DeviceQuery {
    let cl: COpenCLFunctions
    let device: cl_device_id

    func describe(index: Int, platform: String, platformVersion: String) throws -> OpenCLDeviceDescription {
        let type = try number(cl_device_info(CL_DEVICE_TYPE), as: cl_ulong.self)
        let interesting = ["cl_khr_fp16", "cl_khr_fp64", "cl_khr_subgroups", "cl_intel_subgroups",
                           "cl_khr_integer_dot_product", "cl_nv_device_attribute_query"]
        let offered = try text(cl_device_info(CL_DEVICE_EXTENSIONS)).split(separator: " ").map(String.init)
        return OpenCLDeviceDescription(
            index: index, platform: platform, platformVersion: platformVersion,
            name: try text(cl_device_info(CL_DEVICE_NAME)), vendor: try text(cl_device_info(CL_DEVICE_VENDOR)),
            driver: try text(cl_device_info(CL_DRIVER_VERSION)),
            languageVersion: try text(cl_device_info(CL_DEVICE_OPENCL_C_VERSION)),
            type: type & 4 != 0 ? .gpu : type & 2 != 0 ? .cpu : type & 8 != 0 ? .accelerator : .other,
            computeUnits: Int(try number(cl_device_info(CL_DEVICE_MAX_COMPUTE_UNITS), as: cl_uint.self)),
            memory: Int(clamping: try number(cl_device_info(CL_DEVICE_GLOBAL_MEM_SIZE), as: cl_ulong.self)),
            largestAllocation: Int(clamping: try number(cl_device_info(CL_DEVICE_MAX_MEM_ALLOC_SIZE), as: cl_ulong.self)),
            localMemory: Int(clamping: try number(cl_device_info(CL_DEVICE_LOCAL_MEM_SIZE), as: cl_ulong.self)),
            largestWorkGroup: try number(cl_device_info(CL_DEVICE_MAX_WORK_GROUP_SIZE), as: Int.self),
            // CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT
            roundsDivision: try number(cl_device_info(CL_DEVICE_SINGLE_FP_CONFIG), as: cl_ulong.self) & (1 << 7) != 0,
            extensions: interesting.filter(offered.contains))
    }

    func flag(_ parameter: cl_device_info) throws -> Bool { try number(parameter, as: cl_bool.self) != 0 }

    private func number<T: FixedWidthInteger>(_ parameter: cl_device_info, as type: T.Type) throws -> T {
        var value: T = 0
        try OpenCLError.check(cl.clGetDeviceInfo(device, parameter, MemoryLayout<T>.size, &value, nil),
                              "clGetDeviceInfo", "parameter \(parameter)")
        return value
    }

    private func text(_ parameter: cl_device_info) throws -> String {
        var size = 0
        try OpenCLError.check(cl.clGetDeviceInfo(device, parameter, 0, nil, &size), "clGetDeviceInfo",
                              "parameter \(parameter)")
        var bytes = [UInt8](repeating: 0, count: max(size, 1))
        try OpenCLError.check(cl.clGetDeviceInfo(device, parameter, size, &bytes, nil), "clGetDeviceInfo",
                              "parameter \(parameter)")
        return Self.text(bytes)
    }

    static func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self).trimmingCharacters(in: .whitespaces)
    }
}
