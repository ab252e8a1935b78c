import CarouselCore
import Glibc

/// From the bytes of a file to UTF-8 without byte order mark.
enum TextDecoder {
    /// UTF-8 if valid, UTF-16 with a byte order mark, else GB18030 tried on the whole file.
    /// - Throws: `badData` with the line of the first byte that fits none of them.
    static func decode(_ raw: [UInt8], path: String) throws -> (bytes: [UInt8], encoding: TextEncoding) {
        if raw.starts(with: [0xFF, 0xFE]) || raw.starts(with: [0xFE, 0xFF]) {
            guard let bytes = convert(raw, from: "UTF-16") else {
                throw CarouselError(.badData, "broken UTF-16", at: "\(path):1", hint: "save the file as UTF-8")
            }
            return (bytes, .utf16)
        }
        if let packed = packed.first(where: { raw.starts(with: $0.mark) })?.name {
            throw CarouselError(.badData, "this is \(packed), not text", at: path, hint: "unpack it, or export it as CSV in UTF-8")
        }
        let check = raw.withUnsafeBufferPointer(UTF8Check.init)
        guard let broken = check.firstBroken else {
            return (raw.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(raw.dropFirst(3)) : raw, .utf8)
        }
        // A few broken bytes among many good sequences are damaged UTF-8, not another encoding.
        if check.goodSequences < 10 * check.brokenBytes, looksChinese(raw), let bytes = convert(raw, from: "GB18030") {
            return (bytes, .gb18030)
        }
        throw CarouselError(.badData, "byte 0x\(String(raw[broken], radix: 16, uppercase: true)) is not UTF-8 (and the file is not GB18030)",
                            at: "\(path):\(InputFile.line(of: broken, in: raw))",
                            hint: "save the file as UTF-8, for example with iconv -f ENCODING -t UTF-8")
    }

    /// First bytes of what people have instead of the text in it.
    private static let packed: [(mark: [UInt8], name: String)] = [
        ([0x50, 0x4B, 0x03, 0x04], "a ZIP archive or a spreadsheet"), ([0x1F, 0x8B], "a gzip file"),
        ([0x42, 0x5A, 0x68], "a bzip2 file"), ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "an xz file"),
        ([0x28, 0xB5, 0x2F, 0xFD], "a Zstandard file"), (Array("PAR1".utf8), "a Parquet file"),
        ([0xD0, 0xCF, 0x11, 0xE0], "an old spreadsheet or document"),
    ]

    /// Whether bytes that are valid GB18030 are so by more than chance: most of its common characters have two high
    /// bytes, while the accents and quotes of Western encodings stand before ASCII letters.
    private static func looksChinese(_ raw: [UInt8]) -> Bool {
        var pairs = 0, others = 0
        var i = 0
        while i + 1 < raw.count {
            guard raw[i] >= 0x81 else { i += 1; continue }
            if raw[i + 1] >= 0xA1 { pairs += 1 } else { others += 1 }
            i += 2
        }
        return pairs >= others
    }

    /// The bytes in UTF-8, nil when they are not valid in `encoding` or the C library does not know it.
    static func convert(_ raw: [UInt8], from encoding: String) -> [UInt8]? {
        let converter = iconv_open("UTF-8", encoding)
        guard converter != iconv_t(bitPattern: -1) else { return nil }
        defer { iconv_close(converter) }
        // Two bytes become at most three, four bytes at most four.
        let capacity = raw.count * 2 + 16
        var raw = raw
        var succeeded = false
        let result = [UInt8](unsafeUninitializedCapacity: capacity) { output, count in
            count = 0
            raw.withUnsafeMutableBytes { input in
                output.withMemoryRebound(to: CChar.self) { output in
                    var from = input.baseAddress?.assumingMemoryBound(to: CChar.self)
                    var to = output.baseAddress
                    var fromLeft = input.count, toLeft = capacity
                    succeeded = iconv(converter, &from, &fromLeft, &to, &toLeft) != Int.max && fromLeft == 0
                        && iconv(converter, nil, nil, &to, &toLeft) != Int.max
                    count = capacity - toLeft
                }
            }
        }
        return succeeded ? result : nil
    }
}

/// Where bytes stop being UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
struct UTF8Check {
    /// Offset of the first byte that fits nowhere, nil when all is valid.
    private(set) var firstBroken: Int?
    private(set) var brokenBytes = 0
    /// Valid sequences of two and more bytes.
    private(set) var goodSequences = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let base = bytes.baseAddress else { return }
        let count = bytes.count
        var i = 0
        while i < count {
            // Eight ASCII bytes at a time.
            if i + 8 <= count, UnsafeRawPointer(base + i).loadUnaligned(as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
                i += 8
                continue
            }
            if base[i] < 0x80 {
                i += 1
                continue
            }
            let length = Self.sequenceLength(base + i, count - i)
            if length > 0 {
                goodSequences += 1
                i += length
            } else {
                if firstBroken == nil { firstBroken = i }
                brokenBytes += 1
                i += 1
            }
        }
    }

    /// 2 … 4, or 0 when no valid sequence begins here. The first byte is not ASCII.
    private static func sequenceLength(_ p: UnsafePointer<UInt8>, _ left: Int) -> Int {
        func isNext(_ i: Int) -> Bool { i < left && p[i] & 0xC0 == 0x80 }
        switch p[0] {
        case 0xC2...0xDF: return isNext(1) ? 2 : 0
        case 0xE0...0xEF:
            guard isNext(1), isNext(2) else { return 0 }
            if p[0] == 0xE0 && p[1] < 0xA0 || p[0] == 0xED && p[1] > 0x9F { return 0 }
            return 3
        case 0xF0...0xF4:
            guard isNext(1), isNext(2), isNext(3) else { return 0 }
            if p[0] == 0xF0 && p[1] < 0x90 || p[0] == 0xF4 && p[1] > 0x8F { return 0 }
            return 4
        default: return 0
        }
    }
}
