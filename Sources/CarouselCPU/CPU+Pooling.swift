import CVector
import CarouselCore

extension CPUBackend {
    /// One sequence is one piece of work; its steps are taken in order of time.
    public func pool(_ pooling: Pooling, _ x: Tensor, layout: PackedLayout, into y: Tensor, argmax: Tensor?) throws {
        let batch = layout.layout.batchSize
        try Requirements.check(
            x.shape.rank == 2 && x.shape[0] == layout.layout.rows && y.shape == [batch, x.shape[1]]
                && (pooling == .mean || argmax?.shape == y.shape),
            "\(pooling.rawValue) pooling", ["x": x, "y": y, "argmax": argmax])
        let places = pooling == .max ? try integers(argmax) : nil
        try cvPoolSequences(context, batch, x.shape[1], layout.layout.offsets, layout.layout.lengths, floats(x), floats(y),
                            places)
    }

    /// One sequence is one piece of work.
    public func poolBackward(_ pooling: Pooling, dy: Tensor, layout: PackedLayout, argmax: Tensor?, into dx: Tensor) throws {
        let batch = layout.layout.batchSize
        try Requirements.check(
            dx.shape.rank == 2 && dx.shape[0] == layout.layout.rows && dy.shape == [batch, dx.shape[1]]
                && (pooling == .mean || argmax?.shape == dy.shape),
            "\(pooling.rawValue) pooling backward", ["dy": dy, "argmax": argmax, "dx": dx])
        let places = pooling == .max ? try integers(argmax) : nil
        try cvPoolSequencesBackward(context, batch, dx.shape[1], layout.layout.offsets, layout.layout.lengths, floats(dy),
                                    places, floats(dx))
    }
}
