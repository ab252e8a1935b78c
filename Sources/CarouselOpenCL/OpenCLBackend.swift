import CarouselCore
import COpenCL
import Foundation

/// Runs Carousel's operations on one OpenCL device in float32.
///
/// Work is queued in order, independent work in several queues (`Lanes`); only `read` and `finish` wait. Two families of kernels exist for the expensive
/// operations: `gpu` (work-groups and local memory) and `cpu` (one work-item per group, wide vectors, register
/// tiles), chosen by the device's type.
///
/// Environment: `CAROUSEL_KERNEL_FAMILY=gpu|cpu` chooses the family,
/// `CAROUSEL_RECURRENT_PLAN=stepwise|fused|persistent` how its gpu kernels run recurrent layers, `CAROUSEL_KERNEL_CACHE=off` switches the
/// cache of built programs off, `CAROUSEL_KERNEL_DIRECTORY` names a folder whose `.cl` files replace the
/// embedded ones of the same name, `CAROUSEL_BUFFER_REUSE=off` makes every tensor a new buffer of exactly
/// its size that holds NaN, `CAROUSEL_TUNING` names a row of `Tuning.table`, `CAROUSEL_MATRIX_UNITS` says what NVIDIA's matrix
/// units are used for, `CAROUSEL_OVERLAP=on|off` whether independent work goes to several queues.
public final class OpenCLBackend: MemoryPlanner {
    /// How the expensive kernels are written.
    public enum KernelFamily: String, Sendable, CaseIterable {
        case gpu, cpu

        /// The name of the plan that runs these kernels.
        public var plan: String { "\(rawValue) kernels" }
    }

    public private(set) var info: DeviceInfo
    public let family: KernelFamily
    /// How the kernels' work is cut; never changes a result.
    public internal(set) var tuning: Tuning
    /// The same without what was measured on this machine.
    let shippedTuning: Tuning
    /// Where measured sizes are kept; nil = nowhere.
    let tuningFolder: URL?
    /// Why measured sizes on disk are not used, for people; nil where there are none or they are.
    public let tuningProblem: String?
    public var scalarType: ElementType { .float32 }
    /// Of the operands of products, in either family.
    public let precision: Precision
    public var plan: String {
        Self.plan(family, forcedPlan, precision) + (matrixUnits == nil ? "" : matrixUnits?.instructions == .tf32 ? ", tf32 matrix units" : ", matrix units")
    }
    /// How products use matrix units; nil = they do not.
    var matrixUnits: MatrixUnits?
    /// How groups of the gpu kernels add up what their items have.
    var tree = Tree()
    /// How the gpu kernels run recurrent layers; nil = as their shapes suggest.
    let forcedPlan: RecurrentPlan?
    let meetings: Meetings
    /// Whether independent work goes to several queues.
    public let overlaps: Bool
    /// Lanes that the pieces of the current `overlap` share; 1 = there is none.
    var overlapping = 1
    /// Behind what was asked for before the last `ahead`.
    var lastAhead: Lanes.Mark?
    /// Told what a user should know of the device; writes to the standard error unless set.
    public var notice: (String) -> Void = { FileHandle.standardError.write(Data("\($0)\n".utf8)) }

    let context: OpenCLContext
    let lanes: Lanes
    let memory: BufferPool
    let programs: ProgramCache
    let device: OpenCLDeviceDescription
    /// False for a planner, whose buffers are counted but have no memory, and while memory is reserved: nothing is queued.
    public private(set) var holdsValues: Bool

    /// - Parameters:
    ///   - index: position in `devices().devices`.
    ///   - cacheDirectory: folder for built programs; nil = `$XDG_CACHE_HOME/carousel` or `~/.cache/carousel`.
    ///   - precision: to which both operands of every product are rounded.
    /// - Throws: `deviceUnavailable` when there is no such device, `badConfiguration` for an unknown family.
    public convenience init(device index: Int, cacheDirectory: URL? = nil, precision: Precision = .float32) throws {
        try self.init(device: index, cacheDirectory: cacheDirectory, environment: ProcessInfo.processInfo.environment, precision: precision)
    }

    /// The same with the kernels of one family, whatever the device's type and the environment say.
    /// - Parameter recurrentPlan: of the gpu family; nil = what `CAROUSEL_RECURRENT_PLAN` says, or the layers' shapes.
    public convenience init(device index: Int, family: KernelFamily, recurrentPlan: RecurrentPlan? = nil, precision: Precision = .float32) throws {
        try self.init(device: index, cacheDirectory: nil, environment: ProcessInfo.processInfo.environment, family: family,
                      recurrentPlan: recurrentPlan, precision: precision)
    }

    /// The same with explicit environment variables.
    public convenience init(device index: Int, cacheDirectory: URL?, environment: [String: String], precision: Precision = .float32) throws {
        try self.init(device: index, cacheDirectory: cacheDirectory, environment: environment, family: nil, precision: precision)
    }

    /// - Parameters:
    ///   - chosen: nil = what `CAROUSEL_KERNEL_FAMILY` says, or the device's type.
    ///   - recurrentPlan: nil = what `CAROUSEL_RECURRENT_PLAN` says.
    ///   - edited: kernel files by name whose text replaces the one inside the program; how tests plant faults.
    init(device index: Int, cacheDirectory: URL?, environment: [String: String], family chosen: KernelFamily?,
         recurrentPlan: RecurrentPlan? = nil, precision: Precision = .float32, replacing edited: [String: String] = [:]) throws {
        self.precision = precision
        let found = try Self.find(index)
        device = found.description
        switch (chosen, environment["CAROUSEL_KERNEL_FAMILY"] ?? "") {
        case (let chosen?, _): family = chosen
        case (nil, ""): family = device.type == .cpu ? .cpu : .gpu
        case (nil, let name):
            guard let named = KernelFamily(rawValue: name) else {
                throw CarouselError(.badConfiguration, "CAROUSEL_KERNEL_FAMILY is \"\(name)\"", hint: "gpu or cpu")
            }
            family = named
        }
        forcedPlan = try recurrentPlan ?? RecurrentPlan.named(environment[EnvironmentSettings.recurrentPlan.rawValue])
        meetings = Meetings(device)
        let sources = KernelSources(environment: environment, edited: edited)
        let binaries = BinaryCache(directory: cacheDirectory, environment: environment)
        tuningFolder = binaries.directory
        shippedTuning = try Self.tuning(device, precision, sources: sources, folder: nil, environment: environment).tuning
        let tuned = try Self.tuning(device, precision, sources: sources, folder: tuningFolder, environment: environment)
        (tuning, tuningProblem) = (tuned.tuning, tuned.problem)
        context = try OpenCLContext(try OpenCLLibrary.require(), device: found.handle)
        overlaps = try EnvironmentSettings.flag(.overlap, environment) ?? (device.type == .gpu)
        let lanes = Lanes(context)
        self.lanes = lanes
        memory = BufferPool(source: .device(context, settle: lanes.finish), largestAllocation: device.largestAllocation,
                            reuses: environment["CAROUSEL_BUFFER_REUSE"] != "off", order: lanes.order)
        holdsValues = true
        programs = ProgramCache(context: context, device: device, family: family, precision: precision,
                                sources: sources, binaries: binaries)
        info = DeviceInfo(kind: .opencl, selector: "opencl:\(index)", name: device.name, vendor: device.vendor,
                          driver: "\(device.platform), \(device.driver)", computeUnits: device.computeUnits,
                          memory: device.memory, largestAllocation: device.largestAllocation,
                          isGPU: device.type == .gpu,
                          details: ["\(family.rawValue) kernels", device.languageVersion,
                                    "\(device.localMemory) bytes of local memory"] + device.extensions
                              + (tuning.name == Tuning.table[0].name ? [] : ["tuning \(tuning.name)"])
                              + (tuned.measured.isEmpty ? [] : ["\(tuned.measured.count) measured sizes, "
                                  + SHA256.hexadecimal(of: tuned.measured.map { "\($0.choice.subject) \($0.choice.text)" }.joined(separator: "\n")).prefix(8)]))
        try findMatrixUnits(environment: environment)
        try findSubGroups()
    }

    /// Adds to what `info` says.
    func note(_ detail: String) { info.details.append(detail) }

    /// The planner of `backend`.
    private init(planningFor backend: OpenCLBackend) {
        (info, family, tuning, device) = (backend.info, backend.family, backend.tuning, backend.device)
        (forcedPlan, meetings, precision) = (backend.forcedPlan, Meetings(planningFor: backend.meetings), backend.precision)
        overlaps = backend.overlaps
        (shippedTuning, tuningFolder, tuningProblem) = (backend.shippedTuning, backend.tuningFolder, backend.tuningProblem)
        (matrixUnits, tree) = (backend.matrixUnits, backend.tree)
        (context, programs) = (backend.context, backend.programs)
        lanes = Lanes(context)
        // Without a limit for one buffer, so that the plan can tell how large it would have to be.
        memory = BufferPool(source: .counted, largestAllocation: 0, reuses: backend.memory.reuses, order: lanes.order)
        holdsValues = false
    }

    /// The same kernels and the same pool of buffers, but nothing is allocated or queued.
    public func makePlanner() throws -> any MemoryPlanner { OpenCLBackend(planningFor: self) }

    /// Runs `body` without queuing anything. The device is done with everything before, since nothing can wait for it inside.
    public func reserve(_ body: () throws -> Void) throws {
        let held = holdsValues
        if held { try finish() }
        holdsValues = false
        defer {
            holdsValues = held
            lanes.order.everythingIsDone()
        }
        try body()
    }

    /// All OpenCL devices of this machine, or why there are none. Never throws: a failing driver is a reason.
    public static func devices() -> OpenCLDiscoveryResult {
        do {
            let devices = try OpenCLDiscovery.devices().map(\.description)
            guard devices.isEmpty else { return OpenCLDiscoveryResult(devices: devices, reason: nil, hint: nil) }
            let (reason, hint) = OpenCLDiscovery.explainAbsence()
            return OpenCLDiscoveryResult(devices: [], reason: reason, hint: hint)
        } catch let error as CarouselError {
            return OpenCLDiscoveryResult(devices: [], reason: error.message, hint: error.hint)
        } catch {
            return OpenCLDiscoveryResult(devices: [], reason: "\(error)", hint: nil)
        }
    }

    /// - Throws: `deviceUnavailable` naming the devices there are.
    static func find(_ index: Int) throws -> OpenCLDiscovery.Device {
        let found = try OpenCLDiscovery.devices()
        guard !found.isEmpty else {
            let (reason, hint) = OpenCLDiscovery.explainAbsence()
            throw CarouselError(.deviceUnavailable, reason, hint: hint)
        }
        guard found.indices.contains(index) else {
            throw CarouselError(.deviceUnavailable, "there is no OpenCL device \(index): this machine has "
                + found.map { "opencl:\($0.description.index) (\($0.description.name))" }.joined(separator: ", "),
                                hint: "carousel devices")
        }
        return found[index]
    }

    /// The buffer of a tensor this backend made.
    func buffer(of tensor: Tensor) throws -> OpenCLBuffer {
        guard let buffer = tensor.buffer as? OpenCLBuffer, buffer.memory === memory else {
            throw CarouselError(.internalError, "tensor \(tensor.shape) belongs to another device than \(info.selector)")
        }
        return buffer
    }
}

extension OpenCLBackend {
    public func makeBuffer(count: Int, type: ElementType) throws -> any DeviceBuffer {
        guard type != .float64 else {
            throw CarouselError(.internalError, "\(info.selector) computes in float32 and has no float64 tensors")
        }
        let buffer = try memory.make(count: count, type: type)
        if !memory.reuses && holdsValues {
            // All bits set: a NaN, or −1.
            let unwritten = [UInt8](repeating: 0xFF, count: count * type.byteCount)
            try makeRoom()
            memory.note(lanes.order.advance(), in: buffer)
            try unwritten.withUnsafeBytes { try lanes.write($0, to: buffer, at: 0) }
        }
        return buffer
    }

    public func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) throws {
        try checkTransfer(bytes.count, tensor)
        let buffer = try buffer(of: tensor)
        // Writes ahead overtake what does not use their tensors, and nothing else.
        if !lanes.order.isAfter(buffer.used) { try join() }
        try makeRoom()
        memory.note(lanes.order.advance(), in: buffer)
        guard holdsValues else { return }
        try lanes.write(bytes, to: buffer, at: tensor.offset * tensor.type.byteCount)
    }

    public func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws {
        try checkTransfer(bytes.count, tensor)
        guard holdsValues else {
            for i in bytes.indices { bytes[i] = 0 }
            lanes.order.everythingIsDone()
            return
        }
        try lanes.read(buffer(of: tensor), at: tensor.offset * tensor.type.byteCount, into: bytes)  // sync point
        try lookAtMeetings()
    }

    public func finish() throws {
        try lanes.finish()  // sync point
        try lookAtMeetings()
    }

    public var allocatedBytes: Int { memory.allocatedBytes }
    /// Largest value `allocatedBytes` had.
    public var peakBytes: Int { memory.peakBytes }
    /// Bytes of the largest buffer asked for.
    public var largestBuffer: Int { memory.largestBuffer }
    /// Buffers the device has made so far; those of the pool that are used again do not count.
    public var madeBuffers: Int { memory.madeCount }

    /// The device's memory without what this backend holds; a device that is a CPU shares the machine's.
    public var availableBytes: Int {
        let left = max(1, info.memory - allocatedBytes)
        let host = device.type == .cpu ? HostMemory.available : 0
        return host > 0 ? min(left, host) : left
    }

    private func checkTransfer(_ bytes: Int, _ tensor: Tensor) throws {
        guard bytes == tensor.count * tensor.type.byteCount else {
            throw CarouselError(.internalError, "cannot transfer \(bytes) bytes and a tensor \(tensor.shape) of "
                + tensor.type.rawValue)
        }
    }
}
