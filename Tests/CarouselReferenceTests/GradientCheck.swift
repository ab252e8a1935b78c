import CarouselCore
import CarouselReference
import Testing

/// Named values a loss depends on.
typealias Values = [String: [Double]]

/// Numbers in −scale … scale, the same in every run.
func randomValues(_ count: Int, scale: Double = 1, _ generator: inout SeededGenerator) -> [Double] {
    (0..<count).map { _ in scale * (2 * generator.uniform() - 1) }
}

/// Compares `gradients` with central differences of `loss` at `values`, tensor by tensor.
///
/// With a step of 1e-5 the truncation error is about 1e-10 and the rounding error about 1e-11 of the loss, so
/// 1e-7 relative leaves room and still finds any wrong term. Where a function has kinks (relu, hard sigmoid,
/// maximum) the seeds are such that no argument lies within a step of one.
func expectGradients(_ gradients: Values, of loss: (Values) throws -> Double, at values: Values,
                     sourceLocation: SourceLocation = #_sourceLocation) throws {
    let step = 1e-5
    for (name, gradient) in gradients.sorted(by: { $0.key < $1.key }) {
        let count = try #require(values[name]?.count, sourceLocation: sourceLocation)
        #expect(gradient.count == count, "\(name)", sourceLocation: sourceLocation)
        var worst = 0.0, largest = 0.0, place = 0
        for i in 0..<count {
            var moved = values
            moved[name]![i] += step
            let above = try loss(moved)
            moved[name]![i] -= 2 * step
            let below = try loss(moved)
            let difference = (above - below) / (2 * step)
            largest = max(largest, abs(difference))
            let error = abs(gradient[i] - difference)
            if !(error <= worst) { (worst, place) = (error, i) }
        }
        #expect(worst <= 1e-7 * max(largest, 1e-3), "d\(name)[\(place)] is off by \(worst), largest \(largest)",
                sourceLocation: sourceLocation)
    }
}

/// Σ a·b.
func inner(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
