import CarouselCore

/// How weights start.
public enum InitializerFamily: String, Sendable, Codable, CaseIterable {
    /// Glorot uniform kernels, orthogonal recurrent kernels, zero biases, forget bias 1, embeddings U(±0.05).
    case keras
    /// U(±1/√H) for recurrent layers, U(±1/√fan-in) for dense ones, embeddings N(0, 1).
    case pytorch
}

/// The last layer: logits of the classes.
public enum HeadKind: String, Sendable, Codable, CaseIterable {
    /// Sigmoid for two classes, softmax beyond.
    case auto, sigmoid, softmax
}

/// The layers of a classifier; the head (a dense layer to the classes) is added by itself.
public struct ModelConfiguration: Sendable, Codable, Equatable {
    public var layers: [LayerConfiguration]
    public var head: HeadKind
    public var initializer: InitializerFamily

    public init(layers: [LayerConfiguration], head: HeadKind = .auto, initializer: InitializerFamily = .keras) {
        self.layers = layers
        self.head = head
        self.initializer = initializer
    }

    enum CodingKeys: String, CodingKey { case layers, head, initializer }

    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(layers: try c.decode([LayerConfiguration].self, forKey: .layers),
                  head: try c.decodeIfPresent(HeadKind.self, forKey: .head) ?? .auto,
                  initializer: try c.decodeIfPresent(InitializerFamily.self, forKey: .initializer) ?? .keras)
    }
}
