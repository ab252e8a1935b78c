import CarouselCore

extension ReferenceBackend {
    public func multiply(_ product: MatrixProduct) throws {
        try Requirements.product(product)
        let a = try doubles(product.a), b = try doubles(product.b), c = try doubles(product.c)
        let bias = try doubles(product.bias)
        let m = product.m, k = product.k, n = product.n
        var rowOfA = [Double](repeating: 0, count: k)
        rowOfA.withUnsafeMutableBufferPointer { buffer in
            for i in 0..<m {
                let target = c + i * n
                for j in 0..<n { target[j] = (product.accumulate ? target[j] : 0) + (bias?[j] ?? 0) }
                guard let row = buffer.baseAddress else { continue }
                for l in 0..<k { row[l] = product.transposeA ? a[l * m + i] : a[i * k + l] }
                if product.transposeB {
                    for j in 0..<n { target[j] += dot(row, b + j * k, k, in: rounding) }
                } else {
                    for l in 0..<k { addScaled(row[l], b + l * n, to: target, n, in: rounding) }
                }
            }
        }
    }

    public func columnSums(of x: Tensor, into sums: Tensor, accumulate: Bool) throws {
        try Requirements.check(x.shape.rank == 2 && sums.count == x.shape[1], "column sums", ["x": x, "sums": sums])
        let source = try doubles(x), target = try doubles(sums)
        let m = x.shape[0], n = x.shape[1]
        for j in 0..<n where !accumulate { target[j] = 0 }
        for i in 0..<m {
            for j in 0..<n { target[j] += source[i * n + j] }
        }
    }
}
