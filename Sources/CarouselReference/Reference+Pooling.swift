import CarouselCore

extension ReferenceBackend {
    public func pool(_ pooling: Pooling, _ x: Tensor, layout: PackedLayout, into y: Tensor, argmax: Tensor?) throws {
        let packed = layout.layout
        let fits = x.shape.rank == 2 && x.shape[0] == packed.rows && y.shape == [packed.batchSize, x.shape[1]]
            && (argmax == nil || argmax!.shape == y.shape)
        try Requirements.check(fits, "\(pooling.rawValue) pooling", ["x": x, "y": y, "argmax": argmax])
        let source = try doubles(x), target = try doubles(y), winner = try integers(argmax)
        let f = x.shape[1]
        for b in 0..<packed.batchSize {
            for j in 0..<f {
                var sum = 0.0, highest = 0.0, next = -Double.infinity, row = -1
                for t in 0..<packed.lengths[b] {
                    let n = packed.row(step: t, sequence: b)
                    let value = source[n * f + j]
                    sum += value
                    if row < 0 || value > highest {
                        if row >= 0 { next = highest }
                        (highest, row) = (value, n)
                    } else if value < highest {
                        next = max(next, value)
                    }
                }
                if pooling == .max { kinkWatch?.observe(largest: highest, next: next) }
                switch pooling {
                case .mean: target[b * f + j] = packed.lengths[b] == 0 ? 0 : sum / Double(packed.lengths[b])
                case .max: target[b * f + j] = highest
                }
                if pooling == .max { winner?[b * f + j] = Int32(row) }
            }
        }
    }

    public func poolBackward(_ pooling: Pooling, dy: Tensor, layout: PackedLayout, argmax: Tensor?, into dx: Tensor) throws {
        let packed = layout.layout
        let fits = dx.shape.rank == 2 && dx.shape[0] == packed.rows && dy.shape == [packed.batchSize, dx.shape[1]]
            && (pooling == .mean || argmax?.shape == dy.shape)
        try Requirements.check(fits, "\(pooling.rawValue) pooling backward", ["dy": dy, "dx": dx, "argmax": argmax])
        let incoming = try doubles(dy), target = try doubles(dx), winner = try integers(argmax)
        let f = dx.shape[1]
        for b in 0..<packed.batchSize {
            for j in 0..<f {
                let gradient = incoming[b * f + j]
                switch pooling {
                case .mean:
                    for t in 0..<packed.lengths[b] {
                        target[packed.row(step: t, sequence: b) * f + j] += gradient / Double(packed.lengths[b])
                    }
                case .max:
                    if let row = winner?[b * f + j], row >= 0 { target[Int(row) * f + j] += gradient }
                }
            }
        }
    }
}
