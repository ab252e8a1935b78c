import CarouselCore

/// What a model reads.
public enum ModelInput: Sendable, Codable, Equatable {
    /// Token numbers 0 ..< vocabulary.
    case tokens(vocabulary: Int)
    /// Numeric sequences of this many channels.
    case features(width: Int)

    /// The most different tokens among so many; nil for numbers.
    public func distinct(ofRows rows: Int) -> Int? {
        switch self {
        case .tokens(let vocabulary): min(rows, vocabulary)
        case .features: nil
        }
    }
}

/// The layers of a configuration on one device, with a head that gives the logits of the classes.
public final class SequenceClassifier {
    public let configuration: ModelConfiguration
    public let input: ModelInput
    public let classes: Int
    public let backend: any Backend
    public let store: ParameterStore
    public let lossKind: CrossEntropy.Kind
    /// All layers in order, the head last.
    public var layers: [any Layer] { chain.layers }
    private let chain: LayerChain
    /// Whether batches must bring the reversed index.
    public let readsBackwards: Bool
    /// Hears the layers' passes; nil = nobody.
    public var observer: (any SpanObserver)?
    private let workspace: Workspace

    /// - Parameters:
    ///   - classes: C, at least 2.
    ///   - seed: of the initial weights.
    /// - Throws: `badConfiguration` for layers that do not fit together, `outOfMemory`.
    public init(_ configuration: ModelConfiguration, input: ModelInput, classes: Int, seed: UInt64, on backend: any Backend) throws {
        var width: Int
        switch input {
        case .tokens:
            try configuration.validate(hasTokens: true)
            width = 0
        case .features(let channels):
            try configuration.validate(hasTokens: false)
            width = channels
        }
        guard classes >= 2 else { throw CarouselError(.badData, "a classifier needs at least two classes, not \(classes)") }
        let sigmoid = configuration.head == .sigmoid || (configuration.head == .auto && classes == 2)
        guard !sigmoid || classes == 2 else {
            throw CarouselError(.badConfiguration, "a sigmoid head knows two classes, the data has \(classes)", at: "model.head",
                                hint: "use `head: auto`")
        }
        let store = ParameterStore(backend: backend)
        var layers: [any Layer] = []
        var recurrent = 0, dense = 0, backwards = false
        let all = configuration.layers
        for (number, layer) in all.enumerated() {
            switch layer {
            case .embedding(let c):
                guard case .tokens(let vocabulary) = input else { continue }
                var isRead = false
                if number + 1 < all.count, case .recurrent = all[number + 1] { isRead = true }
                layers.append(Embedding(c, vocabulary: vocabulary, initializer: configuration.initializer,
                                        handsOnIndex: isRead, number: number, store: store))
            case .recurrent(let kind, let c):
                backwards = backwards || c.reversed || c.bidirectional != nil
                layers.append(Recurrent(kind, c, inputWidth: width, index: recurrent, number: number, initializer: configuration.initializer,
                                        wantsInputGradient: !layers.isEmpty, store: store))
                recurrent += 1
            case .pooling(let c):
                layers.append(PoolingLayer(c, inputWidth: width, backend: backend))
            case .dropout(let c):
                layers.append(DropoutLayer(c, inputWidth: width, number: number, backend: backend))
            case .dense(let c):
                layers.append(Dense(c, inputWidth: width, prefix: "dense.\(dense)",
                                    initializer: configuration.initializer, store: store))
                dense += 1
            }
            width = layers[layers.count - 1].outputWidth
        }
        layers.append(Dense(DenseConfiguration(units: sigmoid ? 1 : classes), inputWidth: width, prefix: "head",
                            initializer: configuration.initializer, store: store))
        try store.allocate(seed: seed)
        self.configuration = configuration
        self.input = input
        self.classes = classes
        self.backend = backend
        self.store = store
        chain = LayerChain(layers, on: backend)
        lossKind = sigmoid ? .sigmoid : .softmax
        readsBackwards = backwards
        workspace = Workspace(backend: backend)
    }

    /// A batch on the model's device.
    /// - Parameter workspace: keeps the tensors, which the next batch in it replaces; nil = new ones.
    public func upload(_ batch: SequenceBatch, into workspace: BatchWorkspace? = nil) throws -> DeviceBatch {
        try DeviceBatch(batch, reversed: readsBackwards, in: workspace ?? BatchWorkspace(backend: backend))
    }

    /// Logits [B, C], [B, 1] with a sigmoid head; rows in the batch's order.
    public func forward(_ batch: DeviceBatch, _ context: PassContext) throws -> Tensor {
        guard case .vector(let logits) = try chain.forward(batch.value, context, observer: observer) else {
            throw CarouselError(.internalError, "the head did not hand on a vector")
        }
        return logits
    }

    /// The rows' weighted losses [B] and, if wanted, the gradient of their weighted mean by the logits.
    public func loss(_ logits: Tensor, _ batch: DeviceBatch, labelSmoothing: Double = 0, gradient: Bool)
        throws -> (losses: Tensor, dLogits: Tensor?)
    {
        guard let labels = batch.labels else { throw CarouselError(.internalError, "the batch has no labels") }
        let losses = try workspace.tensor("losses", [logits.shape[0]])
        let dLogits = gradient ? try workspace.tensor("dLogits", logits.shape) : nil
        try backend.crossEntropy(CrossEntropy(lossKind, logits: logits, labels: labels, weights: batch.weights,
                                              labelSmoothing: labelSmoothing, scale: 1 / max(batch.weightSum, 1e-30),
                                              losses: losses, dLogits: dLogits))
        return (losses, dLogits)
    }

    /// Adds the gradients of all parameters, from the gradient of the logits.
    public func backward(_ dLogits: Tensor, _ context: PassContext) throws {
        _ = try chain.backward(LayerGradient(values: dLogits), context, observer: observer)
    }

    /// Class probabilities of logits in Double, C per row. Their sum is 1 within rounding.
    public func probabilities(_ logits: [Double]) -> [[Double]] {
        if lossKind == .sigmoid {
            return logits.map { x in
                let e = exp(-abs(x))
                let p = x >= 0 ? 1 / (1 + e) : e / (1 + e)
                return [1 - p, p]
            }
        }
        return stride(from: 0, to: logits.count, by: classes).map { start in
            let row = logits[start ..< start + classes]
            let highest = row.max() ?? 0
            let powers = row.map { exp($0 - highest) }
            let sum = powers.reduce(0, +)
            return powers.map { $0 / sum }
        }
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
