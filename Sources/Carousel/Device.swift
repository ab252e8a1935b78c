import CarouselCPU
import CarouselCore
import CarouselOpenCL
import CarouselReference
import Foundation

/// Opens devices by the names users type.
public enum Device {
    /// Every device of this machine, and what is missing when there is no OpenCL.
    public struct Inventory: Sendable {
        /// The CPU first, then OpenCL devices in the order of their numbers.
        public var devices: [DeviceInfo]
        /// Why there is no OpenCL device; nil when there is one.
        public var problem: String?
        /// What to do about it.
        public var hint: String?
    }

    /// - Parameters:
    ///   - selector: `auto` (the first OpenCL GPU, else the CPU), `cpu`, `opencl` or `opencl:N`
    ///     (any OpenCL device, also one that runs on the CPU), `reference` (slow, in Double).
    ///   - precision: of the operands of products.
    /// - Throws: `usage` for another name, `badConfiguration` for a precision the device does not compute in,
    ///   `deviceUnavailable` with a hint, `internalError` for kernels that do not build.
    public static func open(_ selector: String, precision: Precision = .float32) throws -> any Backend {
        switch selector {
        case "auto":
            if let gpu = OpenCLBackend.devices().devices.first(where: { $0.type == .gpu }) {
                return try OpenCLBackend(device: gpu.index, precision: precision)
            }
            return try openCPU(precision)
        case "cpu":
            return try openCPU(precision)
        case "reference":
            return ReferenceBackend(precision: precision)
        case "opencl":
            return try OpenCLBackend(device: 0, precision: precision)
        default:
            let parts = selector.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "opencl", let index = Int(parts[1]), index >= 0 else {
                throw CarouselError(.usage, "there is no device '\(selector)'",
                                    hint: "--device auto, cpu, opencl or opencl:N; `carousel devices` lists them")
            }
            return try OpenCLBackend(device: index, precision: precision)
        }
    }

    /// What a device can round the operands of products to.
    public static func precisions(_ selector: String) -> [Precision] {
        let isCPU = selector == "cpu" || selector == "auto" && !OpenCLBackend.devices().devices.contains { $0.type == .gpu }
        return isCPU ? [.float32, .bfloat16] : Precision.allCases
    }

    /// The plans a device offers in a precision, the one that `open` takes first. `check` and `audit` go through all of them.
    /// - Throws: as `open`.
    public static func plans(_ selector: String, precision: Precision = .float32) throws -> [String] {
        if let index = openCLIndex(selector) { return try OpenCLBackend.plans(device: index, precision: precision) }
        return [try open(selector, precision: precision).plan]
    }

    /// Opens a device with one of its plans.
    /// - Throws: as `open`; `usage` for a plan the device does not offer.
    public static func open(_ selector: String, plan: String, precision: Precision = .float32) throws -> any Backend {
        if let index = openCLIndex(selector), let backend = try OpenCLBackend(device: index, plan: plan, precision: precision) { return backend }
        let backend = try open(selector, precision: precision)
        guard backend.plan == plan else {
            throw CarouselError(.usage, "\(selector) has no plan '\(plan)'", hint: try plans(selector, precision: precision).joined(separator: ", "))
        }
        return backend
    }

    /// The number of `opencl:N`, 0 of `opencl`; nil for other devices.
    private static func openCLIndex(_ selector: String) -> Int? {
        if selector == "opencl" { return 0 }
        return selector.hasPrefix("opencl:") ? Int(selector.dropFirst(7)) : nil
    }

    /// What an OpenCL device can be asked about itself.
    public static var probes: [DeviceProbe] { DeviceProbe.all }

    /// Asks `opencl` or `opencl:N` one question.
    /// - Throws: `usage` for a device that is none of OpenCL, `deviceUnavailable` where there is none of that number.
    public static func ask(_ selector: String, _ probe: DeviceProbe) throws -> ProbeAnswer {
        guard let index = openCLIndex(selector) else {
            throw CarouselError(.usage, "'\(selector)' is no OpenCL device: only those have probes", hint: "--device opencl:0; `carousel devices` lists them")
        }
        return try probe.run(device: index)
    }

    /// Looks for every device without building a kernel.
    public static func available() throws -> Inventory {
        let found = OpenCLBackend.devices()
        var devices = [try openCPU(.float32).info]
        for device in found.devices {
            devices.append(DeviceInfo(kind: .opencl, selector: "opencl:\(device.index)", name: device.name, vendor: device.vendor,
                                      driver: "\(device.platform), \(device.driver)", computeUnits: device.computeUnits,
                                      memory: device.memory, largestAllocation: device.largestAllocation,
                                      isGPU: device.type == .gpu,
                                      details: [device.languageVersion, "\(device.localMemory) bytes of local memory"] + device.extensions))
        }
        return Inventory(devices: devices, problem: found.reason, hint: found.hint)
    }

    private static func openCPU(_ precision: Precision) throws -> any Backend {
        try CPUBackend(threads: try EnvironmentSettings.integer(.threads), useBLAS: try EnvironmentSettings.flag(.blas),
                       precision: precision, tuning: try CPUTuning.named(EnvironmentSettings.tuning.value))
    }
}
