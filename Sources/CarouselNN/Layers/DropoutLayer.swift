import CarouselCore

/// Zeroes elements in training and scales the others; the same mask on every device.
final class DropoutLayer: Layer {
    let name: String
    let outputWidth: Int
    let parameters: [Int] = []
    private let rate: Double
    private let perSequence: Bool
    private let number: Int
    private let backend: any Backend
    private let workspace: Workspace
    private var layout: PackedLayout?

    init(_ configuration: DropoutConfiguration, inputWidth: Int, number: Int, backend: any Backend) {
        name = "dropout"
        outputWidth = inputWidth
        rate = configuration.rate
        perSequence = configuration.perSequence
        self.number = number
        self.backend = backend
        workspace = Workspace(backend: backend)
    }

    private func mask(_ context: PassContext, rows: Tensor? = nil, part: Int = 0) -> DropoutMask {
        DropoutMask(rate: rate, key: context.dropoutKey(layer: number, part: part), rows: rows)
    }

    func forward(_ value: LayerValue, _ context: PassContext) throws -> LayerValue {
        let isActive = context.mode == .training && rate > 0
        switch value {
        case .tokens:
            throw unexpected(value)
        case .vector(let x):
            guard isActive else { return value }
            layout = nil
            let y = try workspace.tensor("y", x.shape)
            try backend.dropout(x, into: y, mask: mask(context))
            return .vector(y)
        case .sequence(let sequence):
            guard isActive else { return value }
            guard case .dense(let x) = sequence.input else { throw unexpected(value) }
            layout = sequence.layout
            let y = try workspace.tensor("y", x.shape)
            try backend.dropout(x, into: y, mask: mask(context, rows: perSequence ? sequence.layout.sequenceOfRow : nil))
            var finalState: Tensor?
            if let state = sequence.finalState {
                finalState = try workspace.tensor("final", state.shape)
                try backend.dropout(state, into: finalState!, mask: mask(context, part: perSequence ? 0 : 1))
            }
            return .sequence(SequenceValue(.dense(y), layout: sequence.layout, finalState: finalState))
        }
    }

    func forget() { layout = nil }

    func backward(_ gradient: LayerGradient, _ context: PassContext) throws -> LayerGradient? {
        guard rate > 0 else { return gradient }
        var result = LayerGradient(values: nil)
        if let dy = gradient.values {
            let dx = try workspace.tensor("dx", dy.shape)
            try backend.dropout(dy, into: dx, mask: mask(context, rows: perSequence ? layout?.sequenceOfRow : nil))
            result.values = dx
        }
        if let dFinal = gradient.finalState {
            let dx = try workspace.tensor("dFinal", dFinal.shape)
            try backend.dropout(dFinal, into: dx, mask: mask(context, part: perSequence ? 0 : 1))
            result.finalState = dx
        }
        return result
    }

    var activationBytes: Int { workspace.byteCount }
}
