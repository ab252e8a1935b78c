import CarouselCore
import CarouselNN

/// One parameter's gradient in the reference against central differences of the loss.
public struct AuditDifference: Codable, Sendable {
    public var name: String
    /// Entries whose derivative was taken.
    public var samples: Int
    /// Entries, and the direction, that were left out because a kink lay between the two points.
    public var skipped: Int
    /// Largest relative error of an entry.
    public var maximum: Double
    /// Relative error of the derivative along one random direction through all entries; nil when left out.
    public var direction: Double?
    /// What is allowed for both.
    public var tolerance: Double
    /// The worst entry in words.
    public var worst: String

    /// Whether both are within the tolerance and at least one number was compared.
    public var passed: Bool { maximum <= tolerance && direction ?? 0 <= tolerance && (samples > 0 || direction != nil) }
}

extension Audit {
    /// Central differences in Double on `limits.samples` entries of every parameter (at least one of every gate) and
    /// along one random direction each.
    ///
    /// Where a kink lies between the two points, the slopes to the left and to the right differ, and the central
    /// difference is off by at most half of that. A sample whose error is no larger says nothing and is left out.
    public func differences() throws -> [AuditDifference] {
        guard limits.samples > 0 else { return [] }
        let store = oracle.model.store, backend = store.backend
        try backend.write(start, to: store.weights)
        let gradients = try oracle.pass(step: 0).gradients
        let middle = try oracle.meanLoss()
        let floor = max(1e-12, AuditTolerance.gradientFloor * gradients.reduce(0) { max($0, abs($1)) })
        var result: [AuditDifference] = []
        for (number, parameter) in store.parameters.enumerated() {
            var generator = SeededGenerator(seed: audited.training.seed, purpose: 0x6669_6E00 + UInt64(number))
            let range = parameter.offset ..< parameter.offset + parameter.shape.count
            let scale = gradients[range].reduce(floor) { max($0, abs($1)) }
            var difference = AuditDifference(name: parameter.name, samples: 0, skipped: 0, maximum: 0, direction: nil,
                                             tolerance: AuditTolerance.differences, worst: "")
            for index in entries(of: parameter, gradients, &generator) {
                let view = Tensor(buffer: store.weights.buffer, offset: store.weights.offset + parameter.offset + index, shape: [1])
                let value = start[parameter.offset + index], h = 1e-5
                try backend.write([value + h], to: view)
                let above = try oracle.meanLoss()
                try backend.write([value - h], to: view)
                let below = try oracle.meanLoss()
                try backend.write([value], to: view)
                guard let error = error(gradients[parameter.offset + index], above, middle, below, h, scale) else {
                    difference.skipped += 1
                    continue
                }
                difference.samples += 1
                if error >= difference.maximum { (difference.maximum, difference.worst) = (error, meaning.describe(parameter, index)) }
            }
            difference.direction = try direction(parameter, number, gradients, middle, floor, &generator)
            if difference.direction == nil { difference.skipped += 1 }
            result.append(difference)
        }
        return result
    }

    /// |difference quotient − gradient| / scale, infinite where it is not a number; nil where it is too large and a
    /// kink accounts for it.
    private func error(_ gradient: Double, _ above: Double, _ middle: Double, _ below: Double, _ h: Double, _ scale: Double) -> Double? {
        let difference = abs((above - below) / (2 * h) - gradient)
        guard difference.isFinite else { return .infinity }
        let isExplained = kinkDistance.isFinite && difference <= 0.5 * abs(above - 2 * middle + below) / h
        return difference > AuditTolerance.differences * scale && isExplained ? nil : difference / scale
    }

    private func direction(_ parameter: Parameter, _ number: Int, _ gradients: [Double], _ middle: Double, _ floor: Double,
                           _ generator: inout SeededGenerator) throws -> Double? {
        let store = oracle.model.store, backend = store.backend, view = store.weight(number), h = 1e-6
        let way = (0..<parameter.shape.count).map { _ in 2 * generator.uniform() - 1 }
        var slope = 0.0, norm = 0.0
        for i in way.indices {
            slope += way[i] * gradients[parameter.offset + i]
            norm += gradients[parameter.offset + i] * gradients[parameter.offset + i]
        }
        try backend.write(way.indices.map { start[parameter.offset + $0] + h * way[$0] }, to: view)
        let above = try oracle.meanLoss()
        try backend.write(way.indices.map { start[parameter.offset + $0] - h * way[$0] }, to: view)
        let below = try oracle.meanLoss()
        try backend.write(Array(start[parameter.offset ..< parameter.offset + way.count]), to: view)
        return error(slope, above, middle, below, h, max(norm.squareRoot(), floor))
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
            }.max { abs(gradients[parameter.offset + $0]) < abs(gradients[parameter.offset + $1]) } ?? 0
        }
        return Array(Set(chosen)).sorted()
    }
}
