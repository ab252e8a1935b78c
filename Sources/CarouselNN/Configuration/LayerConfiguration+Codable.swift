import CarouselCore

// Missing keys take the defaults of the initialisers; every key is written, nil as null, so that a resolved
// configuration shows all there is to set.

private struct LayerKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension LayerConfiguration: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: LayerKey.self)
        guard container.allKeys.count == 1, let key = container.allKeys.first else {
            throw DecodingError.dataCorrupted(.init(
                codingPath: decoder.codingPath,
                debugDescription: "a layer is one of \(Self.keys.joined(separator: ", ")) with its settings, as in `lstm: {units: 64}`"))
        }
        switch key.stringValue {
        case "embedding": self = .embedding(try container.decode(EmbeddingConfiguration.self, forKey: key))
        case "pooling": self = .pooling(try container.decode(PoolingConfiguration.self, forKey: key))
        case "dropout": self = .dropout(try container.decode(DropoutConfiguration.self, forKey: key))
        case "dense": self = .dense(try container.decode(DenseConfiguration.self, forKey: key))
        default:
            guard let kind = RecurrentCell.Kind(rawValue: key.stringValue) else {
                throw DecodingError.dataCorrupted(.init(
                    codingPath: decoder.codingPath,
                    debugDescription: "unknown layer '\(key.stringValue)'; known: \(Self.keys.joined(separator: ", "))"))
            }
            self = .recurrent(kind, try container.decode(RecurrentConfiguration.self, forKey: key))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: LayerKey.self)
        let key = LayerKey(self.key)
        switch self {
        case .embedding(let c): try container.encode(c, forKey: key)
        case .recurrent(_, let c): try container.encode(c, forKey: key)
        case .pooling(let c): try container.encode(c, forKey: key)
        case .dropout(let c): try container.encode(c, forKey: key)
        case .dense(let c): try container.encode(c, forKey: key)
        }
    }
}

extension EmbeddingConfiguration {
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(units: try c.decode(Int.self, forKey: .units),
                  dropout: try c.decodeIfPresent(Double.self, forKey: .dropout) ?? 0)
    }
}

extension RecurrentConfiguration {
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(units: try c.decode(Int.self, forKey: .units))
        activation = try c.decodeIfPresent(Activation.self, forKey: .activation) ?? activation
        recurrentActivation = try c.decodeIfPresent(Activation.self, forKey: .recurrentActivation) ?? recurrentActivation
        bias = try c.decodeIfPresent(Bool.self, forKey: .bias) ?? bias
        biases = try c.decodeIfPresent(BiasCount.self, forKey: .biases) ?? biases
        resetAfter = try c.decodeIfPresent(Bool.self, forKey: .resetAfter) ?? resetAfter
        projection = try c.decodeIfPresent(Int.self, forKey: .projection)
        output = try c.decodeIfPresent(RecurrentOutput.self, forKey: .output) ?? output
        bidirectional = try c.decodeIfPresent(BidirectionalMerge.self, forKey: .bidirectional)
        reversed = try c.decodeIfPresent(Bool.self, forKey: .reversed) ?? reversed
        concatInput = try c.decodeIfPresent(Bool.self, forKey: .concatInput) ?? concatInput
        recurrentDropout = try c.decodeIfPresent(Double.self, forKey: .recurrentDropout) ?? recurrentDropout
    }

    public func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(units, forKey: .units)
        try c.encode(activation, forKey: .activation)
        try c.encode(recurrentActivation, forKey: .recurrentActivation)
        try c.encode(bias, forKey: .bias)
        try c.encode(biases, forKey: .biases)
        try c.encode(resetAfter, forKey: .resetAfter)
        try c.encode(projection, forKey: .projection)
        try c.encode(output, forKey: .output)
        try c.encode(bidirectional, forKey: .bidirectional)
        try c.encode(reversed, forKey: .reversed)
        try c.encode(concatInput, forKey: .concatInput)
        try c.encode(recurrentDropout, forKey: .recurrentDropout)
    }
}

extension DropoutConfiguration {
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(rate: try c.decode(Double.self, forKey: .rate),
                  perSequence: try c.decodeIfPresent(Bool.self, forKey: .perSequence) ?? false)
    }
}

extension DenseConfiguration {
    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(units: try c.decode(Int.self, forKey: .units),
                  activation: try c.decodeIfPresent(Activation.self, forKey: .activation) ?? .linear)
    }
}
