import Carousel
import Foundation

// Texts to label: cleaning and tokens, and lines from standard input.

extension FuzzReader {
    private static let marks = ["<br />", "<b", "</", ">", "<!--", "-->", "<script>", "&amp;", "&#", "&#x1F600;", "&#0;", "&#99999999999;", "&nbsp", "http://",
                                "https://a.b/c?d=e", "www.", "'", "n't", "don’t", "…", "——", "ＡＢＣ！", "1,234.56", "\u{200B}", "\u{200D}", "👩‍👩‍👧", "🇩🇪",
                                "e\u{301}\u{301}", "ก็", "한국어", "コーヒー", "味道很好", "\u{0}", "\u{AD}", "\u{FFFD}", "\u{10FFFF}", "İ", "ß", "\n", "\t"]

    /// Cleaning, tokenizers and vocabulary with every setting. A Swift string is valid Unicode whatever the bytes were.
    static func texts() throws -> FuzzReader {
        let samples = ["One of the <b>best</b> films I&#39;ve seen: see https://example.com/a?b=c &amp; enjoy!!! 10/10",
                       "手机质量太差了，ＡＢＣ！客服 don't answer 😀 1,234.5", "ภาษาไทย คำ e\u{301}t\u{e9}"]
        let kinds: [TokenizerKind] = [.words, .characters, .icu]
        let vocabulary = try Vocabulary(text: "<padding>\n<unknown>\nfilms\n质量\n.\n")
        return FuzzReader(name: "texts", samples: samples.map { Array($0.utf8) }, tokens: marks, refusals: []) { input, generator in
            func flag() -> Bool { Bool.random(using: &generator) }
            let configuration = PreparationConfiguration(
                html: flag(), urls: flag(), fullWidth: flag(), lowercase: flag(), tokenizer: kinds[Int.random(in: 0..<3, using: &generator)],
                stopWords: StopWords.allCases.randomElement(using: &generator) ?? .none, vocabularySize: 100,
                maximumLength: Int.random(in: 1...40, using: &generator), truncation: Truncation.allCases.randomElement(using: &generator) ?? .head)
            let preparation = try TextPreparation(configuration: configuration, vocabulary: vocabulary)
            let text = String(decoding: input, as: UTF8.self)
            let tokens = preparation.tokens(text), numbers = preparation.encode(text)
            try Violation.require(tokens.count == numbers.count && tokens.count <= configuration.maximumLength, "\(tokens.count) tokens and \(numbers.count) numbers")
            try Violation.require(numbers.allSatisfy { (1..<5).contains($0) }, "a token's number is not in the vocabulary")
            try Violation.require(tokens.allSatisfy { !$0.isEmpty }, "an empty token")
        }
    }

    /// Lines as `predict --input -` reads them.
    static func standardInput(_ scratch: String) throws -> FuzzReader {
        let path = scratch + "/lines"
        return FuzzReader(name: "standard-input", samples: ["one\ntwo\n\nthree", "\u{FEFF}a\r\nb\r\n", ""].map { Array($0.utf8) },
                          hostile: [[0x61, 0x0A, 0xC3, 0x28, 0x0A], [0xED, 0xA0, 0x80]], tokens: marks + ["\r\n", "\u{FEFF}"], refusals: [.badData]) { input, _ in
            try write(input, path)
            let descriptor = open(path, O_RDONLY)
            guard descriptor >= 0, dup2(descriptor, 0) == 0 else { throw Violation("the input cannot be opened") }
            close(descriptor)
            let rows = try PredictionInput(path: "-")
            var count = 0
            while let row = try rows.next() {
                count += 1
                try Violation.require(row.location == "standard input:\(count)" && !row.text.contains("\n"), "line \(count) is not one")
            }
            let ends = input.count { $0 == 0x0A }
            try Violation.require(count == ends || count == ends + 1, "\(count) rows from \(ends) line ends")
        }
    }
}
