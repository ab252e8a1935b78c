import CarouselNN

/// Size of a model, from its configuration alone. In Double, so that absurd sizes do not overflow.
struct ModelWork {
    /// Trained values.
    private(set) var parameters = 0.0
    /// Multiplications of a forward pass per time step of a row.
    private(set) var multiplications = 0.0
    /// Values a forward pass keeps per time step of a row, for the way back.
    private(set) var activations = 0.0

    init(_ model: ModelConfiguration, input: ModelInput, classes: Int) {
        var width: Double, isSequence = true
        switch input {
        case .tokens: width = 0
        case .features(let channels): width = Double(channels)
        }
        func matrix(_ rows: Double, _ columns: Double) {
            parameters += rows * columns
            if isSequence { multiplications += rows * columns }
        }
        for layer in model.layers {
            defer { activations += width }
            switch layer {
            case .embedding(let c):
                guard case .tokens(let vocabulary) = input else { continue }
                parameters += Double(vocabulary) * Double(c.units)
                width = Double(c.units)
            case .recurrent(let kind, let c):
                let gates: Double = kind == .lstm ? 4 : kind == .gru ? 3 : 1
                let hidden = Double(c.units), state = Double(c.projection ?? c.units)
                let directions: Double = c.bidirectional == nil ? 1 : 2
                matrix(directions * gates * hidden, width)
                matrix(directions * gates * hidden, state)
                if c.projection != nil { matrix(directions * state, hidden) }
                if c.bias { parameters += directions * gates * hidden * (c.biases == .two || kind == .gru ? 2 : 1) }
                // Gates before and after their activation, h, c and h of the step before.
                activations += directions * (2 * gates * hidden + 4 * max(hidden, state))
                width = (c.bidirectional == .concat ? 2 : 1) * state + (c.concatInput ? width : 0)
                isSequence = c.output == .sequences
            case .pooling(let c):
                width *= Double(c.of.count)
                isSequence = false
            case .dropout: break
            case .dense(let c):
                matrix(Double(c.units), width)
                parameters += Double(c.units)
                width = Double(c.units)
            }
        }
        let outputs: Double = model.head == .sigmoid || (model.head == .auto && classes == 2) ? 1 : Double(classes)
        parameters += outputs * (width + 1)
    }
}
