import CarouselCore
import CarouselData
import CarouselNN

/// One row's answer.
public struct Prediction: Codable, Sendable {
    /// The most probable label.
    public var label: String
    /// One for each label, in the order of `Classifier.labels`; they sum to 1.
    public var probabilities: [Double]
}

/// A trained model with everything it needs to read raw input.
public final class Classifier {
    /// Of the run that made the model.
    public let configuration: RunConfiguration
    /// The classes, in the order of the probabilities.
    public let labels: LabelSet
    /// How raw input becomes sequences.
    public let preparation: InputPreparation
    /// The network, on the device it was loaded to.
    public let model: SequenceClassifier

    public init(configuration: RunConfiguration, labels: LabelSet, preparation: InputPreparation, model: SequenceClassifier) {
        self.configuration = configuration
        self.labels = labels
        self.preparation = preparation
        self.model = model
    }

    /// Loads a run's best model.
    /// - Throws: `missingInput` without a run or model there, `badData` for damaged files.
    public static func load(_ path: String, on backend: any Backend) throws -> Classifier {
        let folder = try RunFolder.open(path)
        let configuration = try RunConfiguration.load(file: folder.path(of: .configuration))
        let labels = try LabelSet(text: try folder.read(.labels), file: folder.path(of: .labels))
        let preparation = try InputPreparation.load(from: folder)
        let file = try Safetensors(contentsOf: folder.path(of: .model))
        let model = try SequenceClassifier(configuration.model, input: preparation.modelInput, classes: labels.count,
                                           seed: configuration.training.seed, on: backend)
        try model.store.load(file.tensors, from: folder.path(of: .model))
        return Classifier(configuration: configuration, labels: labels, preparation: preparation, model: model)
    }

    /// Labels and probabilities of texts, in their order.
    public func predict(_ texts: [String]) throws -> [Prediction] {
        try predict(.text(TextDataSet(name: "input", texts: texts)))
    }

    /// Labels and probabilities of any data, in its order.
    public func predict(_ data: DataSet) throws -> [Prediction] {
        let evaluation = try evaluate(encoded: try preparation.encode(data, labels: nil))
        return zip(evaluation.predicted, evaluation.probabilities).map { Prediction(label: labels.names[Int($0)], probabilities: $1) }
    }

    /// How well the model does on labelled data.
    public func evaluate(_ data: DataSet) throws -> ClassificationReport {
        let encoded = try preparation.encode(data, labels: labels)
        let evaluation = try evaluate(encoded: encoded)
        return ClassificationReport(labels: labels, truth: encoded.labels, predicted: evaluation.predicted, losses: evaluation.losses)
    }

    private func evaluate(encoded: EncodedDataSet) throws -> Evaluation {
        try Evaluator.run(model, encoded) ?? Evaluation(probabilities: [], losses: [])
    }
}
