import CVector
import CarouselCore

extension CPUBackend {
    /// OpenBLAS on fixed blocks of c where it is loaded and the product is worth it, else the own packed product.
    public func multiply(_ product: MatrixProduct) throws {
        try Requirements.product(product)
        try multiply(cvProduct(
            m: product.m, n: product.n, k: product.k,
            a: floats(product.a), lda: product.a.shape[1], transposeA: product.transposeA,
            b: floats(product.b), ldb: product.b.shape[1], transposeB: product.transposeB,
            bias: floats(product.bias), c: floats(product.c), ldc: product.n, accumulate: product.accumulate, sumsOfA: nil,
            bfloat16: isBfloat16, storedA: false, storedB: false))
    }

    /// Runs a product with scratch memory of its own area.
    func multiply(_ product: cvProduct) throws {
        var product = product
        let scratch = try scratch(.kernel, count: cvMultiplyScratch(context, &product))
        cvMultiply(context, &product, scratch)
    }

    /// Chunks of 256 rows are summed apart and then added in order.
    public func columnSums(of x: Tensor, into sums: Tensor, accumulate: Bool) throws {
        try Requirements.check(x.shape.rank == 2 && sums.count == x.shape[1], "column sums", ["x": x, "sums": sums])
        try columnSums(rows: x.shape[0], columns: x.shape[1], OperandRows(base: floats(x), pitch: x.shape[1]),
                       into: floats(sums), accumulate: accumulate)
    }

    /// As above for rows anywhere.
    func columnSums(rows: Int, columns: Int, _ x: OperandRows, into sums: UnsafeMutablePointer<Float>, accumulate: Bool) throws {
        let scratch = try scratch(.kernel, count: cvColumnSumsScratch(rows, columns))
        cvColumnSums(context, rows, columns, x.base, x.pitch, x.isBfloat16, sums, accumulate, scratch)
    }
}
