import CVector
import CarouselCore

extension CPUBackend {
    /// Copies rows on all threads.
    public func gather(_ table: Tensor, rows: Tensor, into y: Tensor) throws {
        try Requirements.check(table.shape.rank == 2 && y.shape == [rows.count, table.shape[1]], "gather",
                               ["table": table, "rows": rows, "y": y])
        try cvGather(context, rows.count, table.shape[1], floats(table), integers(rows), floats(y))
    }

    /// One distinct row after the other per thread, its references in the order of `index.order`.
    public func segmentSums(of values: Tensor, index: RowIndex, into sums: Tensor) throws {
        try Requirements.check(
            values.shape.rank == 2 && values.shape[0] == index.count && sums.shape == [index.distinctCount, values.shape[1]],
            "segment sums", ["values": values, "distinct": index.distinct, "sums": sums])
        let width = values.shape[1]
        try segmentSums(OperandRows(base: floats(values), pitch: width), width: width, index: index, into: floats(sums))
    }

    func segmentSums(_ values: OperandRows, width: Int, index: RowIndex, into sums: UnsafeMutablePointer<Float>) throws {
        try cvSegmentSums(context, index.distinctCount, width, values.base, values.pitch, values.isBfloat16,
                          integers(index.order), integers(index.segments), sums)
    }

    /// Distinct rows never meet, so threads need no atomics.
    public func scatterAdd(_ values: Tensor, rows: Tensor, into table: Tensor) throws {
        try Requirements.check(table.shape.rank == 2 && values.shape == [rows.count, table.shape[1]], "scatter",
                               ["values": values, "rows": rows, "table": table])
        try cvScatterAdd(context, rows.count, table.shape[1], floats(values), integers(rows), floats(table))
    }
}
