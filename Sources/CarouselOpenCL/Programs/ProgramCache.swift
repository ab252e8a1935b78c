import CarouselCore
import COpenCL
import Foundation

/// Kernels by name and defines, built once per process and taken from disk when they were built before.
final class ProgramCache {
    private struct Key: Hashable {
        let file: String
        let defines: KernelDefines
    }

    private struct KernelKey: Hashable {
        let name: KernelName
        let defines: KernelDefines
    }

    private let context: OpenCLContext
    private let device: OpenCLDeviceDescription
    /// Kernels of the other family are not compiled.
    private let family: OpenCLBackend.KernelFamily
    private let precision: Precision
    let sources: KernelSources
    private let binaries: BinaryCache
    private var programs: [Key: OpenCLProgram] = [:]
    private var kernels: [KernelKey: OpenCLKernel] = [:]
    /// Programs compiled from source by this process (the others came from disk).
    private(set) var compiledCount = 0

    init(context: OpenCLContext, device: OpenCLDeviceDescription, family: OpenCLBackend.KernelFamily, precision: Precision,
         sources: KernelSources, binaries: BinaryCache) {
        self.context = context
        self.device = device
        self.family = family
        self.precision = precision
        self.sources = sources
        self.binaries = binaries
    }

    func kernel(_ name: KernelName, _ defines: KernelDefines) throws -> OpenCLKernel {
        let key = KernelKey(name: name, defines: defines)
        if let kernel = kernels[key] { return kernel }
        let kernel = try OpenCLKernel(try program(name.file, defines), name: name.function)
        kernels[key] = kernel
        return kernel
    }

    private func program(_ file: String, _ defines: KernelDefines) throws -> OpenCLProgram {
        let key = Key(file: file, defines: defines)
        if let program = programs[key] { return program }
        let source = try sources.program(file)
        // Correctly rounded division makes sigmoid and tanh agree with the CPU path to the bit.
        let options = ["-cl-std=CL1.2", device.roundsDivision ? "-cl-fp32-correctly-rounded-divide-sqrt" : "",
                       "-D FAMILY=\(family == .gpu ? 1 : 2)",
                       precision == .float32 ? "" : "-D PRECISION=\(precision.kernelNumber)", defines.options]
            .filter { !$0.isEmpty }.joined(separator: " ")
        let identity = [device.name, device.driver, device.platform, device.platformVersion, options, source]
            .joined(separator: "\n")
        let program: OpenCLProgram
        if let binary = binaries.load(identity), let cached = restore(binary, options: options) {
            program = cached
        } else {
            program = try compile(source, file: file, options: options)
            if let binary = try binary(of: program) { binaries.store(binary, for: identity) }
        }
        programs[key] = program
        return program
    }

    private func compile(_ source: String, file: String, options: String) throws -> OpenCLProgram {
        compiledCount += 1
        var code: cl_int = 0
        let handle = source.withCString { text in
            var strings: UnsafePointer<CChar>? = text
            return context.cl.clCreateProgramWithSource(context.handle, 1, &strings, nil, &code)
        }
        try OpenCLError.check(code, "clCreateProgramWithSource", file)
        guard let handle else { throw CarouselError(.internalError, "clCreateProgramWithSource returned nothing") }
        let program = OpenCLProgram(context: context, handle: handle)
        let result = build(program, options: options)
        guard result == CL_SUCCESS else {
            throw CarouselError(.internalError, "kernel file \(file) does not build for \(device.name) "
                + "(clBuildProgram: \(OpenCLError.name(of: result)), options \(options)); the compiler says:\n"
                + log(of: program), at: file, hint: "another device, or a newer driver; --device cpu always works")
        }
        return program
    }

    /// nil when the driver refuses the binary: it is then built from source.
    private func restore(_ binary: Data, options: String) -> OpenCLProgram? {
        var code: cl_int = 0
        var device: cl_device_id? = context.device
        var length = binary.count
        let handle = binary.withUnsafeBytes { bytes in
            var pointer = bytes.bindMemory(to: UInt8.self).baseAddress
            var status: cl_int = 0
            return context.cl.clCreateProgramWithBinary(context.handle, 1, &device, &length, &pointer, &status, &code)
        }
        guard code == CL_SUCCESS, let handle else { return nil }
        let program = OpenCLProgram(context: context, handle: handle)
        return build(program, options: options) == CL_SUCCESS ? program : nil
    }

    private func build(_ program: OpenCLProgram, options: String) -> cl_int {
        var device: cl_device_id? = context.device
        return context.cl.clBuildProgram(program.handle, 1, &device, options, nil, nil)
    }

    private func log(of program: OpenCLProgram) -> String {
        let parameter = cl_program_build_info(CL_PROGRAM_BUILD_LOG)
        var size = 0
        guard context.cl.clGetProgramBuildInfo(program.handle, context.device, parameter, 0, nil, &size) == CL_SUCCESS,
              size > 1 else { return "(the driver gave no log)" }
        var bytes = [UInt8](repeating: 0, count: size)
        guard context.cl.clGetProgramBuildInfo(program.handle, context.device, parameter, size, &bytes, nil)
            == CL_SUCCESS else { return "(the driver's log cannot be read)" }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    private func binary(of program: OpenCLProgram) throws -> Data? {
        guard binaries.directory != nil else { return nil }
        var size = 0
        let sizeCode = context.cl.clGetProgramInfo(program.handle, cl_program_info(CL_PROGRAM_BINARY_SIZES),
                                                   MemoryLayout<Int>.size, &size, nil)
        guard sizeCode == CL_SUCCESS, size > 0 else { return nil }
        var data = Data(count: size)
        let code = data.withUnsafeMutableBytes { bytes in
            var pointer = bytes.bindMemory(to: UInt8.self).baseAddress
            return context.cl.clGetProgramInfo(program.handle, cl_program_info(CL_PROGRAM_BINARIES),
                                               MemoryLayout<UnsafeMutablePointer<UInt8>>.size, &pointer, nil)
        }
        return code == CL_SUCCESS ? data : nil
    }
}
