import CarouselCore
import CarouselNN

/// Times descriptions of work on one device and makes rows of them.
public final class Benchmark {
    let backend: any Backend
    let stopwatch: Stopwatch
    private let status: (String) -> Void
    private var peak: Double
    /// What is asked for the peak; nil = a product on the device.
    private let meter: (any PeakMeasuring)?

    /// Seconds that measuring the peak takes, at the beginning and at the end.
    private static let peakSeconds = 0.4

    /// Measures the device's peak.
    /// - Parameters:
    ///   - host: the CPU device, for the peak of an OpenCL device that runs on the host's processor.
    ///   - seconds: of samples for each row, beside its warm-up.
    ///   - status: hears what is measured now.
    public init(on backend: any Backend, host: (any Backend)? = nil, seconds: Double, status: @escaping (String) -> Void = { _ in }) throws {
        self.backend = backend
        self.status = status
        stopwatch = Stopwatch(backend: backend, seconds: seconds)
        status("peak")
        let sharesProcessor = backend.info.kind == .opencl && !backend.info.isGPU
        meter = (sharesProcessor ? host : backend) as? any PeakMeasuring
        peak = try Self.peak(of: backend, meter, seconds: min(Self.peakSeconds, seconds))
    }

    // MARK: The peak

    /// Rows and columns of the product that stands for the peak of a device that cannot measure its own.
    private static func peakProduct(of backend: any Backend) -> Int { backend.info.isGPU ? 4096 : 1024 }

    private static func peak(of backend: any Backend, _ meter: (any PeakMeasuring)?, seconds: Double) throws -> Double {
        if let meter { return try meter.measurePeak(seconds: seconds) }
        let size = peakProduct(of: backend)
        let product = OperationCase.product(m: size, n: size, k: size, transposeA: false, transposeB: true)
        let timing = try Stopwatch(backend: backend, seconds: seconds).time([product.make(on: backend)])[0]
        return (product.operations ?? 0) / max(timing.minimum, 1e-12)
    }

    private var peakMethod: String {
        let size = Self.peakProduct(of: backend)
        return meter?.peakMethod ?? "a matrix product of \(size) x \(size) x \(size) on this device"
    }

    /// The report of `rows`, with shares of the larger of the peaks before and after them: others may have used the machine.
    private func report(_ command: String, _ machine: BenchMachine, _ rows: [BenchRow], notes: [String] = []) throws -> BenchReport {
        status("peak")
        peak = max(peak, try Self.peak(of: backend, meter, seconds: min(Self.peakSeconds, stopwatch.seconds)))
        var report = BenchReport(command: command, machine: machine, rows: rows, notes: notes)
        report.peak = peak * 1e-9
        report.peakMethod = peakMethod
        for i in report.rows.indices {
            guard let rate = report.rows[i].gigaflops else { continue }
            report.rows[i].share = rate * 1e9 / peak
            if let meter, let processor = report.rows[i].processor, processor > 0 {
                // Operations of one run by the processor time of one run.
                report.rows[i].shareOfUsed = rate * 1e9 * report.rows[i].milliseconds / processor / (peak / Double(max(1, meter.info.computeUnits)))
            }
        }
        return report
    }

    /// Bytes that `work` needs at most, by the code that does it on the device's planner.
    /// - Throws: `outOfMemory` where the device has less.
    static func bytes(on backend: any Backend, _ work: (any Backend) throws -> Void) throws -> Int {
        let planner = try backend.makePlanner()
        try work(planner)
        let needed = planner.peakBytes, available = backend.availableBytes
        guard available == 0 || needed <= available else {
            throw CarouselError(.outOfMemory, "this size needs \(MemoryPlan.text(needed)) of memory, \(backend.info.selector) has "
                + "\(MemoryPlan.text(available)) available", hint: "smaller sizes")
        }
        return needed
    }

    private static func bytes(of subject: LayerCase, backward: Bool, on backend: any Backend) throws -> Int {
        try bytes(on: backend) { planner in
            let work = try LayerWork(subject, on: planner)
            try backward ? work.forwardAndBackward() : work.forward()
        }
    }

    // MARK: Operations and layers

    /// Every operation of `cases`.
    public func operations(_ cases: [OperationCase], machine: BenchMachine) throws -> BenchReport {
        let rows = try cases.map { subject in
            status(subject.key)
            let bytes = try Self.bytes(on: backend) { try subject.make(on: $0)() }
            let timing = try stopwatch.time([subject.make(on: backend)])[0]
            var row = BenchRow(subject.key, timing, operations: subject.operations, traffic: subject.traffic)
            row.bytes = bytes
            return row
        }
        return try report("operations", machine, rows)
    }

    /// Two rows for every case: forward, and forward with backward.
    public func layers(_ cases: [LayerCase], machine: BenchMachine) throws -> BenchReport {
        let rows = try cases.flatMap { subject in
            status("\(subject.name) \(subject.size.name)")
            let bytes = try [false, true].map { try Self.bytes(of: subject, backward: $0, on: backend) }
            let work = try LayerWork(subject, on: backend)
            let timings = try stopwatch.time([work.forward, work.forwardAndBackward])
            return [false, true].enumerated().map { place, backward in
                var row = BenchRow("\(subject.name) \(subject.size.name) \(backward ? "forward + backward" : "forward")", timings[place],
                                   operations: subject.operations(backward: backward))
                row.bytes = bytes[place]
                row.plan = work.plan(batch: subject.size.batch)
                return row
            }
        }
        return try report("layers", machine, rows)
    }

    /// Forward with backward of all of `LayerCase.options`, in turns, as a ratio to the plain LSTM.
    public func options(_ sizes: [LayerSize], machine: BenchMachine) throws -> BenchReport {
        let rows = try sizes.flatMap { size in
            let cases = LayerCase.options(size)
            status("options at \(size.name)")
            let bytes = try cases.map { try Self.bytes(of: $0, backward: true, on: backend) }
            let works = try cases.map { try LayerWork($0, on: backend) }
            let timings = try stopwatch.time(works.map { $0.forwardAndBackward })
            return zip(cases, zip(timings, bytes)).map { subject, measured in
                let (timing, bytes) = measured
                let operations = subject.operations(backward: true), plain = cases[0].operations(backward: true)
                var row = BenchRow("\(subject.name) \(size.name)", timing, operations: operations)
                row.bytes = bytes
                // Samples of one turn are compared with each other.
                row.ratio = Timing.median(zip(timing.samples, timings[0].samples).map { operations / $0 / (plain / $1) })
                return row
            }
        }
        return try report("options", machine, rows, notes: [
            "forward + backward; \"per FLOP\" is GFLOP/s relative to the plain LSTM of the same size; only real steps are counted"])
    }
}
