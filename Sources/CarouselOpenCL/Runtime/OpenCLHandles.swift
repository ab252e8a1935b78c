import CarouselCore
import COpenCL

/// Owns a `cl_context`.
final class OpenCLContext {
    let cl: COpenCLFunctions
    let device: cl_device_id
    let handle: cl_context

    init(_ cl: COpenCLFunctions, device: cl_device_id) throws {
        var code: cl_int = 0
        var device: cl_device_id? = device
        let handle = cl.clCreateContext(nil, 1, &device, nil, nil, &code)
        try OpenCLError.check(code, "clCreateContext")
        guard let handle, let device else { throw CarouselError(.internalError, "clCreateContext returned nothing") }
        self.cl = cl
        self.device = device
        self.handle = handle
    }

    deinit { _ = cl.clReleaseContext(handle) }
}

/// Owns a `cl_program`.
final class OpenCLProgram {
    let context: OpenCLContext
    let handle: cl_program

    init(context: OpenCLContext, handle: cl_program) {
        self.context = context
        self.handle = handle
    }

    deinit { _ = context.cl.clReleaseProgram(handle) }
}

/// Owns a `cl_kernel` and keeps its program alive.
final class OpenCLKernel {
    let program: OpenCLProgram
    let name: String
    let handle: cl_kernel

    init(_ program: OpenCLProgram, name: String) throws {
        var code: cl_int = 0
        let handle = program.context.cl.clCreateKernel(program.handle, name, &code)
        try OpenCLError.check(code, "clCreateKernel", name)
        guard let handle else { throw CarouselError(.internalError, "clCreateKernel returned nothing for \(name)") }
        self.program = program
        self.name = name
        self.handle = handle
    }

    deinit { _ = program.context.cl.clReleaseKernel(handle) }
}

/// Device memory. OpenCL keeps it alive until queued commands that use it are done, so releasing is always safe.
final class OpenCLBuffer: DeviceBuffer {
    let count: Int
    let type: ElementType
    let memory: BufferPool
    let handle: cl_mem
    /// Bytes allocated, at least `count` elements.
    let capacity: Int
    /// Bytes asked for, at most `capacity`.
    private let wanted: Int
    /// Its last command in each lane.
    var used = LaneTimes.zero

    init(count: Int, type: ElementType, memory: BufferPool, handle: cl_mem, capacity: Int, wanted: Int) {
        self.count = count
        self.type = type
        self.memory = memory
        self.handle = handle
        self.capacity = capacity
        self.wanted = wanted
    }

    deinit { memory.recycle(handle, capacity: capacity, wanted: wanted, used: used) }
}
