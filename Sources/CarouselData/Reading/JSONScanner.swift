import CarouselCore
import Glibc

/// A JSON value (RFC 8259); numbers stay as their bytes until somebody asks.
enum JSONValue {
    case null, bool(Bool), number(Range<Int>), string(String), array([JSONValue]), object([JSONMember])
}

/// One key of a JSON object with its value.
struct JSONMember {
    var key: String
    var value: JSONValue
}

/// Parses JSON values one after the other from UTF-8 bytes.
struct JSONScanner {
    private let path: String
    private let bytes: UnsafeBufferPointer<UInt8>
    private(set) var position = 0
    /// 1-based line at `position`.
    private(set) var line = 1

    /// - Parameter bytes: valid UTF-8 with a zero byte at the end.
    init(_ bytes: UnsafeBufferPointer<UInt8>, path: String) {
        self.bytes = bytes
        self.path = path
    }

    /// The next byte that is not white space; 0 at the end.
    mutating func peek() -> UInt8 {
        while true {
            switch bytes[position] {
            case 0x0A:
                line += 1
                position += 1
            case 0x20, 0x09, 0x0D: position += 1
            default: return bytes[position]
            }
        }
    }

    mutating func skip(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        position += 1
        return true
    }

    func error(_ message: String) -> CarouselError {
        CarouselError(.badData, message, at: "\(path):\(line)", hint: "write one JSON object per line, such as {\"text\": \"…\", \"label\": \"…\"}")
    }

    /// - Throws: `badData` with the line where the JSON breaks.
    mutating func value(depth: Int = 0) throws -> JSONValue {
        guard depth < 64 else { throw error("JSON is nested too deeply") }
        switch peek() {
        case UInt8(ascii: "{"):
            position += 1
            var members: [JSONMember] = []
            if skip(UInt8(ascii: "}")) { return .object(members) }
            repeat {
                guard peek() == UInt8(ascii: "\"") else { throw error("a key in quotes is missing in a JSON object") }
                let key = try string()
                guard skip(UInt8(ascii: ":")) else { throw error("a colon is missing after the JSON key '\(key)'") }
                members.append(JSONMember(key: key, value: try value(depth: depth + 1)))
            } while skip(UInt8(ascii: ","))
            guard skip(UInt8(ascii: "}")) else { throw error("a JSON object is not closed") }
            return .object(members)
        case UInt8(ascii: "["):
            position += 1
            var elements: [JSONValue] = []
            if skip(UInt8(ascii: "]")) { return .array(elements) }
            repeat { elements.append(try value(depth: depth + 1)) } while skip(UInt8(ascii: ","))
            guard skip(UInt8(ascii: "]")) else { throw error("a JSON array is not closed") }
            return .array(elements)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            let start = position
            while Self.isNumberByte(bytes[position]) { position += 1 }
            return .number(start..<position)
        default: throw error("this is not JSON")
        }
    }

    /// The number in `range`, nil when it is malformed or not finite.
    func number(_ range: Range<Int>) -> Double? {
        guard let base = bytes.baseAddress else { return nil }
        let start = UnsafeRawPointer(base + range.lowerBound).assumingMemoryBound(to: CChar.self)
        var end: UnsafeMutablePointer<CChar>?
        let value = strtod(start, &end)
        guard let end, UnsafePointer(end) - start == range.count, value.isFinite else { return nil }
        return value
    }

    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    private static func isNumberByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
             UInt8(ascii: "e"), UInt8(ascii: "E"): true
        default: false
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else { throw error("this is not JSON") }
        position += word.utf8.count
        return value
    }

    /// The string whose opening quote is at `position`.
    private mutating func string() throws -> String {
        position += 1
        let start = position
        while bytes[position] >= 0x20, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\") { position += 1 }
        if bytes[position] == UInt8(ascii: "\"") {
            position += 1
            return String(decoding: bytes[start..<(position - 1)], as: UTF8.self)
        }
        var result = Array(bytes[start..<position])
        while bytes[position] != UInt8(ascii: "\"") {
            guard bytes[position] >= 0x20 else { throw error("a JSON string is not closed on its line") }
            if bytes[position] == UInt8(ascii: "\\") {
                position += 1
                try escape(into: &result)
            } else {
                result.append(bytes[position])
                position += 1
            }
        }
        position += 1
        return String(decoding: result, as: UTF8.self)
    }

    /// The escape whose letter is at `position`. Half a surrogate pair becomes U+FFFD.
    private mutating func escape(into result: inout [UInt8]) throws {
        let letter = bytes[position]
        position += 1
        switch letter {
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(letter)
        case UInt8(ascii: "u"):
            var unit = try hexadecimal()
            if unit & 0xFC00 == 0xD800, bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u") {
                let before = position
                position += 2
                let low = try hexadecimal()
                if low & 0xFC00 == 0xDC00 {
                    unit = 0x10000 + (unit & 0x3FF) << 10 + low & 0x3FF
                } else {
                    position = before
                }
            }
            result.append(contentsOf: String(Unicode.Scalar(unit) ?? "\u{FFFD}").utf8)
        default: throw error("broken escape in a JSON string")
        }
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else { throw error("broken escape in a JSON string") }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }
}
