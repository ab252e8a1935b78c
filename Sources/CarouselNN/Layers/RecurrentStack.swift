import CarouselCore

/// Recurrent layers directly on top of each other, all in the direction of time, as a wavefront: the sequence is cut into
/// chunks of steps, and a layer takes a chunk as soon as the layer before it has taken the same one and it has taken the one
/// before itself (Appleyard et al. 2016). Backward it is the other way around.
///
/// Only the order of the work is another: sums are cut as in whole passes.
final class RecurrentStack {
    let layers: [Recurrent]
    private let backend: any Backend
    /// Steps of a chunk, from `prepare` until the backward pass.
    private var steps: Int?

    init(_ layers: [Recurrent], on backend: any Backend) {
        self.layers = layers
        self.backend = backend
    }

    /// `lstm 0, lstm 1`
    var name: String { layers.map(\.name).joined(separator: ", ") }

    /// Whether the last forward pass was a wavefront.
    var isPrepared: Bool { steps != nil }

    /// Makes the passes of all layers.
    /// - Returns: steps of a chunk; nil where the layers are to run one after the other.
    func prepare(_ value: LayerValue, _ context: PassContext) throws -> Int? {
        steps = nil
        guard context.mode == .training, case .sequence(var sequence) = value else { return nil }
        var passes: [RecurrentPass] = []
        for layer in layers {
            let pass = try layer.prepare(sequence, context)
            passes.append(pass)
            sequence = SequenceValue(.dense(pass.y), layout: sequence.layout)
        }
        steps = backend.wavefrontSteps(of: passes)
        return steps
    }

    /// Ranges of steps from the first to the last.
    private func chunks(_ layout: SequenceLayout, of count: Int) -> [Range<Int>] {
        stride(from: 0, to: layout.steps, by: count).map { $0 ..< min($0 + count, layout.steps) }
    }

    /// Pieces for `rows` layers and `columns` chunks in the order of their diagonals: each needs the one of the row before.
    private static func wavefront(_ rows: Int, _ columns: Int, _ body: @escaping (_ row: Int, _ column: Int) throws -> Void) -> [LaneWork] {
        var pieces: [LaneWork] = [], places: [Int: Int] = [:]
        guard rows > 0, columns > 0 else { return [] }
        for diagonal in 0 ..< rows + columns - 1 {
            for row in max(0, diagonal - columns + 1) ... min(diagonal, rows - 1) {
                let column = diagonal - row, before = row > 0 ? places[(row - 1) * columns + column] : nil
                places[row * columns + column] = pieces.count
                pieces.append(LaneWork(lane: row, after: before.map { [$0] } ?? []) { try body(row, column) })
            }
        }
        return pieces
    }

    /// The prepared passes in chunks of `steps`.
    func forward(_ value: LayerValue, steps: Int) throws -> LayerValue {
        guard case .sequence(let sequence) = value else { throw layers[0].unexpected(value) }
        let chunks = chunks(sequence.layout.layout, of: steps)
        try backend.overlap(Self.wavefront(layers.count, chunks.count) { [layers] layer, chunk in try layers[layer].forward(steps: chunks[chunk]) })
        return try layers[layers.count - 1].output(sequence)
    }

    /// The gradient of the first layer's input.
    func backward(_ gradient: LayerGradient) throws -> LayerGradient? {
        guard let steps, let layout = layers[0].layout else { return nil }
        var next: LayerGradient? = gradient
        for layer in layers.reversed() {
            guard let gradient = next else { break }
            next = try layer.prepareBackward(gradient)
        }
        let chunks = chunks(layout, of: steps), last = layers.count - 1
        try backend.overlap(Self.wavefront(layers.count, chunks.count) { [layers] row, column in
            try layers[last - row].backward(steps: chunks[chunks.count - 1 - column])
        })
        return next
    }
}
