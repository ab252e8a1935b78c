import CarouselCore

extension OpenCLBackend {
    public func pool(_ pooling: Pooling, _ x: Tensor, layout: PackedLayout, into y: Tensor, argmax: Tensor?) throws {
        let batch = layout.layout.batchSize, width = try check(pooling, x, y, layout: layout, argmax: argmax)
        let operands: [KernelArgument] = [.tensor(x), .tensor(layout.lengths), .tensor(layout.offsets), .tensor(y)]
        switch pooling {
        case .mean:
            try launch(family == .cpu ? .poolingMeanRows : .poolingMean, columns: width, rows: batch,
                       operands + [.int(batch), .int(width)])
        case .max:
            try launch(family == .cpu ? .poolingMaxRows : .poolingMax, columns: width, rows: batch,
                       operands + [.optional(argmax), .int(batch), .int(width)])
        }
    }

    public func poolBackward(_ pooling: Pooling, dy: Tensor, layout: PackedLayout, argmax: Tensor?,
                             into dx: Tensor) throws {
        let rows = layout.layout.rows, width = try check(pooling, dx, dy, layout: layout, argmax: argmax)
        switch pooling {
        case .mean:
            try launch(.poolingMeanBackward, columns: width, rows: rows,
                       [.tensor(dy), .tensor(layout.lengths), .tensor(layout.sequenceOfRow), .tensor(dx), .int(rows),
                        .int(width)])
        case .max:
            guard let argmax else {
                throw CarouselError(.internalError, "max pooling backward needs the argmax of the forward call")
            }
            try launch(.poolingMaxBackward, columns: width, rows: rows,
                       [.tensor(dy), .tensor(argmax), .tensor(layout.sequenceOfRow), .tensor(dx), .int(rows),
                        .int(width)])
        }
    }

    /// Checks packed [N, F] against pooled [B, F] and returns F.
    private func check(_ pooling: Pooling, _ packed: Tensor, _ pooled: Tensor, layout: PackedLayout,
                       argmax: Tensor?) throws -> Int {
        try Requirements.check(
            packed.shape.rank == 2 && pooled.shape.rank == 2 && packed.shape[0] == layout.layout.rows
                && pooled.shape == [layout.layout.batchSize, packed.shape[1]]
                && (argmax == nil || argmax!.type == .int32 && argmax!.count == pooled.count),
            "\(pooling.rawValue) pooling", ["packed": packed, "pooled": pooled, "argmax": argmax])
        return packed.shape[1]
    }
}
