import CarouselCore

/// The tokens a model knows; a token's number is its position. 0 is padding, 1 every unknown token.
public struct Vocabulary: Sendable, Equatable {
    /// Stands for no token; no text is encoded to it.
    public static let padding: Int32 = 0
    /// Stands for every token that is not in the vocabulary.
    public static let unknown: Int32 = 1
    /// How the two reserved numbers are written in files.
    static let reserved = ["<padding>", "<unknown>"]

    /// All tokens with the two reserved ones in front.
    public let tokens: [String]
    /// Keys are the tokens without the reserved ones: number = key + 2.
    private let table: TokenTable

    /// Number of tokens, the two reserved ones included.
    public var count: Int { tokens.count }

    /// The same tokens, byte for byte, in the same order.
    public static func == (a: Vocabulary, b: Vocabulary) -> Bool {
        a.count == b.count && zip(a.tokens, b.tokens).allSatisfy { $0.utf8.elementsEqual($1.utf8) }
    }

    /// The most frequent tokens; equal counts are ordered by the tokens' UTF-8 bytes.
    /// - Parameters:
    ///   - size: largest number of tokens, the two reserved ones included.
    ///   - minimumCount: rarer tokens are left out.
    public init(counting counts: [String: Int], size: Int, minimumCount: Int = 1) {
        var collected = TokenCounts()
        for (token, count) in counts {
            var token = token
            token.withUTF8 { collected.add($0, count) }
        }
        self.init(counting: collected, size: size, minimumCount: minimumCount)
    }

    init(counting counts: TokenCounts, size: Int, minimumCount: Int) {
        var frequent: [(count: Int, token: String)] = []
        for (k, count) in counts.counts.enumerated() where count >= max(1, minimumCount) {
            let token = counts.table.string(k)
            if !Self.reserved.contains(token) { frequent.append((count, token)) }
        }
        frequent.sort {
            $0.count != $1.count ? $0.count > $1.count : $0.token.utf8.lexicographicallyPrecedes($1.token.utf8)
        }
        self.init(known: frequent.prefix(max(0, size - 2)).map(\.token))
    }

    /// - Parameter known: distinct tokens without the reserved ones.
    private init(known: [String]) {
        var table = TokenTable(capacity: known.count)
        for token in known { _ = table.insert(token) }
        self.table = table
        tokens = Self.reserved + known
    }

    /// The token's number, `unknown` when it is not in the vocabulary.
    public subscript(token: String) -> Int32 {
        var token = token
        return token.withUTF8 { number(of: $0) }
    }

    /// The number of a token given as UTF-8.
    @inline(__always)
    func number(of token: UnsafeBufferPointer<UInt8>) -> Int32 {
        table.find(token).map { Int32($0) + 2 } ?? Self.unknown
    }

    /// One token per line, escaped where needed: line n holds token n − 1.
    public var text: String { LineEscapes.encode(tokens) }

    /// Reads what `text` wrote.
    /// - Throws: `badData` with the line of a broken, empty, repeated or misplaced token.
    public init(text: String, file: String = "vocabulary.txt") throws {
        let lines = try LineEscapes.decode(text, file: file)
        guard lines.count >= 2, Array(lines[..<2]) == Self.reserved else {
            throw CarouselError(.badData, "a vocabulary begins with the lines \(Self.reserved.joined(separator: " and "))",
                                at: "\(file):1", hint: "give the vocabulary file from the folder of a model")
        }
        var table = TokenTable(capacity: lines.count)
        for (i, token) in lines.enumerated().dropFirst(2) {
            guard !token.isEmpty else { throw CarouselError(.badData, "empty token", at: "\(file):\(i + 1)") }
            guard table.insert(token) == i - 2 else {
                throw CarouselError(.badData, "token '\(token)' appears twice", at: "\(file):\(i + 1)")
            }
        }
        self.table = table
        tokens = lines
    }
}
