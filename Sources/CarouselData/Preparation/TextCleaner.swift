/// Removes what is not text and folds what means the same, in one pass over UTF-8 bytes.
///
/// Always: control characters and every kind of space become one space, invisible characters (soft hyphen,
/// zero-width joiners, direction marks, variation selectors) disappear. By configuration: tags, entities, web
/// addresses, full-width forms, case. An entity is decoded once and its result is not looked at again.
struct TextCleaner {
    private let text: UnsafeBufferPointer<UInt8>
    private let configuration: PreparationConfiguration

    /// The cleaned text replaces what was in `result`. It neither begins nor ends with a space and never has two in a row.
    static func clean(_ text: UnsafeBufferPointer<UInt8>, _ configuration: PreparationConfiguration, into result: inout [UInt8]) {
        result.removeAll(keepingCapacity: true)
        result.reserveCapacity(text.count + 16)
        TextCleaner(text: text, configuration: configuration).run(&result)
        if result.last == 0x20 { result.removeLast() }
    }

    private func run(_ result: inout [UInt8]) {
        let lowercase = configuration.lowercase
        var i = 0
        while i < text.count {
            let byte = text[i]
            switch byte {
            case UInt8(ascii: "<") where configuration.html:
                if let end = tagEnd(i) {
                    space(&result)
                    i = end
                    continue
                }
            case UInt8(ascii: "&") where configuration.html:
                if let (scalar, end) = Entities.decode(text, at: i) {
                    append(scalar, &result)
                    i = end
                    continue
                }
            case UInt8(ascii: "h"), UInt8(ascii: "H"), UInt8(ascii: "w"), UInt8(ascii: "W"):
                if configuration.urls, !(result.last.map(isAlphanumeric) ?? false), let end = addressEnd(i) {
                    space(&result)
                    result.append(contentsOf: "url".utf8)
                    space(&result)
                    i = end
                    continue
                }
            default: break
            }
            if byte < 0x80 {
                if byte <= 0x20 || byte == 0x7F {
                    space(&result)
                } else {
                    result.append(lowercase && byte &- 0x41 < 26 ? byte | 0x20 : byte)
                }
                i += 1
            } else {
                let (scalar, length) = decodeScalar(text, i)
                append(scalar, &result)
                i += length
            }
        }
    }

    @inline(__always)
    private func space(_ result: inout [UInt8]) {
        if let last = result.last, last != 0x20 { result.append(0x20) }
    }

    private func append(_ scalar: UInt32, _ result: inout [UInt8]) {
        var scalar = scalar
        switch scalar {
        // Chinese, Japanese and Korean letters need nothing: the common case first.
        case 0x3041...0xD7FF: break
        case 0...0x20, 0x7F...0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFFF9...0xFFFF:
            space(&result)
            return
        case 0xAD, 0x200B...0x200F, 0x202A...0x202E, 0x2060...0x206F, 0xFE00...0xFE0F, 0xFEFF, 0xE0000...0xE0FFF: return
        case 0x2018...0x201F, 0x2026, 0xFB00...0xFB06, 0xFF01...0xFF5E, 0xFFE0...0xFFE6:
            guard configuration.fullWidth else { break }
            switch scalar {
            case 0xFF01...0xFF5E: scalar -= 0xFEE0
            case 0xFFE0...0xFFE6: scalar = [0xA2, 0xA3, 0xAC, 0xAF, 0xA6, 0xA5, 0x20A9][Int(scalar - 0xFFE0)]
            case 0x2018, 0x2019, 0x201B: scalar = 0x27
            case 0x201C, 0x201D, 0x201E, 0x201F: scalar = 0x22
            case 0x2026:
                result.append(contentsOf: "...".utf8)
                return
            case 0xFB00...0xFB06:
                result.append(contentsOf: ["ff", "fi", "fl", "ffi", "ffl", "st", "st"][Int(scalar - 0xFB00)].utf8)
                return
            default: break
            }
        default: break
        }
        if configuration.lowercase { scalar = CharacterTables.lowercase(scalar) }
        appendScalar(scalar, to: &result)
    }

    /// The end of the tag or comment that begins at `start`, nil when that is just a `<`. A tag has an HTML name
    /// or attributes, so that `a < b and c > d`, `<3` and `<unk>` survive.
    private func tagEnd(_ start: Int) -> Int? {
        var i = start + 1
        let limit = min(text.count, start + 512)
        if text[i...].starts(with: "!--".utf8) {
            i += 3
            while i + 2 < text.count {
                if text[i] == UInt8(ascii: "-"), text[i + 1] == UInt8(ascii: "-"), text[i + 2] == UInt8(ascii: ">") { return i + 3 }
                i += 1
            }
            return nil
        }
        if i < limit, text[i] == UInt8(ascii: "/") || text[i] == UInt8(ascii: "!") { i += 1 }
        guard i < limit, (text[i] | 0x20) &- 0x61 < 26 else { return nil }
        let name = i
        while i < limit, isAlphanumeric(text[i]) { i += 1 }
        let isKnown = Self.tagNames.find(UnsafeBufferPointer(rebasing: text[name..<i])) != nil
        let hasSpace = i < limit && text[i] <= 0x20
        guard i < limit, hasSpace || text[i] == UInt8(ascii: ">") || text[i] == UInt8(ascii: "/") else { return nil }
        var hasEquals = false, hasWord = false
        while i < limit, text[i] != UInt8(ascii: ">") {
            if text[i] == UInt8(ascii: "<") { return nil }
            hasEquals = hasEquals || text[i] == UInt8(ascii: "=")
            hasWord = hasWord || text[i] > 0x20 && text[i] != UInt8(ascii: "/")
            i += 1
        }
        return i < limit && (hasEquals || isKnown && !hasWord) ? i + 1 : nil
    }

    /// Names of elements in reviews, mails and web pages, in either case.
    private static let tagNames: TokenTable = {
        var table = TokenTable()
        let names = """
            a abbr article aside audio b big blockquote body br button center cite code dd del details div dl dt em figure font \
            footer form h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins label li link main mark meta nav object ol \
            option p param pre q s script section select small source span strike strong style sub summary sup svg table tbody \
            td textarea tfoot th thead title tr tt u ul var video wbr
            """
        for name in names.split(separator: " ") {
            _ = table.insert(String(name))
            _ = table.insert(name.uppercased())
        }
        return table
    }()

    /// The end of the web address that begins at `start`, nil when none does. Punctuation at its end is not part of it.
    private func addressEnd(_ start: Int) -> Int? {
        func begins(_ prefix: StaticString) -> Bool {
            guard start + prefix.utf8CodeUnitCount < text.count else { return false }
            for k in 0..<prefix.utf8CodeUnitCount where text[start + k] | 0x20 != prefix.utf8Start[k] | 0x20 { return false }
            return true
        }
        guard begins("http://") || begins("https://") || begins("www.") else { return nil }
        var end = start
        while end < text.count, text[end] > 0x20, text[end] < 0x7F,
              text[end] != UInt8(ascii: "<"), text[end] != UInt8(ascii: ">"), text[end] != UInt8(ascii: "\"") { end += 1 }
        while end > start, ".,;:!?)'".utf8.contains(text[end - 1]) { end -= 1 }
        return end
    }
}

@inline(__always)
func isAlphanumeric(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 }

/// The scalar at `i` of valid UTF-8 and its length in bytes.
@inline(__always)
func decodeScalar(_ bytes: UnsafeBufferPointer<UInt8>, _ i: Int) -> (scalar: UInt32, length: Int) {
    let first = UInt32(bytes[i])
    if first < 0x80 { return (first, 1) }
    func next(_ k: Int) -> UInt32 { UInt32(bytes[i + k] & 0x3F) }
    if first < 0xE0 { return ((first & 0x1F) << 6 | next(1), 2) }
    if first < 0xF0 { return ((first & 0x0F) << 12 | next(1) << 6 | next(2), 3) }
    return ((first & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3), 4)
}

/// Appends a scalar as UTF-8; what is no scalar becomes a space.
func appendScalar(_ scalar: UInt32, to result: inout [UInt8]) {
    switch scalar {
    case 0..<0x80: result.append(UInt8(scalar))
    case 0x80..<0x800: result += [UInt8(0xC0 | scalar >> 6), UInt8(0x80 | scalar & 0x3F)]
    case 0xD800...0xDFFF: result.append(0x20)
    case 0x800..<0x10000:
        result.append(UInt8(0xE0 | scalar >> 12))
        result.append(UInt8(0x80 | scalar >> 6 & 0x3F))
        result.append(UInt8(0x80 | scalar & 0x3F))
    case 0x10000...0x10FFFF:
        result += [UInt8(0xF0 | scalar >> 18), UInt8(0x80 | scalar >> 12 & 0x3F), UInt8(0x80 | scalar >> 6 & 0x3F),
                   UInt8(0x80 | scalar & 0x3F)]
    default: result.append(0x20)
    }
}
