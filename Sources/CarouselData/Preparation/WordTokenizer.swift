/// Words, numbers and marks of scripts that put spaces between words.
///
/// - Letters, digits and accents run together: `movie`, `80s`, `naïve`.
/// - Contractions come apart as in the Penn Treebank, so that every negation ends in the same token:
///   `don't` → `do` `n't`, `it's` → `it` `'s`; text that was split so already stays as it is.
/// - Numbers keep what stands between digits: `3.5`, `1,000`, `8/10`, `10:30`.
/// - A mark is a token; repeated, it is one token of up to three: `!`, `!!`, `!!!`, `...`.
/// - Simple emoticons are tokens: `:)`, `:-(`, `;d`, `<3`. A hyphen between letters only separates.
/// - Ideographs and kana are tokens of their own; other symbols too, such as emoji.
enum WordTokenizer {
    /// Calls `emit` with the byte range of every token of a cleaned text.
    @inline(__always)
    static func tokens(_ bytes: UnsafeBufferPointer<UInt8>, _ emit: (Range<Int>) -> Void) {
        var i = 0
        while i < bytes.count {
            let (scalar, length) = decodeScalar(bytes, i)
            switch CharacterTables.characterClass(scalar) {
            case .space: i += length
            case .letter, .digit, .mark:
                let end = wordEnd(bytes, i)
                let split = contraction(bytes, i..<end)
                if split > i { emit(i..<split) }
                if split < end { emit(split..<end) }
                i = end
            case .ideograph:
                emit(i..<i + length)
                i += length
            case .other:
                if length > 1 {
                    emit(i..<i + length)
                    i += length
                } else {
                    i = mark(bytes, i, emit)
                }
            }
        }
    }

    /// The end of the run of word characters that begins at `start`.
    private static func wordEnd(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
        var i = start
        while i < bytes.count {
            let byte = bytes[i]
            if byte < 0x80 {
                if isAlphanumeric(byte) {
                    i += 1
                } else if i > start, i + 1 < bytes.count, joins(byte, bytes[i - 1], bytes[i + 1]) {
                    i += 2
                } else {
                    return i
                }
            } else {
                let (scalar, length) = decodeScalar(bytes, i)
                switch CharacterTables.characterClass(scalar) {
                case .letter, .digit, .mark: i += length
                default: return i
                }
            }
        }
        return i
    }

    /// Whether a mark between two characters belongs to the word.
    private static func joins(_ mark: UInt8, _ before: UInt8, _ after: UInt8) -> Bool {
        switch mark {
        case UInt8(ascii: "'"):
            // After a non-ASCII letter too; before one the word ends, which is rare and harmless.
            return (before | 0x20) &- 0x61 < 26 && (after | 0x20) &- 0x61 < 26 || before >= 0x80 && (after | 0x20) &- 0x61 < 26
        case UInt8(ascii: "."), UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "/"):
            return before &- 0x30 < 10 && after &- 0x30 < 10
        default: return false
        }
    }

    /// Where an English contraction is cut: `n't`, `'s`, `'re`, `'ve`, `'ll`, `'d`, `'m`; the end when it is none.
    private static func contraction(_ bytes: UnsafeBufferPointer<UInt8>, _ word: Range<Int>) -> Int {
        let end = word.upperBound
        func letter(_ back: Int) -> UInt8 { bytes[end - back] | 0x20 }
        func isQuote(_ back: Int) -> Bool { bytes[end - back] == UInt8(ascii: "'") }
        if word.count >= 3, isQuote(2) {
            switch letter(1) {
            case UInt8(ascii: "t"): return letter(3) == UInt8(ascii: "n") ? end - 3 : end
            case UInt8(ascii: "s"), UInt8(ascii: "d"), UInt8(ascii: "m"): return end - 2
            default: return end
            }
        }
        if word.count >= 4, isQuote(3) {
            switch (letter(2), letter(1)) {
            case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")), (UInt8(ascii: "l"), UInt8(ascii: "l")):
                return end - 3
            default: return end
            }
        }
        return end
    }

    /// The token of ASCII marks that begins at `i`; returns where the next one begins.
    @inline(__always)
    private static func mark(_ bytes: UnsafeBufferPointer<UInt8>, _ i: Int, _ emit: (Range<Int>) -> Void) -> Int {
        let byte = bytes[i]
        func isEnd(_ k: Int) -> Bool { k >= bytes.count || !isAlphanumeric(bytes[k]) }
        switch byte {
        case UInt8(ascii: "-"):
            let isInside = i > 0 && i + 1 < bytes.count && bytes[i - 1] > 0x20 && bytes[i + 1] > 0x20
                && isWordByte(bytes[i - 1]) && isWordByte(bytes[i + 1])
            if isInside { return i + 1 }
        case UInt8(ascii: "'"):
            // `it 's`, as split by somebody else's tokenizer.
            if i == 0 || bytes[i - 1] == 0x20 {
                for suffix in ["s", "re", "ve", "ll", "d", "m"] as [StaticString] {
                    let end = i + 1 + suffix.utf8CodeUnitCount
                    guard end <= bytes.count, isEnd(end) else { continue }
                    if (0..<suffix.utf8CodeUnitCount).allSatisfy({ bytes[i + 1 + $0] | 0x20 == suffix.utf8Start[$0] }) {
                        emit(i..<end)
                        return end
                    }
                }
            }
        case UInt8(ascii: ":"), UInt8(ascii: ";"), UInt8(ascii: "="):
            var mouth = i + 1
            if mouth < bytes.count, bytes[mouth] == UInt8(ascii: "-") { mouth += 1 }
            if mouth < bytes.count, ")(][|/\\*pPdDoO".utf8.contains(bytes[mouth]), isEnd(mouth + 1) {
                emit(i..<mouth + 1)
                return runEnd(bytes, mouth)
            }
        case UInt8(ascii: "<"):
            if i + 1 < bytes.count, bytes[i + 1] == UInt8(ascii: "3"), isEnd(i + 2) {
                emit(i..<i + 2)
                return i + 2
            }
        default: break
        }
        let end = runEnd(bytes, i)
        emit(i..<min(end, i + 3))
        return end
    }

    private static func isWordByte(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || byte >= 0x80 }

    /// The end of the run of one byte that begins at `start`.
    private static func runEnd(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
        var end = start + 1
        while end < bytes.count, bytes[end] == bytes[start] { end += 1 }
        return end
    }
}

/// Every character with its accents is a token; a space is one only between two letters of spaced scripts,
/// where it tells words apart.
enum CharacterTokenizer {
    /// Calls `emit` with the byte range of every token of a cleaned text.
    @inline(__always)
    static func tokens(_ bytes: UnsafeBufferPointer<UInt8>, _ emit: (Range<Int>) -> Void) {
        var start = 0
        var i = 0
        var before = CharacterClass.space
        while i < bytes.count {
            let (scalar, length) = decodeScalar(bytes, i)
            let kind = CharacterTables.characterClass(scalar)
            if kind == .mark, i > start {
                i += length
                continue
            }
            if i > start { emit(start..<i) }
            start = i
            i += length
            if kind == .space {
                let after = i < bytes.count ? CharacterTables.characterClass(decodeScalar(bytes, i).scalar) : .space
                if before == .space || before == .ideograph || after == .space || after == .ideograph { start = i }
            }
            before = kind
        }
        if i > start { emit(start..<i) }
    }
}
