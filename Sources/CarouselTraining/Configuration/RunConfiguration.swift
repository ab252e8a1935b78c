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
        func check(_ value: Int, _ key: String, atLeast least: Int = 1, atMost most: Int = .max) throws {
            guard value >= least else {
                throw CarouselError(.badConfiguration, "must be at least \(least), not \(value)", at: "preparation.\(key)")
            }
            guard value <= most else {
                throw CarouselError(.badConfiguration, "is larger than any machine holds: \(value)", at: "preparation.\(key)",
                                    hint: "at most \(most)")
            }
        }
        // Numbers 0 and 1 are padding and the unknown word: below 3 no word is left.
        try check(preparation.vocabularySize, "vocabulary_size", atLeast: 3, atMost: 1 << 24)
        try check(preparation.minimumCount, "minimum_count")
        try check(preparation.maximumLength, "maximum_length", atMost: 1 << 24)
    }
}
