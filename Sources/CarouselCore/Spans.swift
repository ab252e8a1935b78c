/// A part of a training that has a beginning and an end. Spans of one thread nest.
public enum Span: Sendable, Hashable {
    /// 1, 2, …
    case epoch(Int)
    /// 1, 2, … over the whole run.
    case step(Int)
    /// Sequences become a packed batch; on a thread of its own in a run.
    case preparation
    /// A batch goes to the device.
    case upload
    /// One layer, by its place and name.
    case forward(Int, String)
    case loss
    case zeroGradients
    /// One layer, by its place and name.
    case backward(Int, String)
    /// Norm and limits of the gradients.
    case clip
    case update
    /// The moving average of the weights.
    case average
    /// Losses and norms come from the device.
    case reading
    /// The model runs over the validation part.
    case evaluation
    case checkpoint

    /// For people, and unique among the spans of one step.
    public var name: String {
        switch self {
        case .epoch(let number): "epoch \(number)"
        case .step(let number): "step \(number)"
        case .preparation: "batch preparation"
        case .upload: "upload"
        case .forward(let place, let layer): "forward \(place): \(layer)"
        case .loss: "loss"
        case .zeroGradients: "zero gradients"
        case .backward(let place, let layer): "backward \(place): \(layer)"
        case .clip: "clip"
        case .update: "update"
        case .average: "average"
        case .reading: "read losses"
        case .evaluation: "evaluation"
        case .checkpoint: "checkpoint"
        }
    }

    /// Whether a span encloses phases rather than being one.
    public var isOuter: Bool {
        switch self {
        case .epoch, .step, .evaluation: true
        default: false
        }
    }
}

/// Hears when spans begin and end, on the thread that runs them, and never changes anything.
public protocol SpanObserver: AnyObject, Sendable {
    func begin(_ span: Span)
    /// Also when what the span held threw an error.
    func end(_ span: Span)
}

extension Optional where Wrapped == any SpanObserver {
    /// Runs `body`, between a beginning and an end where somebody listens; else this costs a comparison with nil.
    @inline(__always)
    public func span<Result>(_ span: @autoclosure () -> Span, _ body: () throws -> Result) rethrows -> Result {
        guard let observer = self else { return try body() }
        let span = span()
        observer.begin(span)
        defer { observer.end(span) }
        return try body()
    }
}
