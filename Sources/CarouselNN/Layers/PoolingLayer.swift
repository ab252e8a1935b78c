import CarouselCore

/// Sequence → vector: the concatenation of its final state, its mean and its maximum over time.
final class PoolingLayer: Layer {
    let name = "pooling"
    let outputWidth: Int
    let parameters: [Int] = []
    private let kinds: [PoolingConfiguration.Kind]
    private let width: Int
    private let backend: any Backend
    private let workspace: Workspace
    private var layout: PackedLayout?

    init(_ configuration: PoolingConfiguration, inputWidth: Int, backend: any Backend) {
        kinds = configuration.of
        width = inputWidth
        outputWidth = inputWidth * configuration.of.count
        self.backend = backend
        workspace = Workspace(backend: backend)
    }

    func forward(_ value: LayerValue, _ context: PassContext) throws -> LayerValue {
        guard case .sequence(let sequence) = value, case .dense(let x) = sequence.input else { throw unexpected(value) }
        layout = sequence.layout
        let batch = sequence.layout.layout.batchSize
        let result = try workspace.tensor("y", batch, outputWidth)
        for (place, kind) in kinds.enumerated() {
            let part: Tensor
            switch kind {
            case .last:
                guard let finalState = sequence.finalState else { throw unexpected(value) }
                part = finalState
            case .mean, .max:
                part = try workspace.tensor(kind.rawValue, batch, width)
                let argmax = kind == .max ? try workspace.tensor("argmax", batch, width, type: .int32) : nil
                try backend.pool(kind == .max ? .max : .mean, x, layout: sequence.layout, into: part, argmax: argmax)
            }
            try backend.copyColumns(part, from: 0, to: result, at: place * width, width: width, scale: 1, accumulate: false)
        }
        return .vector(result)
    }

    func forget() { layout = nil }

    func backward(_ gradient: LayerGradient, _ context: PassContext) throws -> LayerGradient? {
        guard let layout, let dy = gradient.values else { return nil }
        let batch = layout.layout.batchSize
        var result = LayerGradient(values: nil)
        for (place, kind) in kinds.enumerated() {
            let part = try workspace.tensor("d\(kind.rawValue)", batch, width)
            try backend.copyColumns(dy, from: place * width, to: part, at: 0, width: width, scale: 1, accumulate: false)
            if kind == .last {
                result.finalState = part
                continue
            }
            if result.values == nil {
                let dx = try workspace.tensor("dx", layout.layout.rows, width)
                try backend.fill(dx, with: 0)
                result.values = dx
            }
            let argmax = kind == .max ? try workspace.tensor("argmax", batch, width, type: .int32) : nil
            try backend.poolBackward(kind == .max ? .max : .mean, dy: part, layout: layout, argmax: argmax, into: result.values!)
        }
        return result
    }

    var activationBytes: Int { workspace.byteCount }
}
