import CarouselCore

/// Work that runs what a choice of sizes is for, with a result that must not depend on the choice.
struct TuningProblem {
    let run: () throws -> Void
    let results: [Tensor]
    /// Compares some values of the results with sums in double precision; nil = as they should be.
    let deviation: ([[Float]]) -> String?

    /// A product op(a) op(b), as the layers make them.
    struct Product {
        var m: Int, n: Int, k: Int
        var transposeA = false, transposeB = false
    }

    /// Forward products read weights [N, K], input gradients [K, N], and weight gradients a left operand [K, M].
    /// - Parameter isSmall: sizes of the same shape classes that a device which is no GPU computes in a fraction of a second.
    static func products(_ shape: String, isSmall: Bool) -> [Product] {
        func step(_ rows: Int) -> [Product] {
            let hidden = isSmall ? 256 : 1024
            return [Product(m: rows, n: 4 * hidden, k: 2 * hidden, transposeB: true), Product(m: rows, n: hidden, k: 4 * hidden)]
        }
        switch shape {
        case "rows16": return step(16)
        case "rows32": return step(32)
        case "rows64": return step(64)
        case "medium": return [Product(m: 512, n: 256, k: 320, transposeB: true), Product(m: 512, n: 256, k: 320, transposeA: true)]
        case "large":
            let (m, n, k) = isSmall ? (1536, 1408, 64) : (6400, 4096, 1024)
            return [Product(m: m, n: n, k: k, transposeB: true), Product(m: m, n: n, k: k, transposeA: true)]
        default: return [Product(m: 640, n: 512, k: 512, transposeB: true), Product(m: 640, n: 512, k: 512)]
        }
    }

    /// nil for an operation this program cannot measure.
    static func make(for choice: TuningChoice, on device: any Backend) throws -> TuningProblem? {
        let isSmall = !device.info.isGPU
        switch choice.operation {
        case "product", "panels":
            let parts = try products(choice.shape, isSmall: isSmall).map { try ProductWork($0, on: device) }
            return TuningProblem(run: { for part in parts { try device.multiply(part.product) } }, results: parts.map(\.product.c)) { values in
                zip(parts, values).lazy.compactMap { $0.deviation($1) }.first
            }
        case "vectors":
            let x = try BenchValues.uniform([isSmall ? 1 << 20 : 1 << 24], seed: 3, on: device), y = try device.makeTensor(shape: x.shape)
            return TuningProblem(run: { try device.activate(.relu, x, into: y) }, results: [y]) { _ in nil }
        case "columns":
            let (rows, vocabulary) = isSmall ? (4096, 2000) : (65_536, 20_000)
            let table = try BenchValues.uniform([vocabulary, 256], seed: 4, on: device), y = try device.makeTensor(shape: [rows, 256])
            let tokens = try device.makeTensor(BenchValues.tokens(rows, vocabulary: vocabulary), shape: [rows])
            return TuningProblem(run: { try device.gather(table, rows: tokens, into: y) }, results: [y]) { _ in nil }
        default: return nil
        }
    }
}

/// One product with its operands on the host too.
private struct ProductWork {
    let product: MatrixProduct
    private let form: TuningProblem.Product
    private let a: [Float], b: [Float]
    private let precision: Precision

    init(_ form: TuningProblem.Product, on device: any Backend) throws {
        let left = try BenchValues.uniform(form.transposeA ? [form.k, form.m] : [form.m, form.k], seed: 1, on: device)
        let right = try BenchValues.uniform(form.transposeB ? [form.n, form.k] : [form.k, form.n], seed: 2, on: device)
        (a, b) = (try device.readFloats(left), try device.readFloats(right))
        product = MatrixProduct(left, transposeA: form.transposeA, right, transposeB: form.transposeB,
                                into: try device.makeTensor(shape: [form.m, form.n]))
        precision = device.precision
        self.form = form
    }

    /// Looks at elements spread over all tiles and their edges.
    func deviation(_ c: [Float]) -> String? {
        let count = form.m * form.n
        // A step without a common divisor with usual widths.
        for at in stride(from: 0, to: count, by: max(1, count / 97)).map({ ($0 * 7919) % count }) + [count - 1] {
            let (i, j) = (at / form.n, at % form.n)
            var sum = 0.0, size = 0.0
            for l in 0..<form.k {
                let term = Double(precision.rounded(form.transposeA ? a[l * form.m + i] : a[i * form.k + l]))
                    * Double(precision.rounded(form.transposeB ? b[j * form.k + l] : b[l * form.n + j]))
                sum += term
                size += abs(term)
            }
            // A chain of K roundings to float32 errs by less than K units of the sum of magnitudes, in practice by far less.
            let error = abs(Double(c[at]) - sum)
            if !(error <= 1e-6 * size + 1e-30) { return "row \(i), column \(j) of \(form.m) x \(form.n) x \(form.k) is \(c[at]) instead of \(Float(sum))" }
        }
        return nil
    }
}
