import CarouselCore

/// Cleaning, tokenizer and stop words in one pass over a text's bytes.
struct TextPipeline: Sendable {
    let configuration: PreparationConfiguration
    private let stopWords: TokenTable?

    /// Memory reused from text to text by one thread.
    struct Scratch {
        var cleaned: [UInt8] = []
        var words = WordSegmenter.Scratch()
    }

    /// - Throws: `badConfiguration` for values out of range or when ICU does not work here.
    init(_ configuration: PreparationConfiguration) throws {
        func check(_ condition: Bool, _ key: String, _ value: Int, _ need: String) throws {
            guard condition else {
                throw CarouselError(.badConfiguration, "\(key) is \(value); it must be \(need)", at: "preparation.\(key)")
            }
        }
        try check(configuration.maximumLength > 0, "maximum_length", configuration.maximumLength, "at least 1")
        try check(configuration.vocabularySize > 2, "vocabulary_size", configuration.vocabularySize, "at least 3")
        try check(configuration.minimumCount > 0, "minimum_count", configuration.minimumCount, "at least 1")
        if configuration.tokenizer == .icu { try WordSegmenter.requireWorking() }
        self.configuration = configuration
        stopWords = StopWordLists.table(configuration.stopWords)
    }

    /// Calls `emit` with the UTF-8 of every token, in order. The bytes are valid during the call only.
    @inline(__always)
    func run(_ text: String, _ scratch: inout Scratch, _ emit: (UnsafeBufferPointer<UInt8>) -> Void) {
        var text = text
        text.withUTF8 { TextCleaner.clean($0, configuration, into: &scratch.cleaned) }
        scratch.cleaned.withUnsafeBufferPointer { bytes in
            switch configuration.tokenizer {
            case .words, .auto: WordTokenizer.tokens(bytes) { filter(bytes, $0, emit) }
            case .characters: CharacterTokenizer.tokens(bytes) { filter(bytes, $0, emit) }
            case .icu: scratch.words.tokens(bytes) { filter(bytes, $0, emit) }
            }
        }
    }

    @inline(__always)
    private func filter(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>,
                        _ emit: (UnsafeBufferPointer<UInt8>) -> Void) {
        let token = UnsafeBufferPointer(rebasing: bytes[range])
        if let stopWords, stopWords.find(token) != nil { return }
        emit(token)
    }
}
