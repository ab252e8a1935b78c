import CarouselCore
@testable import CarouselCPU
import Testing

/// Products of awkward shapes against plain loops in Double, for every instruction set and with OpenBLAS.
@Suite struct MatrixTests {
    struct Case: Sendable, CustomStringConvertible {
        var m, n, k: Int
        var description: String { "\(m)x\(n)x\(k)" }
    }

    static let cases = [Case(m: 1, n: 1, k: 1), Case(m: 5, n: 7, k: 3), Case(m: 3, n: 4, k: 0), Case(m: 0, n: 3, k: 2),
                        Case(m: 64, n: 2, k: 128), Case(m: 7, n: 130, k: 300), Case(m: 130, n: 257, k: 64)]

    @Test(arguments: VectorMathTests.available, cases) func productsMatchPlainLoops(_ set: InstructionSet, _ c: Case) throws {
        for useBLAS in [true, false] {
            let backend = try CPUBackend(threads: 2, useBLAS: useBLAS, instructions: set)
            for (transposeA, transposeB) in [(false, false), (false, true), (true, false), (true, true)] {
                for accumulate in [false, true] {
                    var random = SeededGenerator(seed: 9)
                    func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.uniform() * 2 - 1) } }
                    let a = values(c.m * c.k), b = values(c.k * c.n), bias = values(c.n), start = values(c.m * c.n)
                    let target = try backend.makeTensor(accumulate ? start : start.map { _ in .nan }, shape: [c.m, c.n])
                    try backend.multiply(MatrixProduct(
                        backend.makeTensor(a, shape: transposeA ? [c.k, c.m] : [c.m, c.k]), transposeA: transposeA,
                        backend.makeTensor(b, shape: transposeB ? [c.n, c.k] : [c.k, c.n]), transposeB: transposeB,
                        bias: backend.makeTensor(bias, shape: [c.n]), into: target, accumulate: accumulate))
                    let result = try backend.readFloats(target)
                    var worst = 0.0
                    for i in 0..<c.m {
                        for j in 0..<c.n {
                            var sum = Double(bias[j]) + (accumulate ? Double(start[i * c.n + j]) : 0)
                            for k in 0..<c.k {
                                sum += Double(a[transposeA ? k * c.m + i : i * c.k + k])
                                    * Double(b[transposeB ? j * c.k + k : k * c.n + j])
                            }
                            let error = abs(Double(result[i * c.n + j]) - sum)
                            worst = error.isNaN ? .infinity : max(worst, error)
                        }
                    }
                    // k terms of size 1 with rounding errors that mostly cancel.
                    #expect(worst < 2e-5, "transposed \(transposeA) \(transposeB), accumulate \(accumulate), BLAS \(useBLAS)")
                }
            }
        }
    }

    /// The products of weight gradients, which read their wider operand where it lies, and the sums they give in passing.
    @Test(arguments: VectorMathTests.available, [Case(m: 40, n: 5, k: 400), Case(m: 5, n: 40, k: 400), Case(m: 70, n: 70, k: 2500),
                                                 Case(m: 1100, n: 3, k: 257), Case(m: 210, n: 200, k: 1600)])
    func longProductsMatchPlainLoops(_ set: InstructionSet, _ c: Case) throws {
        let backend = try CPUBackend(threads: 2, useBLAS: false, instructions: set)
        var random = SeededGenerator(seed: 11)
        func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.uniform() * 2 - 1) } }
        // Columns of a wider matrix, as the gates of one kind are.
        let pitch = c.m + 3, a = values(c.k * pitch), b = values(c.k * c.n), start = values(c.m * c.n), sumsBefore = values(c.m)
        let target = try backend.makeTensor(start, shape: [c.m, c.n]), sums = try backend.makeTensor(sumsBefore, shape: [c.m])
        let d = try backend.makeTensor(a, shape: [c.k, pitch]), x = try backend.makeTensor(b, shape: [c.k, c.n])
        try withExtendedLifetime((d, x)) {
            try backend.addWeightGradient(OperandRows(base: backend.floats(d), pitch: pitch), columns: c.m, rows: c.k,
                                          OperandRows(base: backend.floats(x), pitch: c.n), width: c.n,
                                          into: backend.floats(target), bIH: backend.floats(sums))
        }
        let result = try backend.readFloats(target), resultSums = try backend.readFloats(sums)
        var worst = 0.0
        for i in 0..<c.m {
            let column = (0..<c.k).map { Double(a[$0 * pitch + i]) }
            worst = max(worst, abs(Double(resultSums[i]) - column.reduce(Double(sumsBefore[i]), +)))
            for j in 0..<c.n {
                var sum = Double(start[i * c.n + j])
                for k in 0..<c.k { sum += column[k] * Double(b[k * c.n + j]) }
                worst = max(worst, abs(Double(result[i * c.n + j]) - sum))
            }
        }
        #expect(worst < 1e-4)
    }

    /// The processor's bfloat16 instruction, and two fused multiply-adds in its place; any number of threads.
    @Test(arguments: cases + [Case(m: 70, n: 70, k: 2500), Case(m: 210, n: 200, k: 1601), Case(m: 5, n: 40, k: 1100)])
    func bfloat16ProductsAreTheSameBits(_ c: Case) throws {
        var random = SeededGenerator(seed: 13)
        func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.uniform() * 2 - 1) } }
        let a = values(c.m * c.k), b = values(c.k * c.n)
        for (transposeA, transposeB) in [(false, false), (false, true), (true, false), (true, true)] {
            var results: [[UInt32]] = []
            for set in VectorMathTests.available where set != .plain {
                for threads in [1, 3] {
                    let backend = try CPUBackend(threads: threads, useBLAS: false, instructions: set, precision: .bfloat16)
                    let target = try backend.makeTensor(shape: [c.m, c.n])
                    try backend.multiply(MatrixProduct(
                        backend.makeTensor(a, shape: transposeA ? [c.k, c.m] : [c.m, c.k]), transposeA: transposeA,
                        backend.makeTensor(b, shape: transposeB ? [c.n, c.k] : [c.k, c.n]), transposeB: transposeB, into: target))
                    results.append(try backend.readFloats(target).map(\.bitPattern))
                }
            }
            for other in results.dropFirst() { #expect(other == results[0], "\(c), transposed \(transposeA) \(transposeB)") }
        }
    }

    @Test func columnSumsAddAllRows() throws {
        let backend = try CPUBackend(threads: 2)
        let x = try backend.makeTensor((0..<1000 * 37).map { Float($0 % 37) }, shape: [1000, 37])
        let sums = try backend.makeTensor([Float](repeating: 1, count: 37), shape: [37])
        try backend.columnSums(of: x, into: sums, accumulate: true)
        #expect(try backend.readFloats(sums) == (0..<37).map { Float($0 * 1000 + 1) })
    }

    @Test func wrongShapesAndDevicesAreErrors() throws {
        let backend = try CPUBackend(threads: 1)
        let a = try backend.makeTensor(shape: [2, 3]), integers = try backend.makeTensor([1, 2] as [Int32], shape: [2])
        #expect(throws: CarouselError.self) { try backend.multiply(MatrixProduct(a, a, into: a)) }
        #expect(throws: CarouselError.self) { try backend.fill(integers, with: 1) }
        #expect(throws: CarouselError.self) { try backend.makeBuffer(count: .max / 2, type: .float32) }
        #expect(throws: CarouselError.self) { try CPUBackend(threads: 0) }
    }

    @Test func liveBytesAreCounted() throws {
        let backend = try CPUBackend(threads: 1)
        do {
            let tensor = try backend.makeTensor(shape: [10, 10])
            #expect(backend.allocatedBytes == 400 && tensor.count == 100)
        }
        #expect(backend.allocatedBytes == 0)
    }
}
