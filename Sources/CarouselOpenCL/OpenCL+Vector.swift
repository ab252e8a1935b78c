import CarouselCore

extension OpenCLBackend {
    public func fill(_ tensor: Tensor, with value: Double) throws {
        try Requirements.check(tensor.type == .float32, "fill", ["tensor": tensor])
        try launch(.fill, count: tensor.count, [.tensor(tensor), .count(tensor.count), .float(value)])
    }

    public func copyColumns(_ source: Tensor, from sourceColumn: Int, to target: Tensor, at targetColumn: Int,
                            width: Int, scale: Double, accumulate: Bool) throws {
        try Requirements.check(
            source.shape.rank == 2 && target.shape.rank == 2 && source.shape[0] == target.shape[0]
                && sourceColumn >= 0 && targetColumn >= 0 && width >= 0
                && sourceColumn + width <= source.shape[1] && targetColumn + width <= target.shape[1],
            "copy of \(width) columns from \(sourceColumn) to \(targetColumn)", ["source": source, "target": target])
        try launch(.copyColumns, columns: width, rows: source.shape[0],
                   [.tensor(source), .int(source.shape[1]), .int(sourceColumn), .tensor(target),
                    .int(target.shape[1]), .int(targetColumn), .int(source.shape[0]), .int(width), .float(scale),
                    .flag(accumulate)])
    }

    /// target = source, or zero; the shapes are equal.
    func copy(_ source: Tensor?, to target: Tensor) throws {
        guard let source else { return try fill(target, with: 0) }
        let width = target.shape.rank == 0 ? 1 : target.shape[target.shape.rank - 1]
        let shape: Shape = [width == 0 ? 0 : target.count / width, width]
        try copyColumns(source.reshaped(shape), from: 0, to: target.reshaped(shape), at: 0, width: width, scale: 1,
                        accumulate: false)
    }

    public func multiply(_ a: Tensor, _ b: Tensor, into c: Tensor, accumulate: Bool) throws {
        try Requirements.check(a.count == b.count && a.count == c.count, "element-wise product",
                               ["a": a, "b": b, "c": c])
        try launch(.multiply, count: a.count,
                   [.tensor(a), .tensor(b), .tensor(c), .count(a.count), .flag(accumulate)])
    }

    public func activate(_ activation: Activation, _ x: Tensor, into y: Tensor) throws {
        try Requirements.check(x.count == y.count, "activation", ["x": x, "y": y])
        let arguments: [KernelArgument] = [.int(activation.kernelNumber), .tensor(x), .tensor(y), .count(x.count)]
        switch family {
        case .gpu: try launch(.activate, count: x.count, arguments)
        case .cpu: try launch(.activateChunks, global: (chunks(of: x.count), 1, 1), arguments)
        }
    }

    public func activateBackward(_ activation: Activation, y: Tensor, dy: Tensor, into dx: Tensor) throws {
        try Requirements.check(y.count == dy.count && y.count == dx.count, "activation backward",
                               ["y": y, "dy": dy, "dx": dx])
        let arguments: [KernelArgument] = [.int(activation.kernelNumber), .tensor(y), .tensor(dy), .tensor(dx),
                                           .count(y.count)]
        switch family {
        case .gpu: try launch(.activateBackward, count: y.count, arguments)
        case .cpu: try launch(.activateBackwardChunks, global: (chunks(of: y.count), 1, 1), arguments)
        }
    }

    /// Work-items of the cpu family's kernels over flat buffers: one per `CHUNK` elements.
    private func chunks(of count: Int) -> Int { (count + 1023) / 1024 }

    public func dropout(_ x: Tensor, into y: Tensor, mask: DropoutMask) throws {
        let height = x.shape.rank == 0 ? 0 : x.shape[0]
        let width = height == 0 ? 0 : x.count / height
        try Requirements.check(x.shape == y.shape && mask.rate >= 0 && mask.rate < 1
                                   && (mask.rows == nil || mask.rows!.type == .int32 && mask.rows!.count == height),
                               "dropout at rate \(mask.rate)", ["x": x, "y": y, "rows": mask.rows])
        let arguments: [KernelArgument] = [.tensor(x), .tensor(y), .optional(mask.rows), .int(height), .int(width),
                                           .bits(mask.key), .bits(mask.threshold), .float(1 / (1 - mask.rate))]
        switch family {
        case .gpu: try launch(.dropout, columns: width, rows: height, arguments)
        case .cpu: try launch(.dropoutRows, global: (height, 1, 1), arguments)
        }
    }
}
