/// What happens to all rows of a table that takes Adam's steps row by row.
public enum AdamEvent {
    /// A step in which the rows left out have gradient 0.
    case step(AdamStep)
    /// average = decay · average + (1 − decay) · weights.
    case average(decay: Double)
}

/// The events that rows of a table may not have taken yet, on the device. They count from 1 again whenever all rows
/// have taken all of them.
public struct AdamHistory {
    /// Numbers that an event needs.
    public static let width = 8

    /// [capacity, 8] scalars: the factors of event e in row e − 1, in the backend's own form.
    public let events: Tensor
    /// [1] int32: the last event that has happened, 0 before the first.
    public let last: Tensor
    /// [V] int32: the last event each row has taken.
    public let marks: Tensor

    public init(events: Tensor, last: Tensor, marks: Tensor) {
        self.events = events
        self.last = last
        self.marks = marks
    }

    /// Zeroed, with room for so many events of a table of so many rows.
    public init(capacity: Int, rows: Int, on backend: any Backend) throws {
        events = try backend.makeTensor(shape: [capacity, Self.width])
        last = try backend.makeTensor(shape: [1], type: .int32)
        marks = try backend.makeTensor(shape: [rows], type: .int32)
        guard backend.holdsValues else { return }
        try backend.fill(events, with: 0)
        try backend.write([Int32(0)], to: last)
        try backend.write([Int32](repeating: 0, count: rows), to: marks)
    }
}

/// A table with all that Adam keeps of it; all [V, D], in place.
public struct AdamTable {
    public var weights: Tensor
    public var m: Tensor
    public var v: Tensor
    /// Moving average of the weights; nil where none is kept.
    public var average: Tensor?
    public var history: AdamHistory

    public init(weights: Tensor, m: Tensor, v: Tensor, average: Tensor? = nil, history: AdamHistory) {
        self.weights = weights
        self.m = m
        self.v = v
        self.average = average
        self.history = history
    }
}

/// One call for some rows of a table.
///
/// Each row takes, with gradient 0, the events after its mark up to `history.last`, in the float operations of `adam` and
/// `average`, so that it holds the very bits it would hold if it had taken each when it happened. With `gradients` it then
/// takes `step` as event `number`, unless the step's fault does not hold 0. Its mark follows.
///
/// Without `rows` all rows take what they have not taken, and the history begins anew: `last` and all marks become 0.
public struct AdamRowsPass {
    /// β₁, β₂ and ε of all events; the whole step where there are gradients.
    public var step: AdamStep
    public var table: AdamTable
    /// [U] int32, distinct; nil = all rows.
    public var rows: Tensor?
    /// [U, D] of `rows`; nil only brings them up to date.
    public var gradients: Tensor?
    /// The event that the step with gradients is.
    public var number: Int
    /// From this event on the updates of a row that gets no gradient only shrink (`AdamStep.shrinks`), so that a device may
    /// leave out those that can no longer change a weight.
    public var calmFrom: Int

    public init(_ step: AdamStep, _ table: AdamTable, rows: Tensor?, gradients: Tensor? = nil, number: Int = 0, calmFrom: Int) {
        self.step = step
        self.table = table
        self.rows = rows
        self.gradients = gradients
        self.number = number
        self.calmFrom = calmFrom
    }

    /// An update u of a weight w can no longer change it, nor can any later one, from an event after `calmFrom` on at which
    /// |u| · `reach` ≤ |w| and |w| ≥ `smallest`, or where m is 0 (Documentation/Numerics.md).
    public static let reach = 0x1p26
    public static let smallest = 0x1p-20
}

extension AdamStep {
    /// What the variants multiply m by, and what they multiply √v by, in Double.
    private var factors: (rate: Double, root: Double) {
        let correction1 = 1 - power(beta1, step), correction2 = (1 - power(beta2, step)).squareRoot()
        return variant == .pytorch ? (learningRate / correction1, 1 / correction2) : (learningRate * correction2 / correction1, 1)
    }

    /// Whether every update of a weight that gets no gradient is smaller than in `previous`, relative to the weight and with
    /// room for all roundings: m shrinks by β₁, the divisor by no more than √β₂ and the change of the bias correction, the
    /// weight by its decay.
    public func shrinks(after previous: AdamStep) -> Bool {
        let now = factors, before = previous.factors
        let kept = 1 - learningRate * weightDecay
        // Limits that keep numbers below float32's normal range from mattering.
        guard kept >= 1 - 0x1p-7, kept <= 1, (0...1024).contains(now.rate), now.root > 0, epsilon >= 1e-12 * max(1, now.root),
              before.rate > 0 else { return false }
        let divisor = min(1, beta2.squareRoot() * now.root / before.root)
        return beta1 * now.rate / before.rate <= 0.999 * kept * divisor
    }

    /// Whether it changes weights that have never had a gradient.
    public var decays: Bool { weightDecay != 0 }
}

/// By squaring, exact enough for comparisons: the core imports no mathematics.
private func power(_ base: Double, _ exponent: Int) -> Double {
    var result = 1.0, factor = base, left = exponent
    while left > 0 {
        if left & 1 == 1 { result *= factor }
        factor *= factor
        left >>= 1
    }
    return result
}
