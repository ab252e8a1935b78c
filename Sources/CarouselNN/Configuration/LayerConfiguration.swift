import CarouselCore

/// One layer of a model. In a file it is a single key with its settings: `- lstm: {units: 64}`.
public enum LayerConfiguration: Sendable, Equatable {
    case embedding(EmbeddingConfiguration)
    case recurrent(RecurrentCell.Kind, RecurrentConfiguration)
    case pooling(PoolingConfiguration)
    case dropout(DropoutConfiguration)
    case dense(DenseConfiguration)

    /// The key in a configuration file.
    public var key: String {
        switch self {
        case .embedding: "embedding"
        case .recurrent(let kind, _): kind.rawValue
        case .pooling: "pooling"
        case .dropout: "dropout"
        case .dense: "dense"
        }
    }

    public static let keys = ["embedding"] + RecurrentCell.Kind.allCases.map(\.rawValue) + ["pooling", "dropout", "dense"]
}

/// Token numbers → vectors. The number of rows is the vocabulary's.
public struct EmbeddingConfiguration: Sendable, Codable, Equatable {
    /// D, the width of a vector.
    public var units: Int
    /// Share of the elements of each distinct token's vector dropped per batch, the same for all its occurrences.
    public var dropout: Double

    public init(units: Int, dropout: Double = 0) {
        self.units = units
        self.dropout = dropout
    }

    enum CodingKeys: String, CodingKey { case units, dropout }
}

/// What a recurrent layer hands on.
public enum RecurrentOutput: String, Sendable, Codable, CaseIterable {
    /// The state of every step, [N, F].
    case sequences
    /// The state after each row's last step, [B, F].
    case last
}

/// How the two directions of a bidirectional layer become one.
public enum BidirectionalMerge: String, Sendable, Codable, CaseIterable { case concat, sum, mul, ave }

/// RNN and LSTM add two biases that receive the same gradient; training both doubles the bias' step.
public enum BiasCount: String, Sendable, Codable, CaseIterable {
    /// `bias_ih` is trained; `bias_hh` stays 0 (as in Keras). A GRU always keeps both.
    case one
    /// Both are trained (as in PyTorch).
    case two
}

/// An RNN, LSTM or GRU layer.
public struct RecurrentConfiguration: Sendable, Codable, Equatable {
    /// H
    public var units: Int
    public var activation: Activation
    public var recurrentActivation: Activation
    public var bias: Bool
    public var biases: BiasCount
    /// GRU: reset gate after the recurrent product.
    public var resetAfter: Bool
    /// LSTM: width R of the projected state; nil = none.
    public var projection: Int?
    public var output: RecurrentOutput
    /// nil = one direction.
    public var bidirectional: BidirectionalMerge?
    /// Reads each row backwards, from its own last step (one direction only).
    public var reversed: Bool
    /// Hands on every step's input beside its state, [N, F + I]: what follows sees the word and its context (the
    /// recurrent convolutional network of Lai et al. 2015). Needs `output: sequences`.
    public var concatInput: Bool
    /// Share of each row's state units dropped in training where the state is multiplied by the recurrent weights, the same ones in all
    /// steps of the row (Gal & Ghahramani 2016), 0 ..< 1.
    public var recurrentDropout: Double

    public init(units: Int, activation: Activation = .tanh, recurrentActivation: Activation = .sigmoid,
                bias: Bool = true, biases: BiasCount = .one, resetAfter: Bool = true, projection: Int? = nil,
                output: RecurrentOutput = .last, bidirectional: BidirectionalMerge? = nil, reversed: Bool = false,
                concatInput: Bool = false, recurrentDropout: Double = 0) {
        self.units = units
        self.activation = activation
        self.recurrentActivation = recurrentActivation
        self.bias = bias
        self.biases = biases
        self.resetAfter = resetAfter
        self.projection = projection
        self.output = output
        self.bidirectional = bidirectional
        self.reversed = reversed
        self.concatInput = concatInput
        self.recurrentDropout = recurrentDropout
    }

    enum CodingKeys: String, CodingKey {
        case units, activation, recurrentActivation = "recurrent_activation", bias, biases
        case resetAfter = "reset_after", projection, output, bidirectional, reversed, concatInput = "concat_input"
        case recurrentDropout = "recurrent_dropout"
    }
}

/// Sequence → vector, over the true length of each row.
public struct PoolingConfiguration: Sendable, Codable, Equatable {
    public enum Kind: String, Sendable, Codable, CaseIterable { case last, mean, max }
    /// Concatenated in this order.
    public var of: [Kind]

    public init(of: [Kind]) { self.of = of }
}

/// Inverted dropout (Srivastava et al. 2014).
public struct DropoutConfiguration: Sendable, Codable, Equatable {
    public var rate: Double
    /// One mask per sequence for all its steps (Gal & Ghahramani 2016).
    public var perSequence: Bool

    public init(rate: Double, perSequence: Bool = false) {
        self.rate = rate
        self.perSequence = perSequence
    }

    enum CodingKeys: String, CodingKey { case rate, perSequence = "per_sequence" }
}

/// y = f(x Wᵀ + b), on a vector or on every step.
public struct DenseConfiguration: Sendable, Codable, Equatable {
    public var units: Int
    public var activation: Activation

    public init(units: Int, activation: Activation = .linear) {
        self.units = units
        self.activation = activation
    }

    enum CodingKeys: String, CodingKey { case units, activation }
}
