import CarouselCore
import CarouselOpenCL
import Foundation
import Testing

@Suite("Operations against Double", .serialized, .enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason))
struct OperationTests {
    static func numbers(_ count: Int, seed: UInt64 = 5) -> [Double] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Double(Float(random.normal())) }
    }

    /// More rows than a launch takes at once on some GPUs.
    @Test(arguments: OpenCLBackend.KernelFamily.allCases)
    func manyRows(family: OpenCLBackend.KernelFamily) throws {
        let backend = try DeviceSupport.backend(family)
        for (rows, width) in [(65_535, 9), (65_536, 9), (140_000, 9), (65_535 * 16 + 1, 1)] {
            let x = (0..<rows * width).map { Float($0 % 251) }
            let target = try backend.makeTensor([Float](repeating: 1, count: rows * width), shape: [rows, width])
            try backend.copyColumns(try backend.makeTensor(x, shape: [rows, width]), from: 0, to: target, at: 0, width: width,
                                    scale: 2, accumulate: true)
            #expect(try backend.readFloats(target) == x.map { 1 + 2 * $0 }, "\(rows) rows of \(width)")
        }
    }

    /// Transposed and plain operands, edges of tiles, one row, one column, a long and an empty K.
    @Test(arguments: OpenCLBackend.KernelFamily.allCases)
    func products(family: OpenCLBackend.KernelFamily) throws {
        let backend = try DeviceSupport.backend(family)
        let shapes = [(1, 1, 1), (3, 5, 7), (64, 64, 64), (65, 33, 130), (20, 2, 1500), (1, 40, 0), (8, 100, 16)]
        for (m, n, k) in shapes {
            for variant in 0..<8 {
                let (left, right, accumulate) = (variant & 1 != 0, variant & 2 != 0, variant & 4 != 0)
                let a = Self.numbers(m * k), b = Self.numbers(n * k, seed: 6), bias = Self.numbers(n, seed: 7)
                let before = Self.numbers(m * n, seed: 8)
                var wanted = [Double](repeating: 0, count: m * n)
                for i in 0..<m {
                    for j in 0..<n {
                        wanted[i * n + j] = (0..<k).reduce(bias[j] + (accumulate ? before[i * n + j] : 0)) {
                            $0 + (left ? a[$1 * m + i] : a[i * k + $1]) * (right ? b[j * k + $1] : b[$1 * n + j])
                        }
                    }
                }
                let c = try backend.makeTensor(before, shape: [m, n])
                try backend.multiply(MatrixProduct(
                    try backend.makeTensor(a, shape: left ? [k, m] : [m, k]), transposeA: left,
                    try backend.makeTensor(b, shape: right ? [n, k] : [k, n]), transposeB: right,
                    bias: try backend.makeTensor(bias, shape: [n]), into: c, accumulate: accumulate))
                #expect(relativeError(try backend.readDoubles(c), wanted) < 1e-5, "\(m) x \(n) x \(k), variant \(variant)")
            }
        }
    }

    @Test(arguments: OpenCLBackend.KernelFamily.allCases)
    func sums(family: OpenCLBackend.KernelFamily) throws {
        let backend = try DeviceSupport.backend(family)
        for (rows, columns) in [(1, 3), (64, 1), (65, 7), (5000, 3), (0, 4), (130, 64), (70, 150)] {
            let x = Self.numbers(rows * columns)
            let sums = try backend.makeTensor([Double](repeating: 1, count: columns), shape: [columns])
            try backend.columnSums(of: try backend.makeTensor(x, shape: [rows, columns]), into: sums, accumulate: true)
            let wanted = (0..<columns).map { j in (0..<rows).reduce(1) { $0 + x[$1 * columns + j] } }
            #expect(relativeError(try backend.readDoubles(sums), wanted) < 1e-5, "\(rows) x \(columns)")
        }
        for count in [0, 1, 1000, 5000, 300_000] {
            let x = Self.numbers(count)
            let sum = try backend.makeTensor([2.0], shape: [1])
            try backend.squaredNorm(of: try backend.makeTensor(x, shape: [count]), into: sum, accumulate: true)
            #expect(relativeError(try backend.readDoubles(sum), [x.reduce(2) { $0 + $1 * $1 }]) < 1e-5, "\(count)")
        }
    }

    @Test(arguments: OpenCLBackend.KernelFamily.allCases)
    func activations(family: OpenCLBackend.KernelFamily) throws {
        let backend = try DeviceSupport.backend(family)
        let x = (-4000...4000).map { Double($0) / 40 }
        for activation in Activation.allCases {
            let y = try backend.makeTensor(x, shape: [x.count])
            try backend.activate(activation, y, into: y)
            let wanted = x.map { value -> Double in
                switch activation {
                case .linear: value
                case .tanh: Foundation.tanh(value)
                case .sigmoid: 1 / (1 + Foundation.exp(-value))
                case .relu: max(value, 0)
                case .hardSigmoid: min(max(value + 3, 0), 6) / 6
                }
            }
            let results = try backend.readDoubles(y)
            #expect(zip(results, wanted).allSatisfy { abs($0 - $1) <= 2e-7 * max(1, abs($1)) }, "\(activation)")
        }
        let nan = try backend.makeTensor([Float.nan], shape: [1])
        for activation in Activation.allCases {
            let y = try backend.makeTensor(shape: [1])
            try backend.activate(activation, nan, into: y)
            #expect(try backend.readFloats(y)[0].isNaN, "\(activation) hides NaN")
        }
    }

    @Test(arguments: OpenCLBackend.KernelFamily.allCases)
    func dropoutDrawsTheGeneratorsBits(family: OpenCLBackend.KernelFamily) throws {
        let backend = try DeviceSupport.backend(family)
        let rows: [Int32] = [2, 0, 2]
        let mask = DropoutMask(rate: 0.3, key: 77, rows: try backend.makeTensor(rows, shape: [3]))
        let x = try backend.makeTensor([Float](repeating: 1, count: 3 * 50), shape: [3, 50])
        try backend.dropout(x, into: x, mask: mask)
        let values = try backend.readFloats(x)
        for (m, row) in rows.enumerated() {
            for j in 0..<50 {
                let kept = RandomGenerator.bits(key: 77, counter: UInt64(row) * 50 + UInt64(j)).0 >= mask.threshold
                #expect(values[m * 50 + j] == (kept ? Float(1 / 0.7) : 0))
            }
        }
    }

    @Test func crossEntropyOfExtremeLogits() throws {
        let backend = try DeviceSupport.backend(.cpu)
        let logits = try backend.makeTensor([Float(1000), -1000, 0, 0, 3, 1], shape: [3, 2])
        let labels = try backend.makeTensor([Int32(0), 1, 1], shape: [3])
        let losses = try backend.makeTensor(shape: [3]), gradient = try backend.makeTensor(shape: [3, 2])
        try backend.crossEntropy(CrossEntropy(.softmax, logits: logits, labels: labels, scale: 1, losses: losses,
                                              dLogits: gradient))
        let wanted: [Double] = [0, Foundation.log(2.0), Foundation.log(1 + Foundation.exp(2.0))]
        #expect(relativeError(try backend.readDoubles(losses), wanted) < 1e-6)
        let p: Double = 1 / (1 + Foundation.exp(-2.0))
        #expect(relativeError(try backend.readDoubles(gradient), [0, 0, 0.5, -0.5, p, -p]) < 1e-6)
    }

    @Test func poolingKeepsTheEarliestMaximum() throws {
        let backend = try DeviceSupport.backend(.cpu)
        let layout = try PackedLayout(SequenceLayout(lengths: [3, 1, 0]), on: backend)
        let x = try backend.makeTensor([Float(-2), 5, -1, -1], shape: [4, 1])
        let y = try backend.makeTensor(shape: [3, 1]), argmax = try backend.makeTensor(shape: [3, 1], type: .int32)
        try backend.pool(.max, x, layout: layout, into: y, argmax: argmax)
        #expect(try backend.readFloats(y) == [-1, 5, 0])
        #expect(try backend.readIntegers(argmax) == [2, 1, -1])
        let dx = try backend.makeTensor([Float](repeating: 1, count: 4), shape: [4, 1])
        let dy = try backend.makeTensor([Float(10), 20, 30], shape: [3, 1])
        try backend.poolBackward(.max, dy: dy, layout: layout, argmax: argmax, into: dx)
        #expect(try backend.readFloats(dx) == [1, 21, 11, 1])
        try backend.pool(.mean, x, layout: layout, into: y, argmax: nil)
        #expect(relativeError(try backend.readDoubles(y), [-4.0 / 3, 5, 0]) < 1e-6)
    }

    @Test func optimizersFollowTheirFormulas() throws {
        let backend = try DeviceSupport.backend(.cpu)
        for variant in [OptimizerVariant.keras, .pytorch] {
            let w = try backend.makeTensor([Float(1)], shape: [1]), g = try backend.makeTensor([Float(0.5)], shape: [1])
            let m = try backend.makeTensor([Float(0.1)], shape: [1]), v = try backend.makeTensor([Float(0.2)], shape: [1])
            try backend.adam(AdamStep(learningRate: 0.01, epsilon: 1e-3, weightDecay: 0.1, variant: variant, step: 3),
                             weights: w, gradients: g, m: m, v: v)
            let mean = 0.9 * 0.1 + 0.1 * 0.5, square = 0.999 * 0.2 + 0.001 * 0.25
            let c1 = 1 - pow(0.9, 3.0), c2 = 1 - pow(0.999, 3.0)
            let change = variant == .keras ? 0.01 * c2.squareRoot() / c1 * mean / (square.squareRoot() + 1e-3)
                : 0.01 / c1 * mean / (square.squareRoot() / c2.squareRoot() + 1e-3)
            #expect(relativeError(try backend.readDoubles(w), [1 - 0.01 * 0.1 - change]) < 1e-6, "\(variant)")
        }
    }
}
