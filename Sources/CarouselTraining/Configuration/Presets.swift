import CarouselCore
import CarouselData
import CarouselNN

/// A named configuration with every size written down.
public struct Preset: Sendable {
    public let name: String
    /// One line.
    public let summary: String
    public let configuration: RunConfiguration

    private init(_ name: String, _ summary: String, _ layers: [LayerConfiguration],
                 _ training: TrainingConfiguration, words: Int = 20_000, length: Int = 400, minimumCount: Int = 1,
                 truncation: Truncation = .head) {
        var preparation = PreparationConfiguration()
        preparation.truncation = truncation
        preparation.minimumCount = minimumCount
        preparation.vocabularySize = words
        preparation.maximumLength = length
        self.name = name
        self.summary = summary
        configuration = RunConfiguration(preset: name, model: ModelConfiguration(layers: layers),
                                         preparation: preparation, training: training)
    }

    /// In the order they are listed to people.
    public static let all = [standard, stackedLSTM, simpleRNN, reluLSTM]

    /// `bilstm`, used where nothing is named: the recurrent convolutional network of Lai et al. (2015) with an LSTM.
    ///
    /// Every step sees the word beside its context from both sides; the maximum over time picks the steps that
    /// matter. Heavy dropout per word, smoothed labels and averaged weights keep it from learning small sets by
    /// heart, and words seen once stand for the unknown ones to come. How the numbers were chosen:
    /// Documentation/Recipes.md.
    public static let standard = Preset(
        "bilstm", "text: each word with its context from both sides, the strongest step counts; the default",
        [.embedding(.init(units: 128, dropout: 0.7)),
         .recurrent(.lstm, .init(units: 64, output: .sequences, bidirectional: .concat, concatInput: true)),
         .dense(.init(units: 128, activation: .tanh)),
         .pooling(.init(of: [.max])),
         .dropout(.init(rate: 0.5))],
        TrainingConfiguration(epochs: 4, batchSize: 32, learningRate: 0.003, optimizer: .init(.adam),
                              clipping: .init(globalNorm: 1), schedule: .cosine, labelSmoothing: 0.1, averageDecay: 0.99,
                              patience: 3, monitor: .accuracy),
        minimumCount: 2)

    /// Two LSTM layers, the usual second step of a tutorial.
    public static let stackedLSTM = Preset(
        "stacked-lstm", "text: LSTM(128) and LSTM(64), as many tutorials build it",
        [.embedding(.init(units: 128)),
         .recurrent(.lstm, .init(units: 128, output: .sequences)),
         .recurrent(.lstm, .init(units: 64))],
        TrainingConfiguration(epochs: 5, batchSize: 64, learningRate: 0.001, optimizer: .init(.adam), patience: 3),
        words: 10_000, length: 400)

    /// The first model of most tutorials: shows why gates were invented. Its state remembers little but the end of
    /// a text, so long texts keep their end, as Keras' `pad_sequences` does.
    public static let simpleRNN = Preset(
        "simple-rnn", "text: SimpleRNN(128) over a small embedding, the plain start of many tutorials",
        [.embedding(.init(units: 16)),
         .recurrent(.rnn, .init(units: 128))],
        TrainingConfiguration(epochs: 10, batchSize: 64, learningRate: 0.001, optimizer: .init(.adam), patience: nil,
                              monitor: .accuracy),
        words: 5_000, length: 500, truncation: .tail)

    /// The tutorial's model for numbers over time.
    public static let reluLSTM = Preset(
        "relu-lstm", "numbers: LSTM(50) with relu and dropout, as many tutorials build it",
        [.recurrent(.lstm, .init(units: 50, activation: .relu)),
         .dropout(.init(rate: 0.2))],
        TrainingConfiguration(epochs: 10, batchSize: 32, learningRate: 0.001, optimizer: .init(.adam), patience: 3))

    /// - Parameter location: where the name was written, for the error.
    /// - Throws: `badConfiguration` (78) with the nearest name.
    public static func named(_ name: String, at location: String? = nil) throws -> Preset {
        if let preset = all.first(where: { $0.name == name }) { return preset }
        let near = Suggestion.nearest(to: name, among: all.map(\.name))
        throw CarouselError(.badConfiguration, "unknown preset '\(name)'", at: location,
                            hint: near.map { "did you mean '\($0)'?" } ?? all.map(\.name).joined(separator: ", "))
    }
}
