import CVector
import CarouselCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The vector instructions the hot loops use; one program contains all of them.
public enum InstructionSet: Int32, Sendable, CaseIterable {
    /// The compiler's vectors of 4, for any processor; AVX2 with FMA; AVX-512 F, BW, DQ and VL; the same with BF16, which
    /// multiplies bfloat16 numbers at twice the rate.
    case plain = 0, avx2 = 1, avx512 = 2, avx512bfloat16 = 3

    /// The best one this processor has.
    public static var best: InstructionSet { InstructionSet(rawValue: cvBestInstructionSet()) ?? .plain }

    /// True if this processor can run it.
    public var isAvailable: Bool { rawValue <= Self.best.rawValue }

    /// A name for people.
    public var name: String {
        switch self {
        case .plain: "plain vectors"
        case .avx2: "AVX2"
        case .avx512: "AVX-512"
        case .avx512bfloat16: "AVX-512 with BF16"
        }
    }
}

/// Carousel's operations on the CPU in float32, with products in float32 or bfloat16.
///
/// Every call is finished when it returns. Inside a call, worker threads share pieces of work that are
/// cut by shape alone, so results are the same bits for any number of threads. Denormal numbers count
/// as zero while a call runs.
public final class CPUBackend: MemoryPlanner {
    private(set) var context: OpaquePointer
    let meter = MemoryMeter()
    /// False for a planner, and while memory is reserved: no work is done.
    public private(set) var holdsValues: Bool
    /// For a planner: buffers are counted but have no memory.
    private let isPlanner: Bool
    let instructions: InstructionSet
    /// float32 or bfloat16, to the same bits with AVX2 and AVX-512.
    public let precision: Precision
    /// How work is cut; never changes a result.
    public let tuning: CPUTuning
    private var scratch: [ScratchArea: CPUBuffer] = [:]

    /// - Parameters:
    ///   - threads: threads that compute, the caller's included; nil = the cores this process may use.
    ///   - useBLAS: without AVX-512, large matrix products go to OpenBLAS if the system has it (opened at run
    ///     time). The own AVX-512 product is faster than OpenBLAS at every size the layers use.
    ///   - instructions: nil = the best this processor has.
    ///   - precision: float32 or bfloat16.
    ///   - tuning: how work is cut; never changes a result.
    /// - Throws: `badConfiguration` for a number of threads below 1 or another precision, `deviceUnavailable` for
    ///   instructions the processor lacks, `outOfMemory`.
    public init(threads: Int? = nil, useBLAS: Bool = true, instructions: InstructionSet? = nil, precision: Precision = .float32,
                tuning: CPUTuning = CPUTuning.table[0]) throws {
        let threads = threads ?? Int(cvUsableCores())
        guard (1...1024).contains(threads) else {
            throw CarouselError(.badConfiguration, "cannot compute with \(threads) threads", hint: "1 to 1024 threads")
        }
        self.instructions = instructions ?? .best
        guard self.instructions.isAvailable else {
            throw CarouselError(.deviceUnavailable, "this processor has no \(self.instructions.name) instructions")
        }
        guard precision != .float16 else {
            throw CarouselError(.badConfiguration, "the CPU device does not compute in float16", hint: "bfloat16, or an OpenCL device")
        }
        self.precision = precision
        guard let context = cvContextCreate(Int32(threads), self.instructions.rawValue, tuning.values) else {
            throw CarouselError(.outOfMemory, "cannot start \(threads) worker threads", hint: "fewer threads")
        }
        self.context = context
        self.tuning = tuning
        holdsValues = true
        isPlanner = false
        if useBLAS && self.instructions.rawValue < InstructionSet.avx512.rawValue { _ = cvContextUseBLAS(context) }
    }

    /// The planner of `backend`.
    private init(planningFor backend: CPUBackend) throws {
        guard let context = cvContextCreatePlanner(backend.context) else {
            throw CarouselError(.outOfMemory, "cannot plan the memory of a training")
        }
        self.context = context
        (instructions, precision, tuning) = (backend.instructions, backend.precision, backend.tuning)
        holdsValues = false
        isPlanner = true
    }

    deinit { cvContextDestroy(context) }

    /// For the C functions.
    var isBfloat16: Bool { precision == .bfloat16 }

    /// The same threads, instructions and scratch memory, but nothing is stored or computed.
    public func makePlanner() throws -> any MemoryPlanner { try CPUBackend(planningFor: self) }

    /// Runs `body` with a context that drops all work.
    public func reserve(_ body: () throws -> Void) throws {
        guard holdsValues else { return try body() }
        guard let idle = cvContextCreatePlanner(context) else {
            throw CarouselError(.outOfMemory, "cannot reserve the memory of a training")
        }
        let working = context
        (context, holdsValues) = (idle, false)
        defer {
            (context, holdsValues) = (working, true)
            cvContextDestroy(idle)
        }
        try body()
    }

    /// float32
    public var scalarType: ElementType { .float32 }

    /// The processor's name, threads and instructions in use.
    public var info: DeviceInfo {
        let processor = Self.processor()
        var details = ["vector instructions: \(instructions.name)"]
        if precision != .float32 {
            details.append("products in \(precision.rawValue)" + (instructions == .avx512bfloat16 ? "" : ", emulated and no faster than float32"))
        }
        if precision == .float32, let blas = cvContextBLASDescription(context) {
            details.append("BLAS: " + String(cString: blas))
        } else {
            details.append("BLAS: not used, own \(instructions.name) matrix product")
        }
        if tuning != CPUTuning.table[0] { details.append("tuning \(tuning.name)") }
        return DeviceInfo(kind: .cpu, selector: "cpu", name: processor.name, vendor: processor.vendor,
                          computeUnits: threads, memory: Self.physicalMemory, details: details)
    }

    /// Threads that compute, the caller's included.
    public var threads: Int { Int(cvContextThreads(context)) }

    /// Bytes in live buffers and in the scratch memory kept for reuse.
    public var allocatedBytes: Int { meter.bytes }
    /// Largest value `allocatedBytes` had.
    public var peakBytes: Int { meter.peak }
    /// Bytes of the largest buffer asked for.
    public var largestBuffer: Int { meter.largest }
    /// Buffers made so far, scratch memory included.
    public var madeBuffers: Int { meter.made }

    /// What the machine or the container has left.
    public var availableBytes: Int { HostMemory.available }

    /// A 64-byte aligned buffer with undefined contents; throws `outOfMemory` naming the bytes.
    public func makeBuffer(count: Int, type: ElementType) throws -> any DeviceBuffer {
        guard type != .float64 else { throw CarouselError(.internalError, "the CPU computes in float32, not in float64") }
        return try CPUBuffer(count: count, type: type, meter: meter, isCounted: isPlanner)
    }

    /// Throws `internalError` when the byte counts differ or the tensor is another device's.
    public func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) throws {
        let target = try storage(of: tensor, transferring: bytes.count)
        guard holdsValues else { return }
        if let source = bytes.baseAddress { memcpy(target, source, bytes.count) }
    }

    /// Throws `internalError` when the byte counts differ or the tensor is another device's.
    public func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws {
        let source = try storage(of: tensor, transferring: bytes.count)
        guard holdsValues else {
            for i in bytes.indices { bytes[i] = 0 }
            return
        }
        if let target = bytes.baseAddress { memcpy(target, source, bytes.count) }
    }

    /// Nothing is ever queued.
    public func finish() throws {}

    private func storage(of tensor: Tensor, transferring count: Int) throws -> UnsafeMutableRawPointer {
        guard let buffer = tensor.buffer as? CPUBuffer else { throw Self.foreign(tensor) }
        guard count == tensor.count * tensor.type.byteCount else {
            throw CarouselError(.internalError, "cannot transfer \(count) bytes and a tensor \(tensor.shape) of "
                + tensor.type.rawValue)
        }
        return buffer.base + tensor.offset * tensor.type.byteCount
    }

    static func foreign(_ tensor: Tensor) -> CarouselError {
        CarouselError(.internalError, "a tensor \(tensor.shape) of another device reached the CPU")
    }

    // MARK: Pointers and scratch memory

    /// The elements of a float32 tensor; throws `internalError` for other types and devices.
    func floats(_ tensor: Tensor) throws -> UnsafeMutablePointer<Float> {
        guard let buffer = tensor.buffer as? CPUBuffer else { throw Self.foreign(tensor) }
        guard tensor.type == .float32 else {
            throw CarouselError(.internalError, "a tensor \(tensor.shape) of \(tensor.type.rawValue) where float32 is due")
        }
        return buffer.base.assumingMemoryBound(to: Float.self) + tensor.offset
    }

    func floats(_ tensor: Tensor?) throws -> UnsafeMutablePointer<Float>? {
        try tensor.map { try floats($0) }
    }

    /// The elements of an int32 tensor; throws `internalError` for other types and devices.
    func integers(_ tensor: Tensor) throws -> UnsafeMutablePointer<Int32> {
        guard let buffer = tensor.buffer as? CPUBuffer else { throw Self.foreign(tensor) }
        guard tensor.type == .int32 else {
            throw CarouselError(.internalError, "a tensor \(tensor.shape) of \(tensor.type.rawValue) where int32 is due")
        }
        return buffer.base.assumingMemoryBound(to: Int32.self) + tensor.offset
    }

    func integers(_ tensor: Tensor?) throws -> UnsafeMutablePointer<Int32>? {
        try tensor.map { try integers($0) }
    }

    /// Purposes of scratch memory that may be in use at the same time.
    enum ScratchArea { case kernel, projection, segments, state, sums }

    /// At least `count` floats that stay valid until the next call for the same area; kept and reused.
    func scratch(_ area: ScratchArea, count: Int) throws -> UnsafeMutablePointer<Float> {
        if let buffer = scratch[area], buffer.count >= count { return buffer.base.assumingMemoryBound(to: Float.self) }
        // Release first, so that growing never needs both; an eighth more spares ragged batches regrowth.
        scratch[area] = nil
        let buffer = try CPUBuffer(count: count + count / 8, type: .float32, meter: meter, isCounted: isPlanner)
        scratch[area] = buffer
        return buffer.base.assumingMemoryBound(to: Float.self)
    }
}

/// Counts the bytes of live buffers, which may outlive their backend.
final class MemoryMeter {
    private(set) var bytes = 0
    private(set) var peak = 0
    private(set) var largest = 0
    private(set) var made = 0

    func add(_ count: Int) {
        bytes += count
        peak = max(peak, bytes)
        largest = max(largest, count)
        made += 1
    }

    func remove(_ count: Int) { bytes -= count }
}

/// 64-byte aligned host memory, one cache line and one AVX-512 vector.
final class CPUBuffer: DeviceBuffer {
    let count: Int
    let type: ElementType
    let base: UnsafeMutableRawPointer
    private let bytes: Int
    private let meter: MemoryMeter
    private let isCounted: Bool

    /// An address that no program can use: a planner that touched memory would stop at once.
    private static var nowhere: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: 64) }

    /// - Parameter isCounted: counts the bytes without having them, for a planner.
    init(count: Int, type: ElementType, meter: MemoryMeter, isCounted: Bool = false) throws {
        let (bytes, overflow) = count.multipliedReportingOverflow(by: type.byteCount)
        var memory = isCounted ? Self.nowhere : nil
        let isLarge = bytes >= Self.large
        guard count >= 0, !overflow, isCounted || posix_memalign(&memory, isLarge ? Self.hugePage : 64, max(bytes, 64)) == 0, let memory else {
            throw CarouselError(.outOfMemory, "cannot allocate \(bytes) bytes for \(count) values of \(type.rawValue)",
                                hint: "a smaller batch, shorter sequences or a smaller model")
        }
        self.count = count
        self.type = type
        self.bytes = bytes
        self.meter = meter
        self.isCounted = isCounted
        base = memory
        meter.add(bytes)
        #if os(Linux)
        // Rows that lie far apart otherwise cost a walk through the page tables each. It is advice: failing changes nothing.
        if isLarge && !isCounted { madvise(memory, bytes, Int32(MADV_HUGEPAGE)) }
        #endif
    }

    /// Bytes from which a buffer gets pages of 2 MiB where the system has them.
    private static let large = 8 << 20
    private static let hugePage = 2 << 20

    deinit {
        if !isCounted { free(base) }
        meter.remove(bytes)
    }
}

extension CPUBackend {
    private static func processor() -> (name: String, vendor: String) {
        guard let file = fopen("/proc/cpuinfo", "r") else { return ("CPU", "") }
        defer { fclose(file) }
        var name = "CPU", vendor = ""
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard let colon = text.firstIndex(of: ":") else { break }
            let value = String(text[text.index(after: colon)...].drop { $0 == " " }.prefix { $0 != "\n" })
            if text.hasPrefix("model name") { name = value }
            if text.hasPrefix("vendor_id") { vendor = value }
        }
        return (name, vendor)
    }

    private static var physicalMemory: Int {
        max(0, sysconf(Int32(_SC_PHYS_PAGES))) * max(0, sysconf(Int32(_SC_PAGESIZE)))
    }
}
