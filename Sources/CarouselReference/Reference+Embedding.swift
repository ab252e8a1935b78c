import CarouselCore

extension ReferenceBackend {
    public func gather(_ table: Tensor, rows: Tensor, into y: Tensor) throws {
        let fits = table.shape.rank == 2 && y.shape == [rows.count, table.shape[1]]
        try Requirements.check(fits, "gather", ["table": table, "rows": rows, "y": y])
        let source = try doubles(table), row = try integers(rows), target = try doubles(y)
        let d = table.shape[1]
        try checkRows(row, rows.count, below: table.shape[0], "gather")
        for n in 0..<rows.count {
            for j in 0..<d { target[n * d + j] = source[Int(row[n]) * d + j] }
        }
    }

    public func segmentSums(of values: Tensor, index: RowIndex, into sums: Tensor) throws {
        let fits = values.shape.rank == 2 && values.shape[0] == index.count
            && sums.shape == [index.distinctCount, values.shape[1]]
        try Requirements.check(fits, "segment sums", ["values": values, "positions": index.positions, "sums": sums])
        let source = try doubles(values), target = try doubles(sums), position = try integers(index.positions)
        let d = values.shape[1]
        for i in 0..<sums.count { target[i] = 0 }
        // `index.order` lists the references of each row ascending, so this adds in the same order.
        for n in 0..<index.count {
            for j in 0..<d { target[Int(position[n]) * d + j] += source[n * d + j] }
        }
    }

    public func scatterAdd(_ values: Tensor, rows: Tensor, into table: Tensor) throws {
        let fits = table.shape.rank == 2 && values.shape == [rows.count, table.shape[1]]
        try Requirements.check(fits, "scatter add", ["values": values, "rows": rows, "table": table])
        let source = try doubles(values), row = try integers(rows), target = try doubles(table)
        let d = table.shape[1]
        try checkRows(row, rows.count, below: table.shape[0], "scatter add")
        for u in 0..<rows.count {
            for j in 0..<d { target[Int(row[u]) * d + j] += source[u * d + j] }
        }
    }

    /// A row outside the table is a caller's error; the oracle says so instead of reading beyond it.
    private func checkRows(_ rows: UnsafeMutablePointer<Int32>, _ count: Int, below limit: Int, _ operation: String) throws {
        for n in 0..<count where rows[n] < 0 || Int(rows[n]) >= limit {
            throw CarouselError(.internalError, "\(operation): row \(rows[n]) at \(n) is outside 0 ..< \(limit)")
        }
    }
}
