import CarouselCore

/// A packed sequence between two layers.
public struct SequenceValue {
    public var input: RecurrentInput
    /// The index of the rows read backwards, for an indexed input.
    public var reversedIndex: RowIndex?
    public var layout: PackedLayout
    /// [B, F] the state after the last step of both directions, when a recurrent layer made the sequence.
    public var finalState: Tensor?

    public init(_ input: RecurrentInput, reversedIndex: RowIndex? = nil, layout: PackedLayout, finalState: Tensor? = nil) {
        self.input = input
        self.reversedIndex = reversedIndex
        self.layout = layout
        self.finalState = finalState
    }
}

/// What one layer hands to the next.
public enum LayerValue {
    /// References to rows of an embedding.
    case tokens(RowIndex, reversed: RowIndex?, layout: PackedLayout)
    case sequence(SequenceValue)
    /// [B, F]
    case vector(Tensor)
}

/// The gradient of a `LayerValue`, coming back.
public struct LayerGradient {
    /// Of the vector [B, F], of a dense sequence [N, F], or of an indexed sequence's rows [U, F].
    public var values: Tensor?
    /// Of a sequence's final state [B, F].
    public var finalState: Tensor?

    public init(values: Tensor?, finalState: Tensor? = nil) {
        self.values = values
        self.finalState = finalState
    }
}

/// What a pass is for; together with a layer's number it fixes every random choice.
public struct PassContext: Sendable {
    public var mode: Mode
    public var seed: UInt64
    public var step: Int
    /// Whether `Layer.kept` is to show all that a training pass keeps; else a backend may keep it in fewer bytes of its own.
    public var keepsReadable = false

    public init(mode: Mode, seed: UInt64 = 0, step: Int = 0) {
        self.mode = mode
        self.seed = seed
        self.step = step
    }

    /// Key of the dropout of layer `layer`; `part` separates several masks of one layer.
    func dropoutKey(layer: Int, part: Int = 0) -> UInt32 {
        RandomGenerator.key(seed, UInt64(step), UInt64(layer), UInt64(part))
    }
}

/// A layer owns its activations and reuses them; `backward` belongs to the `forward` right before it.
public protocol Layer: AnyObject {
    /// As in the configuration, with its number: `lstm 1`.
    var name: String { get }
    /// F of what it hands on.
    var outputWidth: Int { get }
    /// Numbers of its parameters in the store.
    var parameters: [Int] { get }
    func forward(_ value: LayerValue, _ context: PassContext) throws -> LayerValue
    /// Lets go of the tensors of the last pass, so that they can give way to those of a larger batch.
    func forget()
    /// Adds to the parameters' gradients, which are whole after the backend's next `join`, and returns the gradient of its
    /// input, nil where nobody needs it. Until then the activations and inputs of all layers stay as they are.
    func backward(_ gradient: LayerGradient, _ context: PassContext) throws -> LayerGradient?
    /// Bytes of the tensors it has made for its activations and their gradients so far; they grow with the batches.
    var activationBytes: Int { get }
    /// How the backend runs it, where there is a choice.
    func plan(batch: Int) -> String?
    /// What it computed in its last forward pass in training, before any backward pass.
    var kept: [KeptTensor] { get }
}

extension Layer {
    public func plan(batch: Int) -> String? { nil }
    public var kept: [KeptTensor] { [] }

    /// The error of a value that the validated order of layers rules out.
    func unexpected(_ value: LayerValue) -> CarouselError {
        CarouselError(.internalError, "layer '\(name)' cannot read what the layer before it hands on")
    }
}
