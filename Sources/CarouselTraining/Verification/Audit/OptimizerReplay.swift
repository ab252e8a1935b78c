import CarouselCore
import CarouselNN

/// What a device's training step started from.
struct StepState {
    var weights: [Double]
    /// Before clipping.
    var gradients: [Double]
    var moments: [String: [Double]]
    /// The device's norm of the gradients.
    var norm: Double
}

/// Repeats clipping and update of each step of a device in Double, from the device's own numbers.
///
/// Adam divides by √v, so a gradient near 0 decides by its last bit in which direction a weight moves: comparing
/// weights that grew from different roundings says nothing about the optimizer. From the same gradients and moments
/// every element must agree to a few roundings.
final class OptimizerReplay {
    private let store: ParameterStore
    private let optimizer: Optimizer
    private let learningRate: Double
    private let meaning: ParameterMeaning
    private let clips: Bool
    private var order: [String] = []
    private var worst: [String: AuditTensor] = [:]

    /// - Parameter oracle: a model on the reference whose weights and gradients are overwritten.
    init(_ audited: AuditCase, oracle: AuditSubject, meaning: ParameterMeaning) throws {
        store = oracle.model.store
        optimizer = try Optimizer(audited.training.optimizer, clipping: audited.training.clipping, store: store)
        clips = audited.training.clipping != ClippingConfiguration()
        learningRate = oracle.learningRate
        self.meaning = meaning
    }

    /// The results so far, each the worst over the steps.
    var tensors: [AuditTensor] { order.compactMap { worst[$0] } }

    /// Compares one step: what the device made of `state`.
    func examine(_ state: StepState, clipped: [Double], weights: [Double], moments: [String: [Double]]) throws {
        let backend = store.backend, number = optimizer.step + 1
        try backend.write(state.weights, to: store.weights)
        try backend.write(state.gradients, to: store.gradients)
        for (name, values) in state.moments { if let moment = try optimizer.moments[name] { try backend.write(values, to: moment) } }
        try optimizer.clip()
        let norm = try optimizer.gradientNorm()
        let normMeasure = AuditMeasure([state.norm], [norm], floor: 1e-12)
        note(.clipping, "gradient norm", normMeasure, AuditTolerance.elementwise, "step \(number)", state.norm, norm)
        if clips {
            let expected = try backend.readDoubles(store.gradients)
            for parameter in store.parameters {
                let range = parameter.offset ..< parameter.offset + parameter.shape.count
                let measure = AuditMeasure(clipped, expected, in: range, blocks: meaning.gates(of: parameter), floor: 1e-30)
                note(.clipping, parameter.name, measure, AuditTolerance.elementwise,
                     "step \(number), " + meaning.describe(parameter, measure.index), clipped[range.lowerBound + measure.index],
                     expected[range.lowerBound + measure.index])
            }
        }
        try backend.write(clipped, to: store.gradients)
        try optimizer.update(learningRate: learningRate)
        let updated = try backend.readDoubles(store.weights)
        for parameter in store.parameters { compareUpdate(parameter, state.weights, weights, updated, number) }
        for (name, moment) in try optimizer.moments.sorted(by: { $0.key < $1.key }) {
            guard let got = moments[name] else { continue }
            let expected = try backend.readDoubles(moment)
            // The whole buffer covers what lies between two parameters; each parameter then counts by its own size.
            compareMoment(name, got, expected, state.moments[name], nil, number)
            for parameter in store.parameters { compareMoment(name, got, expected, state.moments[name], parameter, number) }
        }
    }

    /// A moment relative to the largest value it has in `parameter` (nil = anywhere) before or after the step: where the two
    /// terms of the new value cancel, their roundings stay.
    private func compareMoment(_ name: String, _ got: [Double], _ expected: [Double], _ before: [Double]?, _ parameter: Parameter?, _ number: Int) {
        let range = parameter.map { $0.offset ..< $0.offset + $0.shape.count } ?? expected.indices
        // Squares of small gradients leave float32's range at the bottom; they weigh nothing beside ε².
        let floor = before.map { before in range.reduce(1e-30) { max($0, abs(before[$1])) } } ?? 1e-30
        let measure = AuditMeasure(got, expected, in: range, floor: floor)
        let at = range.lowerBound + measure.index
        note(.moment, name, measure, AuditTolerance.elementwise, place(at, number), got[at], expected[at])
    }

    /// The change of a weight, relative to the largest change in its tensor; the stored sum is rounded to float32.
    private func compareUpdate(_ parameter: Parameter, _ before: [Double], _ got: [Double], _ expected: [Double], _ number: Int) {
        var change = 0.0, size = 0.0
        let range = parameter.offset ..< parameter.offset + parameter.shape.count
        for i in range {
            change = max(change, abs(expected[i] - before[i]))
            size = max(size, abs(expected[i]))
        }
        var measure = AuditMeasure(range.map { got[$0] - before[$0] }, range.map { expected[$0] - before[$0] }, floor: 1e-30)
        // Without any change the scale is that of the weights themselves.
        if change == 0 { measure = AuditMeasure(got, expected, in: range, floor: 1e-30) }
        let tolerance = change == 0 ? 0 : AuditTolerance.update + AuditTolerance.storage * size / change
        let at = range.lowerBound + measure.index
        note(.update, parameter.name, measure, tolerance, "step \(number), " + meaning.describe(parameter, measure.index), got[at], expected[at])
    }

    /// Keeps a result if it uses up more of its tolerance than the one before.
    private func note(_ kind: AuditTensor.Kind, _ name: String, _ measure: AuditMeasure, _ tolerance: Double, _ place: String,
                      _ got: Double, _ expected: Double) {
        let tensor = AuditTensor(kind: kind, name: name, maximum: measure.maximum, rms: measure.rms, tolerance: tolerance, worst: place,
                                 got: got, expected: expected, verdict: measure.maximum <= tolerance ? .passed : .failed)
        let key = "\(kind.rawValue) \(name)"
        guard let old = worst[key] else {
            order.append(key)
            worst[key] = tensor
            return
        }
        if tensor.share > old.share { worst[key] = tensor }
    }

    private func place(_ index: Int, _ number: Int) -> String {
        guard let parameter = store.parameters.last(where: { $0.offset <= index }), index < parameter.offset + parameter.shape.count else {
            return "step \(number), between two parameters"
        }
        return "step \(number), \(parameter.name): " + meaning.describe(parameter, index - parameter.offset)
    }
}
