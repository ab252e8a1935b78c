/// How text becomes tokens.
public enum TokenizerKind: String, Codable, Sendable, CaseIterable {
    /// `icu` when a third of the letters belong to scripts written without spaces, `characters` when most texts are
    /// a single word, else `words`.
    case auto
    /// Words, numbers and punctuation marks of scripts that put spaces between words.
    case words
    /// Single characters.
    case characters
    /// Words found with ICU's dictionaries (Chinese, Japanese, Thai, …).
    case icu
}

/// Frequent words that may be left out. Negations are in neither list.
public enum StopWords: String, Codable, Sendable, CaseIterable { case none, english, chinese }

/// Which tokens remain of a text that is longer than `maximumLength`.
public enum Truncation: String, Codable, Sendable, CaseIterable {
    /// The first ones.
    case head
    /// The last ones.
    case tail
    /// Half from the beginning (one more when odd), half from the end.
    case middle

    /// What remains of `tokens`, at most `limit`.
    public func cut<Element>(_ tokens: [Element], to limit: Int) -> [Element] {
        guard tokens.count > limit else { return tokens }
        switch self {
        case .head: return Array(tokens.prefix(limit))
        case .tail: return Array(tokens.suffix(limit))
        case .middle: return Array(tokens.prefix((limit + 1) / 2) + tokens.suffix(limit / 2))
        }
    }
}

/// What turns raw text into token numbers; saved with every model.
public struct PreparationConfiguration: Codable, Sendable, Equatable {
    /// Tags become spaces, entities become their characters.
    public var html: Bool
    /// A web address becomes the word `url`.
    public var urls: Bool
    /// Full-width forms become ASCII (`ＡＢＣ！` → `ABC!`), typographic quotes become plain ones.
    public var fullWidth: Bool
    /// Capital letters become small ones.
    public var lowercase: Bool
    /// How text is cut into tokens.
    public var tokenizer: TokenizerKind
    /// Frequent words to leave out.
    public var stopWords: StopWords
    /// Largest number of tokens, counting 0 = padding and 1 = unknown.
    public var vocabularySize: Int
    /// Rarer tokens become unknown.
    public var minimumCount: Int
    /// In tokens.
    public var maximumLength: Int
    /// What remains of longer texts.
    public var truncation: Truncation

    /// The defaults, except for what is given.
    public init(html: Bool = true, urls: Bool = true, fullWidth: Bool = true, lowercase: Bool = true,
                tokenizer: TokenizerKind = .auto, stopWords: StopWords = .none, vocabularySize: Int = 20000,
                minimumCount: Int = 1, maximumLength: Int = 400, truncation: Truncation = .head) {
        self.html = html
        self.urls = urls
        self.fullWidth = fullWidth
        self.lowercase = lowercase
        self.tokenizer = tokenizer
        self.stopWords = stopWords
        self.vocabularySize = vocabularySize
        self.minimumCount = minimumCount
        self.maximumLength = maximumLength
        self.truncation = truncation
    }

    enum CodingKeys: String, CodingKey {
        case html, urls, lowercase, tokenizer, truncation
        case fullWidth = "full_width", stopWords = "stop_words", vocabularySize = "vocabulary_size"
        case minimumCount = "minimum_count", maximumLength = "maximum_length"
    }

    /// Missing keys keep their defaults.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let standard = PreparationConfiguration()
        html = try values.decodeIfPresent(Bool.self, forKey: .html) ?? standard.html
        urls = try values.decodeIfPresent(Bool.self, forKey: .urls) ?? standard.urls
        fullWidth = try values.decodeIfPresent(Bool.self, forKey: .fullWidth) ?? standard.fullWidth
        lowercase = try values.decodeIfPresent(Bool.self, forKey: .lowercase) ?? standard.lowercase
        tokenizer = try values.decodeIfPresent(TokenizerKind.self, forKey: .tokenizer) ?? standard.tokenizer
        stopWords = try values.decodeIfPresent(StopWords.self, forKey: .stopWords) ?? standard.stopWords
        vocabularySize = try values.decodeIfPresent(Int.self, forKey: .vocabularySize) ?? standard.vocabularySize
        minimumCount = try values.decodeIfPresent(Int.self, forKey: .minimumCount) ?? standard.minimumCount
        maximumLength = try values.decodeIfPresent(Int.self, forKey: .maximumLength) ?? standard.maximumLength
        truncation = try values.decodeIfPresent(Truncation.self, forKey: .truncation) ?? standard.truncation
    }
}
