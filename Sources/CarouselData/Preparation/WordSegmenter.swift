import CarouselCore
import CICU

/// Words of scripts without spaces, by the dictionaries of the ICU that comes with Swift.
enum WordSegmenter {
    /// Whether ICU cuts a known sentence as expected; asked once per process.
    static let isWorking: Bool = {
        var scratch = Scratch()
        var words: [String] = []
        let sample = Array("手机质量太差了".utf8)
        sample.withUnsafeBufferPointer { bytes in
            scratch.tokens(bytes) { words.append(String(decoding: bytes[$0], as: UTF8.self)) }
        }
        return words.starts(with: ["手机", "质量"])
    }()

    /// - Throws: `badConfiguration` when ICU is missing or is not the one this program was written for.
    static func requireWorking() throws {
        guard isWorking else {
            throw CarouselError(.badConfiguration, "ICU's word breaks do not work in this program", at: "preparation.tokenizer",
                                hint: "use tokenizer characters")
        }
    }

    /// One thread's break iterator and memory.
    struct Scratch {
        private var breaker: Breaker?
        private var units: [UInt16] = []
        /// Byte offset of each unit, and of the end.
        private var offsets: [Int32] = []
        private var ends: [Int32] = []

        init() {}

        /// Calls `emit` with the byte range of every word and mark of a cleaned text. Should ICU fail, which the
        /// self-test rules out for the program's life, every character is a token.
        mutating func tokens(_ bytes: UnsafeBufferPointer<UInt8>, _ emit: (Range<Int>) -> Void) {
            guard !bytes.isEmpty else { return }
            let breaker = self.breaker ?? Breaker()
            self.breaker = breaker
            units.removeAll(keepingCapacity: true)
            offsets.removeAll(keepingCapacity: true)
            var i = 0
            while i < bytes.count {
                let (scalar, length) = decodeScalar(bytes, i)
                offsets.append(Int32(i))
                if scalar < 0x10000 {
                    units.append(UInt16(scalar))
                } else {
                    units.append(UInt16(0xD800 + (scalar - 0x10000) >> 10))
                    units.append(UInt16(0xDC00 + (scalar - 0x10000) & 0x3FF))
                    offsets.append(Int32(i))
                }
                i += length
            }
            offsets.append(Int32(bytes.count))
            if ends.count < units.count { ends = [Int32](repeating: 0, count: units.count * 2) }
            let count = Int(carousel_word_breaker_segments(breaker.handle, units, Int32(units.count), &ends))
            guard breaker.handle != nil, count >= 0 else {
                CharacterTokenizer.tokens(bytes, emit)
                return
            }
            var start = 0
            for end in ends[..<count] {
                let stop = Int(offsets[Int(end)])
                if stop > start, bytes[start] != 0x20 { emit(start..<stop) }
                start = stop
            }
        }
    }

    /// Owns an ICU break iterator.
    private final class Breaker {
        let handle: OpaquePointer?

        init() { handle = carousel_word_breaker_open("zh") }
        deinit { carousel_word_breaker_close(handle) }
    }
}

/// What `tokenizer: auto` means for given texts.
enum TokenizerChoice {
    /// `icu` when at least a third of the letters of up to 2,000 texts, spread over the set, belong to Chinese,
    /// Japanese or a South-East Asian script without spaces (`characters` where ICU does not work); `characters`
    /// when more than half of them are a single word, such as names; else `words`.
    static func choose(for texts: [String]) -> TokenizerKind {
        var letters = 0, unspaced = 0, rows = 0, singleWords = 0
        for row in stride(from: 0, to: texts.count, by: max(1, texts.count / 2000)) {
            let words = texts[row].utf8.split(maxSplits: 2) { $0 <= 0x20 }
            rows += 1
            if words.count == 1, words[0].allSatisfy({ $0 >= 0x80 || isAlphanumeric($0) || $0 == UInt8(ascii: "'") }) { singleWords += 1 }
            for scalar in texts[row].unicodeScalars.prefix(1000) {
                switch scalar.value {
                // Thai, Lao, Myanmar, Khmer.
                case 0x0E00...0x0EFF, 0x1000...0x109F, 0x1780...0x17FF:
                    letters += 1
                    unspaced += 1
                case let value:
                    switch CharacterTables.characterClass(value) {
                    case .letter: letters += 1
                    case .ideograph:
                        letters += 1
                        unspaced += 1
                    default: break
                    }
                }
            }
        }
        guard unspaced * 3 >= letters, unspaced > 0 else { return singleWords * 2 > rows ? .characters : .words }
        return WordSegmenter.isWorking ? .icu : .characters
    }
}
