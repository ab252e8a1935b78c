import CarouselCore
import CarouselData
import CarouselNN

/// All that decides a run: the model, how its input is read and prepared, and how it is trained.
///
/// In YAML its keys are `preset`, `model`, `data`, `preparation` and `training`. A run folder keeps it with every
/// key written out; reading that file gives the same value again.
public struct RunConfiguration: Codable, Sendable, Equatable {
    /// The preset it started from; the other keys already hold all of it.
    public var preset: String?
    public var model: ModelConfiguration
    public var data: ReadOptions
    public var preparation: PreparationConfiguration
    public var training: TrainingConfiguration

    public init(preset: String? = nil, model: ModelConfiguration, data: ReadOptions = .init(),
                preparation: PreparationConfiguration = .init(), training: TrainingConfiguration = .init()) {
        self.preset = preset
        self.model = model
        self.data = data
        self.preparation = preparation
        self.training = training
    }

    enum CodingKeys: String, CodingKey { case preset, model, data, preparation, training }

    public init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(preset: try c.decodeIfPresent(String.self, forKey: .preset),
                  model: try c.decode(ModelConfiguration.self, forKey: .model),
                  data: try c.decodeIfPresent(ReadOptions.self, forKey: .data) ?? .init(),
                  preparation: try c.decodeIfPresent(PreparationConfiguration.self, forKey: .preparation) ?? .init(),
                  training: try c.decodeIfPresent(TrainingConfiguration.self, forKey: .training) ?? .init())
    }

    /// Writes every key, nil as null.
    public func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(preset, forKey: .preset)
        try c.encode(model, forKey: .model)
        try c.encode(data, forKey: .data)
        try c.encode(preparation, forKey: .preparation)
        try c.encode(training, forKey: .training)
    }

    /// Throws `badConfiguration` naming the key of the first value that cannot work.
    /// - Parameter hasTokens: whether the data is text (true) or numbers (false); nil = not known yet.
    public func validate(hasTokens: Bool? = nil) throws {
        try model.validate(hasTokens: hasTokens)
        try training.validate()
        func positive(_ value: Int, _ key: String, atLeast: Int = 1) throws {
            guard value < atLeast else { return }
            throw CarouselError(.badConfiguration, "must be at least \(atLeast), not \(value)", at: "preparation.\(key)")
        }
        // Numbers 0 and 1 are padding and the unknown word: below 3 no word is left.
        try positive(preparation.vocabularySize, "vocabulary_size", atLeast: 3)
        try positive(preparation.minimumCount, "minimum_count")
        try positive(preparation.maximumLength, "maximum_length")
    }
}
