/// Reading and summing rows of a table.
public protocol EmbeddingOperations {
    /// y [N, D] (out) = table [V, D] at `rows` [N] int32. Rows outside 0 ..< V are a caller's error.
    func gather(_ table: Tensor, rows: Tensor, into y: Tensor) throws

    /// sums [U, D] (out): sums[u] = Σ of values [N, D] over the references of distinct row u,
    /// added in an order that follows from the index alone.
    func segmentSums(of values: Tensor, index: RowIndex, into sums: Tensor) throws

    /// table [V, D] +=: table[rows[u]] += values[u] for distinct `rows` [U] int32.
    func scatterAdd(_ values: Tensor, rows: Tensor, into table: Tensor) throws
}
