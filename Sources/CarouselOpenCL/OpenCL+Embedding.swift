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
        switch family {
        case .gpu: try sumBlocks(of: values, index, into: sums, width: width)
        case .cpu:
            try launch(.segmentSumPanels, global: ((width + 63) / 64, index.distinctCount, 1),
                       [.tensor(values), .tensor(index.order), .tensor(index.segments), .tensor(sums), .int(index.distinctCount), .int(width)])
        }
    }

    private func sumBlocks(of values: Tensor, _ index: RowIndex, into sums: Tensor, width: Int) throws {
        let block = Self.referencesPerBlock(index.count), blocks = (index.count + block - 1) / block
        let partial = try makeTensor(shape: [max(1, 2 * blocks), width])
        try launch(.sumBlocks, values.type == .bits16 ? ["STORED": 1] : [:], columns: width, rows: blocks,
                   [.tensor(values), .tensor(index.order), .tensor(index.positions), .tensor(index.segments), .tensor(sums), .tensor(partial),
                    .int(index.count), .int(width), .int(block)])
        guard blocks > 1 else { return }
        try launch(.sumSpans, columns: width, rows: index.distinctCount,
                   [.tensor(partial), .tensor(index.segments), .tensor(sums), .int(index.distinctCount), .int(width), .int(block)])
    }

    /// Decides the order of sums, so it follows from N alone: about √N, so that a block and the blocks of one token are
    /// equally long at worst.
    private static func referencesPerBlock(_ count: Int) -> Int {
        var block = 32
        while block * block < count { block *= 2 }
        return block
    }

    public func scatterAdd(_ values: Tensor, rows: Tensor, into table: Tensor) throws {
        try Requirements.check(table.shape.rank == 2 && rows.type == .int32
                                   && values.shape == [rows.count, table.shape[1]],
                               "scatter-add", ["values": values, "rows": rows, "table": table])
        try launch(.scatterAdd, columns: table.shape[1], rows: rows.count,
                   [.tensor(values), .tensor(rows), .tensor(table), .int(rows.count), .int(table.shape[1])])
    }
}
