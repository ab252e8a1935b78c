import CarouselCore
import COpenCL

/// One argument of a kernel; a tensor is two (buffer and first element).
enum KernelArgument {
    case tensor(Tensor)
    /// nil is a null pointer.
    case optional(Tensor?)
    case int(Int)
    case count(Int)
    case float(Double)
    case bits(UInt32)
    case flag(Bool)
}

extension OpenCLBackend {
    /// Queues a kernel. `global` is rounded up to whole work-groups; nothing is queued when it is empty.
    /// - Parameter firstRow: what `get_global_id(1)` starts from.
    func launch(_ name: KernelName, _ defines: KernelDefines = [:], global: (Int, Int, Int),
                local: (Int, Int, Int) = (1, 1, 1), firstRow: Int = 0, _ arguments: [KernelArgument]) throws {
        try makeRoom()
        try noteCommand(with: arguments)
        guard holdsValues, global.0 > 0, global.1 > 0, global.2 > 0 else { return }
        let kernel = try programs.kernel(name, defines)
        var index: cl_uint = 0
        for argument in arguments { try set(argument, of: kernel, at: &index) }
        func whole(_ count: Int, _ group: Int) -> Int { (count + group - 1) / group * group }
        func start() throws {
            try lanes.launch(kernel, global: (whole(global.0, local.0), whole(global.1, local.1), whole(global.2, local.2)),
                             local: local, offset: (0, firstRow, 0))
        }
        do {
            try start()
        } catch let error as CarouselError where error.status == .outOfMemory {
            // Some drivers find memory for a buffer only when a kernel first uses it.
            memory.trim(to: 0)
            try lanes.finish()
            // Everything counts as done now, this command too: it needs a new number.
            try noteCommand(with: arguments)
            try start()
        }
    }

    /// Before a command gets its number: making room ends with everything that has one counted as done.
    func makeRoom() throws { if holdsValues { try lanes.makeRoom() } }

    private func noteCommand(with arguments: [KernelArgument]) throws {
        let number = lanes.order.advance()
        for case .tensor(let tensor) in arguments { memory.note(number, in: try buffer(of: tensor)) }
        for case .optional(let tensor?) in arguments { memory.note(number, in: try buffer(of: tensor)) }
    }

    /// One work-item per element.
    func launch(_ name: KernelName, _ defines: KernelDefines = [:], count: Int,
                _ arguments: [KernelArgument]) throws {
        try launch(name, defines, global: (count, 1, 1), local: (count < 64 ? 16 : tuning.vectorGroup, 1, 1), arguments)
    }

    /// One work-item per column and row; on the cpu family one per row (`EACH_COLUMN` in the kernels).
    func launch(_ name: KernelName, _ defines: KernelDefines = [:], columns: Int, rows: Int,
                _ arguments: [KernelArgument]) throws {
        if family == .cpu {
            return try launch(name, defines, global: (columns > 0 ? 1 : 0, rows, 1), arguments)
        }
        let width = columns >= 64 ? tuning.columnGroup : columns > 8 ? 16 : columns > 2 ? 4 : 1
        let height = columns > 8 ? 1 : 16
        // OpenCL promises no number of groups, and CUDA's grids end at this one beyond the first dimension.
        let most = Self.mostGroups * height
        for first in stride(from: 0, to: rows, by: most) {
            try launch(name, defines, global: (columns, min(most, rows - first), 1), local: (width, height, 1), firstRow: first, arguments)
        }
    }

    private static var mostGroups: Int { 65_535 }

    private func set(_ argument: KernelArgument, of kernel: OpenCLKernel, at index: inout cl_uint) throws {
        switch argument {
        case .tensor(let tensor), .optional(let tensor?):
            try set(try buffer(of: tensor).handle, of: kernel, at: &index)
            try set(cl_ulong(tensor.offset), of: kernel, at: &index)
        case .optional(nil):
            try set(cl_mem?.none, of: kernel, at: &index)
            try set(cl_ulong(0), of: kernel, at: &index)
        case .int(let value):
            guard let narrow = cl_int(exactly: value) else {
                throw CarouselError(.internalError, "\(kernel.name): the extent \(value) does not fit 32 bits")
            }
            try set(narrow, of: kernel, at: &index)
        case .count(let value): try set(cl_ulong(value), of: kernel, at: &index)
        case .float(let value): try set(Float(value), of: kernel, at: &index)
        case .bits(let value): try set(value, of: kernel, at: &index)
        case .flag(let value): try set(cl_int(value ? 1 : 0), of: kernel, at: &index)
        }
    }

    private func set<T>(_ value: T, of kernel: OpenCLKernel, at index: inout cl_uint) throws {
        let code = withUnsafePointer(to: value) {
            context.cl.clSetKernelArg(kernel.handle, index, MemoryLayout<T>.size, $0)
        }
        try OpenCLError.check(code, "clSetKernelArg", "\(kernel.name), argument \(index)")
        index += 1
    }
}
