import CarouselCore
import Foundation

/// One operation at one size, as data.
public enum OperationCase: Sendable {
    /// c [M, N] = op(a) op(b) with K terms.
    case product(m: Int, n: Int, k: Int, transposeA: Bool, transposeB: Bool)
    /// N rows of a table [V, D].
    case gather(rows: Int, width: Int, vocabulary: Int)
    /// N rows of width D, summed per distinct token of V.
    case segmentSums(rows: Int, width: Int, vocabulary: Int)
    /// Losses and gradients of B rows of C classes.
    case crossEntropy(rows: Int, classes: Int)
    /// One pass over so many weights.
    case adam(count: Int)
    case norm(count: Int)

    /// NN, NT and TN of one size: what forward passes, input gradients and weight gradients are made of.
    public static func products(m: Int, n: Int, k: Int) -> [OperationCase] {
        [(false, false), (false, true), (true, false)].map { .product(m: m, n: n, k: k, transposeA: $0, transposeB: $1) }
    }

    /// Names the row in comparisons.
    public var key: String {
        switch self {
        case .product(let m, let n, let k, let transposeA, let transposeB):
            "product \(transposeA ? "T" : "N")\(transposeB ? "T" : "N") M\(m) N\(n) K\(k)"
        case .gather(let rows, let width, let vocabulary): "gather N\(rows) D\(width) V\(vocabulary)"
        case .segmentSums(let rows, let width, let vocabulary): "segment sums N\(rows) D\(width) V\(vocabulary)"
        case .crossEntropy(let rows, let classes): "softmax cross entropy B\(rows) C\(classes)"
        case .adam(let count): "Adam \(count) weights"
        case .norm(let count): "squared norm \(count) values"
        }
    }

    /// Floating-point operations; nil where memory is what counts.
    var operations: Double? {
        guard case .product(let m, let n, let k, _, _) = self else { return nil }
        return 2 * Double(m) * Double(n) * Double(k)
    }

    /// Bytes the operation reads and writes, rows that are read several times as often as they are read; nil where arithmetic is
    /// what counts.
    var traffic: Double? {
        switch self {
        case .product: nil
        case .gather(let rows, let width, _), .segmentSums(let rows, let width, _): 8 * Double(rows) * Double(width)
        case .crossEntropy(let rows, let classes): 8 * Double(rows) * Double(classes)
        case .adam(let count): 28 * Double(count)
        case .norm(let count): 4 * Double(count)
        }
    }

    /// Makes the operands and gives the operation.
    func make(on backend: any Backend) throws -> () throws -> Void {
        func tensor(_ shape: Shape, _ seed: UInt64) throws -> Tensor { try BenchValues.uniform(shape, seed: seed, on: backend) }
        switch self {
        case .product(let m, let n, let k, let transposeA, let transposeB):
            let product = MatrixProduct(try tensor(transposeA ? [k, m] : [m, k], 1), transposeA: transposeA,
                                        try tensor(transposeB ? [n, k] : [k, n], 2), transposeB: transposeB,
                                        into: try backend.makeTensor(shape: [m, n]))
            return { try backend.multiply(product) }
        case .gather(let rows, let width, let vocabulary):
            let table = try tensor([vocabulary, width], 1), y = try backend.makeTensor(shape: [rows, width])
            let tokens = try backend.makeTensor(BenchValues.tokens(rows, vocabulary: vocabulary), shape: [rows])
            return { try backend.gather(table, rows: tokens, into: y) }
        case .segmentSums(let rows, let width, let vocabulary):
            let lists = RowIndexLists(BenchValues.tokens(rows, vocabulary: vocabulary))
            let values = try tensor([rows, width], 1), index = try RowIndex(lists, on: backend)
            let sums = try backend.makeTensor(shape: [index.distinctCount, width])
            return { try backend.segmentSums(of: values, index: index, into: sums) }
        case .crossEntropy(let rows, let classes):
            let labels = try backend.makeTensor((0..<rows).map { Int32($0 % classes) }, shape: [rows])
            let loss = CrossEntropy(.softmax, logits: try tensor([rows, classes], 1), labels: labels, scale: 1 / Double(rows),
                                    losses: try backend.makeTensor(shape: [rows]), dLogits: try backend.makeTensor(shape: [rows, classes]))
            return { try backend.crossEntropy(loss) }
        case .adam(let count):
            let weights = try tensor([count], 1), gradients = try tensor([count], 2)
            let m = try tensor([count], 3), v = try backend.makeTensor(shape: [count])
            try backend.fill(v, with: 1)
            let step = AdamStep(learningRate: 1e-6, epsilon: 1e-8, variant: .pytorch, step: 100)
            return { try backend.adam(step, weights: weights, gradients: gradients, m: m, v: v) }
        case .norm(let count):
            let x = try tensor([count], 1), sum = try backend.makeTensor(shape: [1])
            return { try backend.squaredNorm(of: x, into: sum, accumulate: false) }
        }
    }
}

/// Numbers for what is measured: of usual size, and the same in every run.
enum BenchValues {
    /// U(−1, 1)
    static func uniform(_ shape: Shape, seed: UInt64, on backend: any Backend) throws -> Tensor {
        let tensor = try backend.makeTensor(shape: shape)
        guard backend.holdsValues else { return tensor }
        var generator = SeededGenerator(seed: seed, purpose: 0x6265_6E63)
        try backend.write((0..<shape.count).map { _ in Float(2 * generator.uniform() - 1) }, to: tensor)
        return tensor
    }

    /// Tokens as often as in a text: the n-th most frequent about 1/n times as often as the first (Zipf 1935).
    static func tokens(_ count: Int, vocabulary: Int) -> [Int32] {
        var generator = SeededGenerator(seed: 1, purpose: 0x7A69_7066)
        let size = Double(vocabulary)
        return (0..<count).map { _ in Int32(min(size - 1, pow(size, generator.uniform()) - 1)) }
    }
}
