import CarouselCore
import Foundation
import Testing
@testable import CarouselData

@Suite struct PreparationTests {
    private func clean(_ text: String, _ configuration: PreparationConfiguration = .init()) -> String {
        var result: [UInt8] = []
        var text = text
        text.withUTF8 { TextCleaner.clean($0, configuration, into: &result) }
        return String(decoding: result, as: UTF8.self)
    }

    private func tokens(_ text: String, _ kind: TokenizerKind) throws -> [String] {
        let configuration = PreparationConfiguration(tokenizer: kind)
        return try TextPreparation(configuration: configuration, vocabulary: Vocabulary(counting: ["a": 1], size: 10)).tokens(text)
    }

    @Test(arguments: [
        ("Good<br /><br />movie <b class=\"x\">!</b>", "good movie !"),
        ("a < b, I <3 you, <y and z>, <unk>", "a < b, i <3 you, <y and z>, <unk>"),
        ("<P>x</P><custom id=1>y<HR>z", "x y z"),
        ("<!-- gone -->kept", "kept"),
        ("Tom &amp; Jerry&#39;s &#x1F600; &hellip; &#150; &bogus; &", "tom & jerry's 😀 ... – &bogus; &"),
        ("&lt;br&gt; &amp;lt;", "<br> &lt;"),
        ("see http://x.org/a?b=c. or WWW.x.org, www.", "see url . or url , www."),
        ("查看http://t.cn/abc吧", "查看 url 吧"),
        ("\tA\u{0}B\u{7F}\u{A0}\u{3000}C\r\n", "a b c"),
        ("zero\u{200B}width\u{FEFF} so\u{AD}ft ❤\u{FE0F}", "zerowidth soft ❤"),
        ("ＡＢＣ１２３，！“don’t”", "abc123,!\"don't\""),
        ("ÀÉÎ ΑΒΓ ПРИВЕТ ẞ", "àéî αβγ привет ß"),
        ("eﬃcient", "efficient"),
        ("", ""),
    ])
    func cleaning(text: String, expected: String) { #expect(clean(text) == expected) }

    @Test func cleaningCanBeSwitchedOff() {
        let raw = PreparationConfiguration(html: false, urls: false, fullWidth: false, lowercase: false)
        #expect(clean("<b>Ａ&amp;</b> http://X.org ’", raw) == "<b>Ａ&amp;</b> http://X.org ’")
    }

    @Test func everyScalarSurvivesCleaning() {
        // Neither tables nor folding may trap or make invalid UTF-8, whatever the text.
        var text = ""
        for value in stride(from: UInt32(1), through: 0x10FFFF, by: 7) {
            if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
        }
        var result: [UInt8] = []
        text.withUTF8 { TextCleaner.clean($0, .init(), into: &result) }
        #expect(String(validating: result, as: UTF8.self) != nil)
        for kind in [TokenizerKind.words, .characters, .icu] { #expect((try? tokens(text, kind))?.isEmpty == false) }
    }

    @Test(arguments: [
        ("I don't like it; it isn't good!!!", ["i", "do", "n't", "like", "it", ";", "it", "is", "n't", "good", "!!!"]),
        ("They're Bob's; I'd've won't", ["they", "'re", "bob", "'s", ";", "i'd", "'ve", "wo", "n't"]),
        ("it 's not n't 'quoted'", ["it", "'s", "not", "n't", "'", "quoted", "'"]),
        ("8/10, 3.5 stars, 1,000 at 10:30.", ["8/10", ",", "3.5", "stars", ",", "1,000", "at", "10:30", "."]),
        ("well-made 80s film -- wow...", ["well", "made", "80s", "film", "--", "wow", "..."]),
        ("great :) bad :-( <3 :D", ["great", ":)", "bad", ":-(", "<3", ":d"]),
        ("what?! @user #tag 50%", ["what", "?", "!", "@", "user", "#", "tag", "50", "%"]),
        ("naïve café Привет", ["naïve", "café", "привет"]),
        ("iPhone很好用！", ["iphone", "很", "好", "用", "!"]),
        ("ok 😀😀", ["ok", "😀", "😀"]),
        ("한국어 좋아요", ["한국어", "좋아요"]),
        ("", []),
    ])
    func words(text: String, expected: [String]) throws { #expect(try tokens(text, .words) == expected) }

    @Test func characters() throws {
        #expect(try tokens("不好 吃!", .characters) == ["不", "好", "吃", "!"])
        #expect(try tokens("de la", .characters) == ["d", "e", " ", "l", "a"])
        #expect(try tokens("e\u{301}a ", .characters) == ["e\u{301}", "a"])
    }

    @Test func dictionaryWords() throws {
        #expect(WordSegmenter.isWorking)
        let cut = try tokens("手机质量太差了，根本用不了，客服也不理人！", .icu)
        #expect(cut == ["手机", "质量", "太", "差", "了", ",", "根本", "用", "不了", ",", "客", "服", "也不", "理", "人", "!"])
        #expect(try tokens("iPhone 15 很好😀用", .icu) == ["iphone", "15", "很好", "😀", "用"])
    }

    @Test func automaticTokenizer() throws {
        #expect(try TextPreparation.fit(.init(), texts: ["good movie"]).configuration.tokenizer == .words)
        #expect(try TextPreparation.fit(.init(), texts: ["味道很好 OK"]).configuration.tokenizer == .icu)
        #expect(TokenizerChoice.choose(for: ["สวัสดีครับ"]) == .icu)
        #expect(TokenizerChoice.choose(for: ["한국어 좋아요"]) == .words)
        #expect(TokenizerChoice.choose(for: ["O'Neill", "Müller", "two words"]) == .characters)
        #expect(TokenizerChoice.choose(for: ["123 !", ""]) == .words)
    }

    @Test func stopWordsNeverNegate() throws {
        let english = PreparationConfiguration(tokenizer: .words, stopWords: .english)
        let preparation = try TextPreparation.fit(english, texts: ["the film is not good and I don't like it, no, never"])
        #expect(preparation.tokens("the film is not good and I don't like it, no, never")
            == ["film", "not", "good", "n't", "like", ",", "no", ",", "never"])
        for word in ["not", "no", "n't", "never", "nor", "without", "but"] {
            #expect(!StopWordLists.english.split(separator: " ").contains(Substring(word)))
        }
        for character in "不没无别未非勿莫" { #expect(!StopWordLists.chinese.contains(character)) }
    }

    @Test func truncation() throws {
        for (kind, expected) in [(Truncation.head, ["a", "b", "c"]), (.tail, ["c", "d", "e"]), (.middle, ["a", "b", "e"])] {
            let configuration = PreparationConfiguration(tokenizer: .words, maximumLength: 3, truncation: kind)
            let preparation = try TextPreparation.fit(configuration, texts: ["a b c d e"])
            #expect(preparation.tokens("a b c d e") == expected)
            #expect(preparation.encode("a b c d e") == expected.map { preparation.vocabulary[$0] })
            #expect(preparation.encode("a b c").count == 3)
        }
    }

    @Test func vocabularyByFrequency() throws {
        let configuration = PreparationConfiguration(tokenizer: .words, vocabularySize: 5)
        let preparation = try TextPreparation.fit(configuration, texts: ["b b c", "a c d"])
        #expect(preparation.vocabulary.tokens == ["<padding>", "<unknown>", "b", "c", "a"])
        #expect(preparation.encode("a b c d z") == [4, 2, 3, 1, 1])
        #expect(preparation.encode("") == [])
        #expect(Vocabulary(counting: ["x": 1, "y": 2], size: 9, minimumCount: 2).tokens.count == 3)
        #expect(preparation.vocabulary["<padding>"] == Vocabulary.unknown)
    }

    @Test func manyTextsKeepTheirOrder() throws {
        let many = (0..<1000).map { "row number\($0) of \($0 % 7)" }
        let preparation = try TextPreparation.fit(.init(tokenizer: .words), texts: many)
        #expect(preparation.encode(all: many) == many.map(preparation.encode))
        #expect(try TextPreparation.fit(.init(tokenizer: .words), texts: many).vocabulary == preparation.vocabulary)
    }

    @Test func vocabularyRoundTrip() throws {
        let odd = ["a": 9, " ": 8, "\\": 7, "\n": 6, "x\ty": 5, "\u{85}": 4, "好": 3]
        let vocabulary = Vocabulary(counting: odd, size: 100)
        #expect(vocabulary.count == 9)
        #expect(vocabulary.text.utf8.count { $0 == 0x0A } == 9)
        #expect(try Vocabulary(text: vocabulary.text) == vocabulary)
        // Swift takes these two spellings for equal; tokens are bytes.
        let accents = try TextPreparation.fit(.init(tokenizer: .words), texts: ["e\u{301} \u{e9}"]).vocabulary
        #expect(accents.count == 4)
        #expect(try Vocabulary(text: accents.text)["e\u{301}"] == accents["e\u{301}"])
        #expect(accents["e\u{301}"] != accents["\u{e9}"])
    }

    @Test(arguments: [
        ("a\nb\n", "v.txt:1"), ("<padding>\n<unknown>\na\n\nb\n", "v.txt:4"), ("<padding>\n<unknown>\na\na\n", "v.txt:4"),
        ("<padding>\n<unknown>\na\\q\n", "v.txt:3"), ("<padding>\n<unknown>\n\\u{110000}\n", "v.txt:3"),
    ])
    func brokenVocabulary(text: String, location: String) {
        let error = #expect(throws: CarouselError.self) { try Vocabulary(text: text, file: "v.txt") }
        #expect(error?.location == location)
        #expect(error?.status == .badData)
    }

    @Test func labelSets() throws {
        let labels = try LabelSet(names: ["10", "9", "-1"])
        #expect(labels.names == ["-1", "9", "10"])
        #expect(labels.index(of: "10") == 2 && labels.index(of: "11") == nil)
        #expect(try LabelSet(names: ["b", "a 1", " c"]).names == [" c", "a 1", "b"])
        #expect(try LabelSet(text: LabelSet(names: ["b", "a 1", " c\n"]).text) == LabelSet(names: ["b", "a 1", " c\n"]))
        #expect(throws: CarouselError.self) { try LabelSet(text: "a\na\n") }
    }

    @Test func configuration() throws {
        let decoded = try JSONDecoder().decode(PreparationConfiguration.self, from: Data("{\"stop_words\": \"chinese\", \"maximum_length\": 9}".utf8))
        #expect(decoded == PreparationConfiguration(stopWords: .chinese, maximumLength: 9))
        #expect(try JSONDecoder().decode(PreparationConfiguration.self, from: JSONEncoder().encode(decoded)) == decoded)
        for broken in [PreparationConfiguration(vocabularySize: 2), .init(minimumCount: 0), .init(maximumLength: 0)] {
            let error = #expect(throws: CarouselError.self) { try TextPreparation.fit(broken, texts: ["a"]) }
            #expect(error?.status == .badConfiguration)
        }
        let error = #expect(throws: CarouselError.self) { try TextPreparation.fit(.init(), texts: ["", " "]) }
        #expect(error?.status == .badData)
    }

    @Test func seriesAreStandardised() throws {
        let data = SeriesDataSet(name: "s", series: [[1, 5, 3, 5], [5, 5]], width: 2)
        let preparation = SeriesPreparation.fit(data, maximumLength: 1)
        #expect(preparation.mean == [3, 5])
        #expect(preparation.deviation[1] == 1)
        #expect(abs(preparation.deviation[0] - Float((8.0 / 3).squareRoot())) < 1e-6)
        let rows = try preparation.apply(data)
        #expect(rows.map(\.count) == [2, 2] && rows[0][1] == 0)
        #expect(try SeriesPreparation.fit(data, maximumLength: .max).apply(data)[0].count == 4)
        #expect(throws: CarouselError.self) { try SeriesPreparation(mean: [0, 0], deviation: [1]).apply(data) }
        #expect(try JSONDecoder().decode(SeriesPreparation.self, from: JSONEncoder().encode(preparation)) == preparation)
        #expect(throws: CarouselError.self) { try preparation.apply(SeriesDataSet(name: "s", series: [[1]], width: 1)) }
    }
}
