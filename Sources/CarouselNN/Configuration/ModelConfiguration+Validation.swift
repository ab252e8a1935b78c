import CarouselCore

extension ModelConfiguration {
    /// Throws `badConfiguration` naming the key, for sizes that are not positive, rates outside 0 ..< 1 and
    /// layers in an order that cannot work.
    /// - Parameter hasTokens: whether the input is text (an embedding comes first) or numbers (it must not).
    public func validate(hasTokens: Bool? = nil) throws {
        func fail(_ key: String, _ message: String, _ hint: String? = nil) -> CarouselError {
            CarouselError(.badConfiguration, message, at: "model.\(key)", hint: hint)
        }
        func positive(_ value: Int, _ key: String) throws {
            guard value > 0 else { throw fail(key, "must be greater than 0, not \(value)") }
            guard value <= 1 << 20 else { throw fail(key, "is larger than any machine holds: \(value)", "at most \(1 << 20)") }
        }
        func rate(_ value: Double, _ key: String) throws {
            guard value >= 0, value < 1 else { throw fail(key, "must be at least 0 and below 1, not \(value)") }
        }
        guard !layers.isEmpty else { throw fail("layers", "a model needs at least one layer") }
        var isSequence = true
        // Whether the sequence carries the final state of a recurrent layer.
        var hasFinalState = false
        for (index, layer) in layers.enumerated() {
            let place = "layers.\(index).\(layer.key)"
            switch layer {
            case .embedding(let c):
                guard index == 0 else { throw fail(place, "an embedding can only be the first layer") }
                if hasTokens == false {
                    throw fail(place, "an embedding reads text, but the data is numeric", "use the preset relu-lstm, or remove the embedding")
                }
                try positive(c.units, place + ".units")
                try rate(c.dropout, place + ".dropout")
            case .recurrent(let kind, let c):
                guard isSequence else {
                    throw fail(place, "needs a sequence, but the layer before hands on one vector per text",
                               "set `output: sequences` on the recurrent layer before it")
                }
                try positive(c.units, place + ".units")
                try rate(c.recurrentDropout, place + ".recurrent_dropout")
                if let projection = c.projection {
                    guard kind == .lstm else { throw fail(place + ".projection", "only an LSTM has a projection") }
                    try positive(projection, place + ".projection")
                }
                if c.reversed && c.bidirectional != nil {
                    throw fail(place + ".reversed", "a bidirectional layer already reads both ways")
                }
                if c.concatInput && c.output == .last {
                    throw fail(place + ".concat_input", "needs the state of every step", "set `output: sequences` on this layer")
                }
                isSequence = c.output == .sequences
                hasFinalState = !c.concatInput
            case .pooling(let c):
                guard isSequence else {
                    throw fail(place, "needs a sequence, but the layer before hands on one vector per text",
                               "set `output: sequences` on the recurrent layer before it")
                }
                guard !c.of.isEmpty, Set(c.of).count == c.of.count else {
                    throw fail(place + ".of", "names each of last, mean, max at most once and at least one of them")
                }
                guard !c.of.contains(.last) || hasFinalState else {
                    throw fail(place + ".of", "`last` needs a recurrent layer right before it (dropout may stand between)",
                               "use mean or max here")
                }
                isSequence = false
            case .dropout(let c):
                try rate(c.rate, place + ".rate")
                if c.perSequence && !isSequence {
                    throw fail(place + ".per_sequence", "there is no sequence any more at this layer")
                }
            case .dense(let c):
                try positive(c.units, place + ".units")
                hasFinalState = false
            }
        }
        if hasTokens == true {
            guard case .embedding = layers[0] else { throw fail("layers.0", "text needs an embedding as the first layer", "use a preset for text such as bilstm, or begin with `embedding: {units: 128}`") }
        }
        guard !isSequence else {
            throw fail("layers", "the last layer hands on a sequence; a classifier needs one vector per text",
                       "set `output: last` on the last recurrent layer, or add `pooling: {of: [mean, max]}`")
        }
    }
}
