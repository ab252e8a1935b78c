import CarouselCore
import COpenCL

/// The driver's words when it does not take a program.
struct ProbeRefusal: Error {
    var message: String
}

/// A device of its own for one probe: nothing is cached, and what breaks breaks nothing else.
final class ProbeMachine {
    let description: OpenCLDeviceDescription
    let queue: CommandQueue
    private let context: OpenCLContext
    private let memory: BufferPool
    private var cl: COpenCLFunctions { context.cl }

    /// - Throws: `deviceUnavailable` when there is no such device.
    init(device index: Int) throws {
        let found = try OpenCLBackend.find(index)
        description = found.description
        context = try OpenCLContext(try OpenCLLibrary.require(), device: found.handle)
        queue = try CommandQueue(context)
        memory = BufferPool(source: .device(context, settle: queue.finish), largestAllocation: description.largestAllocation, reuses: false)
    }

    /// Work-items of a group that suit the device's type.
    var groupSize: Int { description.type == .cpu ? 1 : min(256, description.largestWorkGroup) }

    // MARK: Programs

    /// Compiles OpenCL C and takes one kernel of it.
    /// - Throws: `ProbeRefusal` with the compiler's log.
    func kernel(_ function: String, of source: String) throws -> OpenCLKernel {
        var code: cl_int = 0
        let handle = source.withCString { text in
            var strings: UnsafePointer<CChar>? = text
            return cl.clCreateProgramWithSource(context.handle, 1, &strings, nil, &code)
        }
        return try kernel(function, of: handle, code)
    }

    /// Takes a kernel of a program in the device's own language, such as PTX.
    /// - Throws: `ProbeRefusal` with the driver's words.
    func kernel(_ function: String, ofBinary text: String) throws -> OpenCLKernel {
        var bytes = Array(text.utf8)
        bytes.append(0)
        var device: cl_device_id? = context.device, length = bytes.count, status: cl_int = 0, code: cl_int = 0
        let handle = bytes.withUnsafeBufferPointer { buffer in
            var pointer = buffer.baseAddress
            return cl.clCreateProgramWithBinary(context.handle, 1, &device, &length, &pointer, &status, &code)
        }
        return try kernel(function, of: handle, code)
    }

    private func kernel(_ function: String, of handle: cl_program?, _ code: cl_int) throws -> OpenCLKernel {
        guard code == CL_SUCCESS, let handle else { throw ProbeRefusal(message: "no program: \(OpenCLError.name(of: code))") }
        let program = OpenCLProgram(context: context, handle: handle)
        var device: cl_device_id? = context.device
        let result = cl.clBuildProgram(program.handle, 1, &device, "-cl-std=CL1.2", nil, nil)
        guard result == CL_SUCCESS else { throw ProbeRefusal(message: "\(OpenCLError.name(of: result))\n\(log(of: program))") }
        return try OpenCLKernel(program, name: function)
    }

    /// The beginning of the compiler's log: the first message tells most.
    private func log(of program: OpenCLProgram) -> String {
        let parameter = cl_program_build_info(CL_PROGRAM_BUILD_LOG)
        var size = 0
        guard cl.clGetProgramBuildInfo(program.handle, context.device, parameter, 0, nil, &size) == CL_SUCCESS, size > 1 else { return "(no log)" }
        var bytes = [UInt8](repeating: 0, count: size)
        guard cl.clGetProgramBuildInfo(program.handle, context.device, parameter, size, &bytes, nil) == CL_SUCCESS else { return "(no log)" }
        return String(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self).prefix(2000))
    }

    // MARK: Memory and launches

    /// So many 32-bit numbers, all 0 or as given.
    func buffer(_ count: Int, _ values: [Float]? = nil) throws -> OpenCLBuffer {
        let buffer = try memory.make(count: count, type: .float32)
        try (values ?? [Float](repeating: 0, count: count)).withUnsafeBytes { try queue.write($0, to: buffer, at: 0) }
        return buffer
    }

    /// The numbers of a buffer. A sync point.
    func read<Value>(_ buffer: OpenCLBuffer, as type: Value.Type, _ count: Int) throws -> [Value] {
        try [Value](unsafeUninitializedCapacity: count) { values, filled in
            try queue.read(buffer, at: 0, into: UnsafeMutableRawBufferPointer(values))
            filled = count
        }
    }

    /// An argument of a probe's kernel.
    enum Argument {
        case buffer(OpenCLBuffer)
        case unsigned(UInt32)
        /// Bytes of local memory.
        case local(Int)
    }

    /// A kernel does not keep its buffers alive; the caller does until the last launch.
    func set(_ arguments: [Argument], of kernel: OpenCLKernel) throws {
        for (place, argument) in arguments.enumerated() {
            let index = cl_uint(place)
            let code: cl_int
            switch argument {
            case .buffer(let buffer):
                code = withUnsafePointer(to: buffer.handle) { cl.clSetKernelArg(kernel.handle, index, MemoryLayout<cl_mem>.size, $0) }
            case .unsigned(let value):
                code = withUnsafePointer(to: value) { cl.clSetKernelArg(kernel.handle, index, MemoryLayout<UInt32>.size, $0) }
            case .local(let bytes): code = cl.clSetKernelArg(kernel.handle, index, bytes, nil)
            }
            try OpenCLError.check(code, "clSetKernelArg", "\(kernel.name), argument \(place)")
        }
    }

    /// Queues `groups` work-groups of `items` work-items.
    func launch(_ kernel: OpenCLKernel, groups: Int, of items: Int) throws {
        try queue.launch(kernel, global: (groups * items, 1, 1), local: (items, 1, 1))
    }
}
