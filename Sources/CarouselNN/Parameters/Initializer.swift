import CarouselCore

/// How one parameter starts; seeded by the model's seed and the parameter's place.
public enum Initializer: Sendable, Equatable {
    case zeros
    /// The LSTM's bias with 1 in the forget gate's slice (Jozefowicz et al. 2015), H values per gate.
    case forgetBias(hidden: Int)
    /// U(−limit, limit)
    case uniform(limit: Double)
    /// N(0, 1)
    case normal
    /// U(±√(6 / (fan-in + fan-out))), Glorot & Bengio 2010.
    case glorotUniform(fanIn: Int, fanOut: Int)
    /// Rows [G·H, R]: the R columns are orthonormal (Saxe et al. 2014), as Keras starts a recurrent kernel.
    case orthogonal(rows: Int, columns: Int)

    /// `count` values.
    public func values(count: Int, generator: inout SeededGenerator) -> [Double] {
        switch self {
        case .zeros:
            return [Double](repeating: 0, count: count)
        case .forgetBias(let hidden):
            return (0..<count).map { $0 / hidden == 1 ? 1 : 0 }
        case .uniform(let limit):
            return (0..<count).map { _ in (2 * generator.uniform() - 1) * limit }
        case .normal:
            return (0..<count).map { _ in generator.normal() }
        case .glorotUniform(let fanIn, let fanOut):
            let limit = (6 / Double(fanIn + fanOut)).squareRoot()
            return (0..<count).map { _ in (2 * generator.uniform() - 1) * limit }
        case .orthogonal(let rows, let columns):
            return Self.orthogonal(rows: rows, columns: columns, generator: &generator)
        }
    }

    /// A row-major [rows, columns] matrix whose shorter side's vectors are orthonormal: Gram–Schmidt,
    /// applied twice for accuracy, on normal vectors. Vectors are padded to whole registers with zeros.
    static func orthogonal(rows: Int, columns: Int, generator: inout SeededGenerator) -> [Double] {
        let count = min(rows, columns), length = max(rows, columns)
        let lanes = (length + 7) / 8
        var basis = [SIMD8<Double>](repeating: .zero, count: count * lanes)
        var found = 0
        while found < count {
            let drawn = (0..<length).map { _ in generator.normal() }
            let isUsable = basis.withUnsafeMutableBufferPointer { basis in
                let vector = UnsafeMutableBufferPointer(rebasing: basis[found * lanes ..< (found + 1) * lanes])
                for i in 0 ..< lanes * 8 { vector[i / 8][i % 8] = i < length ? drawn[i] : 0 }
                for _ in 0..<2 {
                    for other in 0..<found {
                        let unit = UnsafeMutableBufferPointer(rebasing: basis[other * lanes ..< (other + 1) * lanes])
                        var dot = SIMD8<Double>.zero
                        for i in 0..<lanes { dot.addProduct(vector[i], unit[i]) }
                        let share = SIMD8<Double>(repeating: dot.sum())
                        for i in 0..<lanes { vector[i].addProduct(-share, unit[i]) }
                    }
                }
                let norm = vector.reduce(0) { $0 + ($1 * $1).sum() }.squareRoot()
                guard norm > 1e-6 else { return false }
                for i in 0..<lanes { vector[i] /= norm }
                return true
            }
            if isUsable { found += 1 }
        }
        var result = [Double](repeating: 0, count: rows * columns)
        for j in 0..<count {
            for i in 0..<length {
                result[rows >= columns ? i * columns + j : j * columns + i] = basis[j * lanes + i / 8][i % 8]
            }
        }
        return result
    }
}
