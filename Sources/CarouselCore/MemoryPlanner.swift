/// A device that is only rehearsed: its buffers hold nothing and its operations compute nothing, but it asks for
/// every buffer the real device would ask for, so that its counters tell what a training will need.
///
/// Running the code that trains on a planner gives a plan that cannot forget a buffer. Reads give zeros.
public protocol MemoryPlanner: Backend {
    /// Largest value `allocatedBytes` had.
    var peakBytes: Int { get }
    /// Bytes of the largest buffer asked for.
    var largestBuffer: Int { get }
    /// Buffers the device has made so far; one that is handed out again does not count.
    var madeBuffers: Int { get }
}

/// The planner of a device without scratch memory of its own: counts the buffers the caller makes.
public final class CountingBackend: MemoryPlanner {
    /// Of the device planned for.
    public let info: DeviceInfo
    /// Of the device planned for.
    public let scalarType: ElementType
    private let meter = Meter()

    /// A planner without any buffer yet.
    public init(info: DeviceInfo, scalarType: ElementType) {
        self.info = info
        self.scalarType = scalarType
    }

    /// False: nothing is stored.
    public var holdsValues: Bool { false }
    /// Bytes of the buffers that live now.
    public var allocatedBytes: Int { meter.bytes }
    /// Largest value `allocatedBytes` had.
    public var peakBytes: Int { meter.peak }
    /// Bytes of the largest buffer asked for.
    public var largestBuffer: Int { meter.largest }
    /// Buffers made so far.
    public var madeBuffers: Int { meter.made }

    /// Buffers may outlive their backend, so they hold the counters.
    private final class Meter {
        var bytes = 0, peak = 0, largest = 0, made = 0

        func add(_ count: Int) {
            bytes += count
            peak = max(peak, bytes)
            largest = max(largest, count)
            made += 1
        }
    }

    private final class CountedBuffer: DeviceBuffer {
        let count: Int
        let type: ElementType
        private let meter: Meter

        init(count: Int, type: ElementType, meter: Meter) {
            self.count = count
            self.type = type
            self.meter = meter
            meter.add(count * type.byteCount)
        }

        deinit { meter.bytes -= count * type.byteCount }
    }

    /// - Throws: `outOfMemory` for a size no machine has.
    public func makeBuffer(count: Int, type: ElementType) throws -> any DeviceBuffer {
        guard count >= 0, count < Int.max / 64 else {
            throw CarouselError(.outOfMemory, "cannot allocate \(count) values of \(type.rawValue)")
        }
        return CountedBuffer(count: count, type: type, meter: meter)
    }

    /// Stores nothing.
    public func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) throws {}

    /// Gives zeros.
    public func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws {
        for i in bytes.indices { bytes[i] = 0 }
    }

    /// Nothing is ever queued.
    public func finish() throws {}
}

/// Operations are silent.
extension CountingBackend {
    public func fill(_ tensor: Tensor, with value: Double) throws {}
    public func copyColumns(_ source: Tensor, from sourceColumn: Int, to target: Tensor, at targetColumn: Int, width: Int,
                            scale: Double, accumulate: Bool) throws {}
    public func multiply(_ a: Tensor, _ b: Tensor, into c: Tensor, accumulate: Bool) throws {}
    public func activate(_ activation: Activation, _ x: Tensor, into y: Tensor) throws {}
    public func activateBackward(_ activation: Activation, y: Tensor, dy: Tensor, into dx: Tensor) throws {}
    public func dropout(_ x: Tensor, into y: Tensor, mask: DropoutMask) throws {}
    public func multiply(_ product: MatrixProduct) throws {}
    public func columnSums(of x: Tensor, into sums: Tensor, accumulate: Bool) throws {}
    public func gather(_ table: Tensor, rows: Tensor, into y: Tensor) throws {}
    public func segmentSums(of values: Tensor, index: RowIndex, into sums: Tensor) throws {}
    public func scatterAdd(_ values: Tensor, rows: Tensor, into table: Tensor) throws {}
    public func recurrentForward(_ pass: RecurrentPass) throws {}
    public func recurrentBackward(_ pass: RecurrentPass, into gradients: RecurrentGradients) throws {}
    public func recurrentPlan(cell: RecurrentCell, input: Int, hidden: Int, state: Int, batch: Int) -> String { "counted" }
    public func pool(_ pooling: Pooling, _ x: Tensor, layout: PackedLayout, into y: Tensor, argmax: Tensor?) throws {}
    public func poolBackward(_ pooling: Pooling, dy: Tensor, layout: PackedLayout, argmax: Tensor?, into dx: Tensor) throws {}
    public func crossEntropy(_ loss: CrossEntropy) throws {}
    public func squaredNorm(of x: Tensor, into sum: Tensor, accumulate: Bool) throws {}
    public func clipByNorm(_ x: Tensor, squaredNorm: Tensor, maximum: Double, variant: OptimizerVariant) throws {}
    public func scale(_ x: Tensor, by factor: Tensor) throws {}
    public func adjustLossScale(_ step: LossScaleStep) throws {}
    public func clipByValue(_ x: Tensor, limit: Double) throws {}
    public func sgd(_ step: SGDStep, weights: Tensor, gradients: Tensor, velocity: Tensor?) throws {}
    public func adam(_ step: AdamStep, weights: Tensor, gradients: Tensor, m: Tensor, v: Tensor) throws {}
    public func rmsprop(_ step: RMSpropStep, weights: Tensor, gradients: Tensor, v: Tensor, momentum: Tensor?) throws {}
    public func average(_ weights: Tensor, into average: Tensor, decay: Double) throws {}
    public func record(_ event: AdamEvent, as number: Int, in history: AdamHistory, fault: Tensor?) throws {}
    public func adamRows(_ pass: AdamRowsPass) throws {}
}
