import CarouselCore
import CarouselNN

/// One parameter's gradient in the reference against central differences of the loss.
public struct AuditDifference: Codable, Sendable {
    public var name: String
    /// Entries whose derivative was taken.
    public var samples: Int
    /// Largest relative error of an entry.
    public var maximum: Double
    /// Relative error of the derivative along one random direction through all entries.
    public var direction: Double
    /// What is allowed for both.
    public var tolerance: Double
    /// The worst entry in words.
    public var worst: String

    public var passed: Bool { maximum <= tolerance && direction <= tolerance }
}

extension Audit {
    /// Central differences in Double on `limits.samples` entries of every parameter (at least one of every gate) and
    /// along one random direction each.
    ///
    /// Where a kink of relu, hard sigmoid or a maximum lies between the two points, the quotient is off. Then the points
    /// move closer: a kink is soon outside, while a wrong gradient stays wrong.
    public func differences() throws -> [AuditDifference] {
        // Rounded operands make steps of the loss, whose differences say nothing.
        guard limits.samples > 0, oracle.backend.precision == .float32 else { return [] }
        let store = oracle.model.store, backend = store.backend
        try backend.write(start, to: store.weights)
        let gradients = try oracle.pass(step: 0).gradients
        let floor = max(1e-12, AuditTolerance.gradientFloor * gradients.reduce(0) { max($0, abs($1)) })
        var result: [AuditDifference] = []
        for (number, parameter) in store.parameters.enumerated() {
            var generator = SeededGenerator(seed: audited.training.seed, purpose: 0x6669_6E00 + UInt64(number))
            let values = Array(gradients[parameter.offset ..< parameter.offset + parameter.shape.count])
            let scale = values.reduce(floor) { max($0, abs($1)) }
            var difference = AuditDifference(name: parameter.name, samples: 0, maximum: 0, direction: 0,
                                             tolerance: AuditTolerance.differences, worst: "")
            for index in entries(of: parameter, values, &generator) {
                let weights = try store.weights
                let view = Tensor(buffer: weights.buffer, offset: weights.offset + parameter.offset + index, shape: [1])
                let error = try error(of: values[index], along: [1], from: parameter.offset + index, in: view, step: 1e-5, scale: scale)
                difference.samples += 1
                if error >= difference.maximum { (difference.maximum, difference.worst) = (error, meaning.describe(parameter, index)) }
            }
            let way = values.map { _ in 2 * generator.uniform() - 1 }
            let slope = zip(way, values).reduce(0) { $0 + $1.0 * $1.1 }
            let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            difference.direction = try error(of: slope, along: way, from: parameter.offset, in: store.weight(number), step: 1e-6,
                                             scale: max(norm, floor))
            result.append(difference)
        }
        return result
    }

    /// |difference quotient − slope| / scale, with the closest points that are needed; infinite where it is no number.
    /// - Parameters:
    ///   - way: direction in the weights that `view` shows.
    ///   - first: where these weights begin in the flat buffer.
    private func error(of slope: Double, along way: [Double], from first: Int, in view: Tensor, step: Double, scale: Double) throws -> Double {
        let backend = oracle.backend
        func loss(_ h: Double) throws -> Double {
            try backend.write(way.indices.map { start[first + $0] + h * way[$0] }, to: view)
            return try oracle.meanLoss()
        }
        var smallest = Double.infinity
        for h in kinkDistance.isFinite ? [step, step / 8, step / 64] : [step] {
            let error = abs((try loss(h) - loss(-h)) / (2 * h) - slope) / scale
            if error < smallest { smallest = error }
            if smallest <= AuditTolerance.differences { break }
        }
        try backend.write(Array(start[first ..< first + way.count]), to: view)
        return smallest
    }

    /// Entries to sample: from every gate in turn, each the largest gradient of eight drawn at random; of an embedding
    /// only rows of the batch.
    private func entries(of parameter: Parameter, _ gradients: [Double], _ generator: inout SeededGenerator) -> [Int] {
        let gates = meaning.gates(of: parameter), count = parameter.shape.count
        guard count > 0 else { return [] }
        let size = count / gates
        let tokens = parameter.name == "embedding.weight" ? audited.tokens : []
        let chosen = (0 ..< max(limits.samples, gates)).map { sample in
            (0..<8).map { _ -> Int in
                if let token = tokens.randomElement(using: &generator), parameter.shape.rank == 2 {
                    return Int(token) * parameter.shape[1] + Int.random(in: 0 ..< parameter.shape[1], using: &generator)
                }
                return (sample % gates) * size + Int.random(in: 0..<size, using: &generator)
            }.max { abs(gradients[$0]) < abs(gradients[$1]) } ?? 0
        }
        return Array(Set(chosen)).sorted()
    }
}
