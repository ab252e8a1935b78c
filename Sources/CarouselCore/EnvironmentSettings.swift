import Foundation

/// The environment variables Carousel reads, in one place. Everything else is configuration.
public enum EnvironmentSettings: String, CaseIterable, Sendable {
    /// Worker threads of the CPU device; the default is the number of usable cores. Never changes results.
    case threads = "CAROUSEL_THREADS"
    /// `off` keeps the CPU device from using a BLAS library.
    case blas = "CAROUSEL_BLAS"
    /// `gpu` or `cpu`: the kernels an OpenCL device runs, instead of those for its type.
    case kernelFamily = "CAROUSEL_KERNEL_FAMILY"
    /// `stepwise`, `fused` or `persistent`: how the gpu kernels take recurrent layers through their steps, instead of what
    /// their shapes suggest.
    case recurrentPlan = "CAROUSEL_RECURRENT_PLAN"
    /// `on` or `off`: whether independent work of an OpenCL device goes to several command queues, instead of what suits the
    /// device. Never changes results.
    case overlap = "CAROUSEL_OVERLAP"
    /// `off` builds every OpenCL program anew instead of keeping it on disk.
    case kernelCache = "CAROUSEL_KERNEL_CACHE"
    /// A folder whose `.cl` files replace the embedded ones of the same name; for work on kernels.
    case kernelDirectory = "CAROUSEL_KERNEL_DIRECTORY"

    /// `off` gives every OpenCL tensor a new buffer of exactly its size that holds NaN, so that a memory checker sees
    /// accesses past its end, and a check of results those before the first write.
    case bufferReuse = "CAROUSEL_BUFFER_REUSE"
    /// The most memory a training may plan with, in bytes or as `800M`, `6G` (powers of 1024); the default is what the
    /// system tells.
    case memory = "CAROUSEL_MEMORY"

    /// A row of the tables that say how each device cuts its work: `default`, `narrow` or `wide`. Never changes results.
    case tuning = "CAROUSEL_TUNING"

    /// The matrix units of NVIDIA GPUs: `on` (the default) uses them for products in bfloat16 and float16, `tf32` also for
    /// float32 ones, whose operands are then rounded to 11 bits; `off` not at all. `emulated` computes what they would on any
    /// device, slowly, for tests of the kernel around them.
    case matrixUnits = "CAROUSEL_MATRIX_UNITS"

    /// What the variable holds; nil when it is not set or empty.
    public var value: String? {
        ProcessInfo.processInfo.environment[rawValue].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// A number greater than 0, or nil when not set.
    /// - Throws: `usage`
    public static func integer(_ setting: EnvironmentSettings) throws -> Int? {
        guard let value = setting.value else { return nil }
        guard let number = Int(value), number > 0, number <= 4096 else {
            throw CarouselError(.usage, "\(setting.rawValue) is \"\(value)\"", hint: "a whole number from 1 to 4096")
        }
        return number
    }

    /// A number of bytes greater than 0, or nil when not set.
    /// - Throws: `usage`
    public static func bytes(_ setting: EnvironmentSettings) throws -> Int? {
        guard let value = setting.value else { return nil }
        let shift = ["K": 10, "M": 20, "G": 30, "T": 40][value.suffix(1).uppercased()] ?? 0
        guard let number = Int(shift == 0 ? value[...] : value.dropLast()), number > 0, number <= Int.max >> (shift + 1) else {
            throw CarouselError(.usage, "\(setting.rawValue) is \"\(value)\"", hint: "a number of bytes, or one with K, M, G or T: 800M")
        }
        return number << shift
    }

    /// `on` (the default) or `off`.
    /// - Throws: `usage`
    public static func flag(_ setting: EnvironmentSettings) throws -> Bool {
        try flag(setting, ProcessInfo.processInfo.environment) ?? true
    }

    /// `on`, `off`, or nil when not set.
    /// - Throws: `usage`
    public static func flag(_ setting: EnvironmentSettings, _ environment: [String: String]) throws -> Bool? {
        switch environment[setting.rawValue] {
        case nil, "": return nil
        case "on": return true
        case "off": return false
        case let value?: throw CarouselError(.usage, "\(setting.rawValue) is \"\(value)\"", hint: "on or off")
        }
    }
}
