import CarouselCore
import CarouselNN

/// Sizes of a stack of recurrent layers.
public struct LayerSize: Sendable, Equatable {
    /// T, B, I, H as in the glossary.
    public var steps: Int, batch: Int, input: Int, hidden: Int
    /// L, layers on top of each other.
    public var layers: Int

    /// One layer unless said.
    public init(steps: Int, batch: Int, input: Int, hidden: Int, layers: Int = 1) {
        self.steps = steps
        self.batch = batch
        self.input = input
        self.hidden = hidden
        self.layers = layers
    }

    /// `T100 B64 I128 H128`, with ` L2` of several layers.
    public var name: String { "T\(steps) B\(batch) I\(input) H\(hidden)" + (layers == 1 ? "" : " L\(layers)") }

    /// From small to large.
    public static let standard = [
        LayerSize(steps: 100, batch: 64, input: 128, hidden: 128),
        LayerSize(steps: 200, batch: 32, input: 100, hidden: 128),
        LayerSize(steps: 35, batch: 20, input: 650, hidden: 650, layers: 2),
        LayerSize(steps: 70, batch: 32, input: 1024, hidden: 1024, layers: 2),
        LayerSize(steps: 50, batch: 64, input: 512, hidden: 512),
    ]
}

/// A stack of recurrent layers of one kind on dense input, as data.
public struct LayerCase: Sendable {
    /// For people; the kind with what is special about it.
    public var name: String
    /// The cell.
    public var kind: RecurrentCell.Kind
    /// Of the stack.
    public var size: LayerSize
    /// Everything but the units.
    public var settings: RecurrentConfiguration
    /// Lengths fall evenly from T to a quarter of it, instead of all being T.
    public var isRagged: Bool

    /// A plain stack unless said.
    public init(_ kind: RecurrentCell.Kind, _ size: LayerSize, name: String? = nil,
                settings: RecurrentConfiguration = RecurrentConfiguration(units: 1), isRagged: Bool = false) {
        self.name = name ?? kind.rawValue
        self.kind = kind
        self.size = size
        self.settings = settings
        self.isRagged = isRagged
    }

    /// The plain LSTM first, then what is compared with it.
    public static func options(_ size: LayerSize) -> [LayerCase] {
        func settings(_ change: (inout RecurrentConfiguration) -> Void) -> RecurrentConfiguration {
            var settings = RecurrentConfiguration(units: 1)
            change(&settings)
            return settings
        }
        return [
            LayerCase(.lstm, size),
            LayerCase(.lstm, size, name: "lstm, relu", settings: settings { $0.activation = .relu }),
            LayerCase(.lstm, size, name: "lstm, ragged lengths", isRagged: true),
            LayerCase(.lstm, size, name: "lstm, reversed", settings: settings { $0.reversed = true }),
            LayerCase(.lstm, size, name: "lstm, bidirectional", settings: settings { $0.bidirectional = .concat }),
            LayerCase(.lstm, size, name: "lstm, recurrent dropout", settings: settings { $0.recurrentDropout = 0.5 }),
            LayerCase(.gru, size, name: "gru, reset after"),
            LayerCase(.gru, size, name: "gru, reset before", settings: settings { $0.resetAfter = false }),
            LayerCase(.rnn, size, name: "rnn, tanh"),
            LayerCase(.rnn, size, name: "rnn, relu", settings: settings { $0.activation = .relu }),
        ]
    }

    /// B lengths, descending.
    var lengths: [Int] {
        guard isRagged, size.batch > 1 else { return [Int](repeating: size.steps, count: size.batch) }
        return (0..<size.batch).map { max(1, size.steps - 3 * size.steps * $0 / (4 * (size.batch - 1))) }
    }

    /// Floating-point operations of the matrix products that real steps need; functions of gates are not counted.
    ///
    /// Forward, for each row: 2·G·H·(I + H). Backward: the same for the weights' gradients, 2·G·H·H for the state's, and
    /// 2·G·H·I for the input's, except of the first layer, whose input is data.
    func operations(backward: Bool) -> Double {
        let rows = Double(lengths.reduce(0, +)), directions: Double = settings.bidirectional == nil ? 1 : 2
        let hidden = Double(size.hidden), gates = Double(RecurrentCell(kind).gateCount)
        var width = Double(size.input), total = 0.0
        for layer in 0..<size.layers {
            let forward = gates * hidden * (width + hidden)
            let back = forward + gates * hidden * hidden + (layer == 0 ? 0 : gates * hidden * width)
            total += 2 * rows * directions * (forward + (backward ? back : 0))
            width = directions * hidden
        }
        return total
    }
}

/// The layers of a case on one device, with input and output gradient.
final class LayerWork {
    private let model: SequenceClassifier
    private let layers: LayerChain
    private let input: LayerValue
    private let gradient: LayerGradient
    private let context = PassContext(mode: .training)

    init(_ subject: LayerCase, on backend: any Backend) throws {
        var settings = subject.settings
        settings.units = subject.size.hidden
        settings.output = .sequences
        let stack = [LayerConfiguration](repeating: .recurrent(subject.kind, settings), count: subject.size.layers)
        // Pooling and head make it a model; only the recurrent layers run. PyTorch's start needs no orthogonal matrices.
        model = try SequenceClassifier(ModelConfiguration(layers: stack + [.pooling(PoolingConfiguration(of: [.mean]))], initializer: .pytorch),
                                       input: .features(width: subject.size.input), classes: 2, seed: 1, on: backend)
        layers = LayerChain(Array(model.layers.prefix(subject.size.layers)), on: backend)
        let layout = try PackedLayout(SequenceLayout(lengths: subject.lengths), on: backend), rows = layout.layout.rows
        input = .sequence(SequenceValue(.dense(try BenchValues.uniform([rows, subject.size.input], seed: 1, on: backend)), layout: layout))
        gradient = LayerGradient(values: try BenchValues.uniform([rows, model.layers[subject.size.layers - 1].outputWidth], seed: 2, on: backend))
    }

    /// How the device runs the first layer.
    func plan(batch: Int) -> String? { layers.layers.first?.plan(batch: batch) }

    func forward() throws { _ = try layers.forward(input, context, observer: nil) }

    func forwardAndBackward() throws {
        try forward()
        _ = try layers.backward(gradient, context, observer: nil)
    }
}
