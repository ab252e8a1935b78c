import CarouselCore
import COpenCL

/// A place in a queue: reached when the commands before it are done.
final class QueueMark {
    private let context: OpenCLContext
    fileprivate let event: cl_event

    fileprivate init(_ context: OpenCLContext, _ event: cl_event) {
        self.context = context
        self.event = event
    }

    deinit { _ = context.cl.clReleaseEvent(event) }
}

/// An in-order command queue. Only `read` and `finish` wait.
final class CommandQueue {
    let context: OpenCLContext
    private var handle: cl_command_queue
    /// As `DeviceCommand.queue`.
    private let number: Int
    /// Marks of other queues that the next command waits for.
    private var awaited: [QueueMark] = []
    /// Present while commands are timed.
    private var timer: CommandTimer?
    private var cl: COpenCLFunctions { context.cl }
    /// Launches since the last flush; a device starts working at a flush at the latest.
    private var unflushed = 0
    /// Copies of written host memory that queued commands may still read.
    private let staging: StagingArea

    /// Larger writes wait instead of being copied.
    private static let largestStagedWrite = 16 << 20

    /// - Parameter number: tells the queues of a context apart.
    init(_ context: OpenCLContext, number: Int = 0) throws {
        handle = try Self.create(context, properties: 0)
        self.context = context
        self.number = number
        staging = StagingArea(context)
    }

    private static func create(_ context: OpenCLContext, properties: Int32) throws -> cl_command_queue {
        var code: cl_int = 0
        let handle = context.cl.clCreateCommandQueue(context.handle, context.device, cl_command_queue_properties(properties), &code)
        try OpenCLError.check(code, "clCreateCommandQueue")
        guard let handle else { throw CarouselError(.internalError, "clCreateCommandQueue returned nothing") }
        return handle
    }

    /// Times every command from now on, or none. A queue is made for one or the other, so it is exchanged. A sync point.
    func recordCommands(_ record: (([DeviceCommand]) -> Void)?) throws {
        try finish()
        let next = try Self.create(context, properties: record == nil ? 0 : CL_QUEUE_PROFILING_ENABLE)
        _ = cl.clReleaseCommandQueue(handle)
        handle = next
        timer = record.map { CommandTimer(context, queue: number, record: $0) }
    }

    /// Whether the device should be finished before more is queued: events of timed commands are held until then.
    var isFull: Bool { timer?.isFull ?? false }

    /// The place behind everything queued so far. The device is told to start on that: a queue that waits for work which was
    /// never flushed would wait for ever.
    func mark() throws -> QueueMark {
        var event: cl_event?
        // A marker with a list waits for that alone; without, for everything before it.
        if !awaited.isEmpty {
            try OpenCLError.check(waiting { cl.clEnqueueBarrierWithWaitList(handle, $0, $1, nil) }, "clEnqueueBarrierWithWaitList")
        }
        try OpenCLError.check(cl.clEnqueueMarkerWithWaitList(handle, 0, nil, &event), "clEnqueueMarkerWithWaitList")
        guard let event else { throw CarouselError(.internalError, "clEnqueueMarkerWithWaitList returned nothing") }
        let mark = QueueMark(context, event)
        try flush()
        return mark
    }

    /// Commands from now on start when `mark` of another queue is reached.
    func wait(for mark: QueueMark) { awaited.append(mark) }

    /// Calls with what the next command waits for; the queue being in order, so do those behind it.
    private func waiting(_ call: (cl_uint, UnsafePointer<cl_event?>?) -> cl_int) -> cl_int {
        guard !awaited.isEmpty else { return call(0, nil) }
        let code = awaited.map { Optional($0.event) }.withUnsafeBufferPointer { call(cl_uint($0.count), $0.baseAddress) }
        // A driver keeps the events it was given; what was not queued has not waited.
        if code == CL_SUCCESS { awaited.removeAll(keepingCapacity: true) }
        return code
    }

    private func flush() throws {
        try OpenCLError.check(cl.clFlush(handle), "clFlush")
        unflushed = 0
    }

    /// Queues a command, timed if anybody wants that.
    private func enqueue(_ name: @autoclosure () -> String, global: (Int, Int, Int)? = nil, local: (Int, Int, Int)? = nil, bytes: Int? = nil,
                         _ call: (cl_uint, UnsafePointer<cl_event?>?, UnsafeMutablePointer<cl_event?>?) -> cl_int) -> cl_int {
        waiting { count, events in
            guard let timer else { return call(count, events, nil) }
            func list(_ size: (Int, Int, Int)?) -> [Int] { size.map { [$0.0, $0.1, $0.2] } ?? [] }
            return timer.enqueue(name(), workItems: list(global), groupSize: list(local), bytes: bytes) { call(count, events, $0) }
        }
    }

    deinit {
        _ = cl.clFinish(handle)
        staging.removeAll(queue: handle)
        _ = cl.clReleaseCommandQueue(handle)
    }

    /// Copies from the host; `bytes` may be reused afterwards. Small writes do not wait for the device.
    func write(_ bytes: UnsafeRawBufferPointer, to buffer: OpenCLBuffer, at offset: Int) throws {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
        let waits = bytes.count > Self.largestStagedWrite
        var source = base
        if !waits {
            if staging.isFull(for: bytes.count) { try finish() }
            source = staging.copy(base, count: bytes.count, queue: handle)
        }
        try OpenCLError.check(
            enqueue("write", bytes: bytes.count) {
                cl.clEnqueueWriteBuffer(handle, buffer.handle, cl_bool(waits ? CL_TRUE : CL_FALSE), offset, bytes.count, source, $0, $1, $2)
            },
            "clEnqueueWriteBuffer", "\(bytes.count) bytes")
        if waits { try settle() }  // sync point
    }

    /// Call when everything queued is done.
    func settle() throws {
        staging.reset(queue: handle)
        unflushed = 0
        try timer?.collect()
    }

    /// Copies to the host. // sync point
    func read(_ buffer: OpenCLBuffer, at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return try finish() }
        try OpenCLError.check(
            enqueue("read", bytes: bytes.count) {
                cl.clEnqueueReadBuffer(handle, buffer.handle, cl_bool(CL_TRUE), offset, bytes.count, base, $0, $1, $2)
            },
            "clEnqueueReadBuffer", "\(bytes.count) bytes")  // sync point
        try settle()
    }

    /// Runs `kernel` over `global` work-items in groups of `local`; their numbers start at `offset`.
    func launch(_ kernel: OpenCLKernel, global: (Int, Int, Int), local: (Int, Int, Int),
                offset: (Int, Int, Int) = (0, 0, 0)) throws {
        let code = enqueue(kernel.name, global: global, local: local) {
            cl.clEnqueueNDRangeKernel(handle, kernel.handle, 3, [offset.0, offset.1, offset.2], [global.0, global.1, global.2],
                                      [local.0, local.1, local.2], $0, $1, $2)
        }
        try OpenCLError.check(code, "clEnqueueNDRangeKernel", "\(kernel.name), global \(global), local \(local)")
        unflushed += 1
        if unflushed >= 32 { try flush() }
    }

    /// Waits for everything queued.
    func finish() throws {
        try OpenCLError.check(cl.clFinish(handle), "clFinish")  // sync point
        try settle()
    }
}
