import CarouselCore
import CarouselReference
import Testing

@Suite struct OperationGradientTests {
    let backend = ReferenceBackend()

    func tensor(_ values: [Double], _ shape: Shape) throws -> Tensor { try backend.makeTensor(values, shape: shape) }

    /// y = op(a)·op(b) + bias; da and db are products again, dbias column sums.
    @Test(arguments: [(false, false), (false, true), (true, false), (true, true)])
    func products(_ transposed: (Bool, Bool)) throws {
        let (ta, tb) = transposed
        let m = 3, k = 4, n = 5
        let shapeA: Shape = ta ? [k, m] : [m, k], shapeB: Shape = tb ? [n, k] : [k, n]
        var generator = SeededGenerator(seed: 3)
        let values: Values = ["a": randomValues(m * k, &generator), "b": randomValues(k * n, &generator),
                              "bias": randomValues(n, &generator)]
        let dy = randomValues(m * n, &generator)
        func loss(_ v: Values) throws -> Double {
            let c = try backend.makeTensor(shape: [m, n])
            try backend.multiply(MatrixProduct(try tensor(v["a"]!, shapeA), transposeA: ta, try tensor(v["b"]!, shapeB),
                                               transposeB: tb, bias: try tensor(v["bias"]!, [n]), into: c))
            return inner(try backend.readDoubles(c), dy)
        }
        let a = try tensor(values["a"]!, shapeA), b = try tensor(values["b"]!, shapeB), g = try tensor(dy, [m, n])
        let da = try backend.makeTensor(shape: shapeA), db = try backend.makeTensor(shape: shapeB)
        let dBias = try backend.makeTensor(shape: [n])
        if ta {
            try backend.multiply(MatrixProduct(b, transposeA: tb, g, transposeB: true, into: da))
        } else {
            try backend.multiply(MatrixProduct(g, b, transposeB: !tb, into: da))
        }
        if tb {
            try backend.multiply(MatrixProduct(g, transposeA: true, a, transposeB: ta, into: db))
        } else {
            try backend.multiply(MatrixProduct(a, transposeA: !ta, g, into: db))
        }
        try backend.columnSums(of: g, into: dBias, accumulate: false)
        try expectGradients(["a": backend.readDoubles(da), "b": backend.readDoubles(db),
                             "bias": backend.readDoubles(dBias)], of: loss, at: values)
    }

    @Test(arguments: Activation.allCases)
    func activations(_ activation: Activation) throws {
        var generator = SeededGenerator(seed: 4)
        let values: Values = ["x": randomValues(40, scale: 4, &generator)]
        let dy = randomValues(40, &generator)
        func loss(_ v: Values) throws -> Double {
            let y = try backend.makeTensor(shape: [40])
            try backend.activate(activation, try tensor(v["x"]!, [40]), into: y)
            return inner(try backend.readDoubles(y), dy)
        }
        let y = try tensor(values["x"]!, [40]), g = try tensor(dy, [40])
        try backend.activate(activation, y, into: y)
        try backend.activateBackward(activation, y: y, dy: g, into: g)
        try expectGradients(["x": backend.readDoubles(g)], of: loss, at: values)
    }

    @Test(arguments: Pooling.allCases)
    func pooling(_ pooling: Pooling) throws {
        let layout = try PackedLayout(SequenceLayout(lengths: [5, 5, 2, 1, 0]), on: backend)
        let f = 3, rows = layout.layout.rows
        var generator = SeededGenerator(seed: 5)
        let values: Values = ["x": randomValues(rows * f, &generator)]
        let dy = randomValues(5 * f, &generator)
        let argmax = pooling == .max ? try backend.makeTensor(shape: [5, f], type: .int32) : nil
        func loss(_ v: Values) throws -> Double {
            let y = try backend.makeTensor(shape: [5, f])
            try backend.pool(pooling, try tensor(v["x"]!, [rows, f]), layout: layout, into: y, argmax: argmax)
            return inner(try backend.readDoubles(y), dy)
        }
        _ = try loss(values)
        let dx = try tensor([Double](repeating: 2, count: rows * f), [rows, f])
        try backend.poolBackward(pooling, dy: try tensor(dy, [5, f]), layout: layout, argmax: argmax, into: dx)
        if let argmax { #expect(try backend.readIntegers(argmax).suffix(f) == [-1, -1, -1]) }
        try expectGradients(["x": backend.readDoubles(dx).map { $0 - 2 }], of: loss, at: values)
    }

    @Test(arguments: [CrossEntropy.Kind.softmax, .sigmoid], [0.0, 0.1])
    func crossEntropy(_ kind: CrossEntropy.Kind, smoothing: Double) throws {
        let batch = 4, classes = kind == .softmax ? 3 : 1
        var generator = SeededGenerator(seed: 6)
        let values: Values = ["logits": randomValues(batch * classes, scale: 3, &generator)]
        let labels = try backend.makeTensor(kind == .softmax ? [2, 0, 1, 2] : [1, 0, 0, 1] as [Int32], shape: [batch])
        let weights = try tensor([1, 0.5, 2, 0.25], [batch])
        let losses = try backend.makeTensor(shape: [batch])
        func loss(_ v: Values) throws -> Double {
            try backend.crossEntropy(CrossEntropy(kind, logits: tensor(v["logits"]!, [batch, classes]), labels: labels,
                                                  weights: weights, labelSmoothing: smoothing, scale: 0.3,
                                                  losses: losses, dLogits: nil))
            return 0.3 * (try backend.readDoubles(losses)).reduce(0, +)
        }
        let gradient = try backend.makeTensor(shape: [batch, classes])
        try backend.crossEntropy(CrossEntropy(kind, logits: tensor(values["logits"]!, [batch, classes]), labels: labels,
                                              weights: weights, labelSmoothing: smoothing, scale: 0.3,
                                              losses: losses, dLogits: gradient))
        try expectGradients(["logits": backend.readDoubles(gradient)], of: loss, at: values)
    }

    /// Rows of a table are read by `gather`; the gradient is a segment sum scattered into the table.
    @Test func embedding() throws {
        let references: [Int32] = [4, 1, 4, 0, 4, 1], vocabulary = 6, d = 3
        var generator = SeededGenerator(seed: 7)
        let values: Values = ["table": randomValues(vocabulary * d, &generator)]
        let dy = randomValues(references.count * d, &generator)
        let rows = try backend.makeTensor(references, shape: [references.count])
        func loss(_ v: Values) throws -> Double {
            let y = try backend.makeTensor(shape: [references.count, d])
            try backend.gather(try tensor(v["table"]!, [vocabulary, d]), rows: rows, into: y)
            return inner(try backend.readDoubles(y), dy)
        }
        let index = try RowIndex(RowIndexLists(references), on: backend)
        let sums = try backend.makeTensor(shape: [index.distinctCount, d])
        let dTable = try tensor([Double](repeating: 1, count: vocabulary * d), [vocabulary, d])
        try backend.segmentSums(of: try tensor(dy, [references.count, d]), index: index, into: sums)
        try backend.scatterAdd(sums, rows: index.distinct, into: dTable)
        try expectGradients(["table": backend.readDoubles(dTable).map { $0 - 1 }], of: loss, at: values)
    }

    /// Dropout is linear with a diagonal matrix, so applying it to the gradient is its backward.
    @Test func dropoutFollowsTheGenerator() throws {
        let rows: [Int32] = [1, 0, 1], f = 50, rate = 0.3
        let mask = DropoutMask(rate: rate, key: 99, rows: try backend.makeTensor(rows, shape: [3]))
        let x = try tensor([Double](repeating: 1, count: 3 * f), [3, f])
        try backend.dropout(x, into: x, mask: mask)
        let y = try backend.readDoubles(x)
        for m in 0..<3 {
            for j in 0..<f {
                let kept = RandomGenerator.bits(key: 99, counter: UInt64(rows[m]) * UInt64(f) + UInt64(j)).0 >= mask.threshold
                #expect(y[m * f + j] == (kept ? 1 / (1 - rate) : 0))
            }
        }
        #expect(Array(y[0..<f]) == Array(y[2 * f ..< 3 * f]))
    }
}
