import CarouselCore

extension OpenCLBackend {
    public func gather(_ table: Tensor, rows: Tensor, into y: Tensor) throws {
        try Requirements.check(table.shape.rank == 2 && rows.type == .int32 && y.shape == [rows.count, table.shape[1]],
                               "gather", ["table": table, "rows": rows, "y": y])
        try launch(.gather, columns: table.shape[1], rows: rows.count,
                   [.tensor(table), .tensor(rows), .tensor(y), .int(rows.count), .int(table.shape[1])])
    }

    public func segmentSums(of values: Tensor, index: RowIndex, into sums: Tensor) throws {
        try Requirements.check(values.shape.rank == 2 && values.shape[0] == index.count
                                   && sums.shape == [index.distinctCount, values.shape[1]],
                               "segment sums over \(index.distinctCount) rows", ["values": values, "sums": sums])
        let width = values.shape[1]
        let arguments: [KernelArgument] = [.tensor(values), .tensor(index.order), .tensor(index.segments), .tensor(sums),
                                           .int(index.distinctCount), .int(width)]
        switch family {
        case .gpu: try launch(.segmentSums, columns: width, rows: index.distinctCount, arguments)
        case .cpu:
            try launch(.segmentSumPanels, global: ((width + 63) / 64, index.distinctCount, 1), arguments)
        }
    }

    public func scatterAdd(_ values: Tensor, rows: Tensor, into table: Tensor) throws {
        try Requirements.check(table.shape.rank == 2 && rows.type == .int32
                                   && values.shape == [rows.count, table.shape[1]],
                               "scatter-add", ["values": values, "rows": rows, "table": table])
        try launch(.scatterAdd, columns: table.shape[1], rows: rows.count,
                   [.tensor(values), .tensor(rows), .tensor(table), .int(rows.count), .int(table.shape[1])])
    }
}
