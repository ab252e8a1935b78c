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
                 _ training: TrainingConfiguration, words: Int = 20_000, length: Int = 400) {
        var preparation = PreparationConfiguration()
        preparation.vocabularySize = words
        preparation.maximumLength = length
        self.name = name
        self.summary = summary
        configuration = RunConfiguration(preset: name, model: ModelConfiguration(layers: layers),
                                         preparation: preparation, training: training)
    }

    /// In the order they are listed to people.
    public static let all = [standard, stackedLSTM, simpleRNN, reluLSTM]

    /// `bilstm`, used where nothing is named.
    public static let standard = Preset(
        "bilstm", "text: bidirectional LSTM, mean and max pooling (default)",
        [.embedding(.init(units: 128, dropout: 0.3)),
         .recurrent(.lstm, .init(units: 128, output: .sequences, bidirectional: .concat)),
         .pooling(.init(of: [.mean, .max])),
         .dropout(.init(rate: 0.4))],
        TrainingConfiguration(epochs: 6, batchSize: 32, learningRate: 0.001, optimizer: .init(.adam),
                              clipping: .init(globalNorm: 1), schedule: .cosine, averageDecay: 0.99, patience: 3))

    /// Two LSTM layers, the usual second step of a tutorial.
    public static let stackedLSTM = Preset(
        "stacked-lstm", "text: LSTM(128) and LSTM(64), the tutorial's second model",
        [.embedding(.init(units: 128)),
         .recurrent(.lstm, .init(units: 128, output: .sequences)),
         .recurrent(.lstm, .init(units: 64))],
        TrainingConfiguration(epochs: 5, batchSize: 64, learningRate: 0.001, optimizer: .init(.adam), patience: 3),
        words: 10_000, length: 400)

    /// The first model of most tutorials: shows why gates were invented.
    public static let simpleRNN = Preset(
        "simple-rnn", "text: SimpleRNN(128), the tutorial's first model",
        [.embedding(.init(units: 16)),
         .recurrent(.rnn, .init(units: 128))],
        TrainingConfiguration(epochs: 10, batchSize: 64, learningRate: 0.001, optimizer: .init(.adam), patience: 3),
        words: 5_000, length: 500)

    /// The tutorial's model for numbers over time.
    public static let reluLSTM = Preset(
        "relu-lstm", "numbers: LSTM(50) with relu and dropout, the tutorial's",
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
