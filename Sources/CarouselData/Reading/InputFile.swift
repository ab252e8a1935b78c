import CarouselCore
import Glibc

/// A whole file as UTF-8 bytes, without byte order mark.
struct InputFile: Sendable {
    let path: String
    let bytes: [UInt8]
    let encoding: TextEncoding

    init(path: String, bytes: [UInt8], encoding: TextEncoding) {
        self.path = path
        self.bytes = bytes
        self.encoding = encoding
    }

    /// - Throws: `missingInput` when the file cannot be read, `badData` when it is empty or is neither UTF-8,
    ///   UTF-16 with a byte order mark, nor GB18030.
    init(path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.unreadable(path, errno) }
        defer { close(descriptor) }
        var status = stat()
        let size = fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
        let raw = try Self.readAll(descriptor, path: path, expected: size)
        try self.init(raw: raw, path: path)
    }

    init(standardInput name: String) throws {
        try self.init(raw: Self.readAll(0, path: name, expected: 0), path: name)
    }

    /// - Parameter raw: the file as it is on disk.
    init(raw: [UInt8], path: String) throws {
        self.path = path
        let decoded = try TextDecoder.decode(raw, path: path)
        // Old line ends: in a file without a single line feed every carriage return ends a line.
        let hasOldEnds = !decoded.bytes.contains(0x0A) && decoded.bytes.contains(0x0D)
        bytes = hasOldEnds ? decoded.bytes.map { $0 == 0x0D ? 0x0A : $0 } : decoded.bytes
        encoding = decoded.encoding
        guard bytes.contains(where: { $0 > 0x20 }) else {
            throw CarouselError(.badData, "the file is empty", at: path, hint: "give a file with one row per line")
        }
    }

    static func unreadable(_ path: String, _ code: Int32) -> CarouselError {
        let reason = String(cString: strerror(code))
        return CarouselError(.missingInput, code == ENOENT ? "no such file or folder" : "cannot be read: \(reason)", at: path,
                             hint: code == ENOENT ? "check the path; relative paths start at the current folder" : "check the permissions")
    }

    /// Bytes of this machine's memory.
    static var memory: Int { sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)) }

    /// Everything up to the end of an open file.
    /// - Parameter limit: bytes beyond which the file is refused; the default leaves room for what is made of it.
    /// - Throws: `outOfMemory` (75) above the limit, `inputOutput` (74).
    static func readAll(_ descriptor: Int32, path: String, expected: Int, limit: Int = memory / 4) throws -> [UInt8] {
        var bytes = [UInt8]()
        func check(_ size: Int) throws {
            guard size > limit else { return }
            throw CarouselError(.outOfMemory, "is larger than \(limit >> 20) MiB, a quarter of this machine's memory", at: path,
                                hint: "train on a part of the rows, or on a larger machine")
        }
        try check(expected)
        var capacity = max(expected + 1, 1 << 16)
        while true {
            var result = 0
            let more = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                result = read(descriptor, buffer.baseAddress, buffer.count)
                count = max(0, result)
            }
            if result < 0 {
                if errno == EINTR { continue }
                throw unreadable(path, errno)
            }
            if result == 0 { return bytes }
            if bytes.isEmpty { bytes = more } else { bytes += more }
            try check(bytes.count)
            capacity = max(1 << 16, expected - bytes.count + 1)
        }
    }

    /// 1-based line of a byte.
    static func line(of offset: Int, in bytes: [UInt8]) -> Int {
        bytes.withUnsafeBufferPointer { buffer in
            buffer[..<min(offset, buffer.count)].reduce(1) { $1 == 0x0A ? $0 + 1 : $0 }
        }
    }
}

/// Lines of text as they arrive on a descriptor.
final class LineStream {
    let name: String
    /// 1-based number of the line last returned.
    private(set) var line = 0
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var position = 0
    private var ended = false

    init(descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    /// The next line without its end; nil at the end.
    /// - Throws: `badData` for a line that is not UTF-8, `inputOutput` when reading fails.
    func next() throws -> String? {
        var searched = position
        while true {
            if let end = buffer[searched...].firstIndex(of: 0x0A) {
                defer { position = end + 1 }
                return try text(buffer[position..<end])
            }
            searched = buffer.count
            if ended {
                guard position < buffer.count else { return nil }
                defer { position = buffer.count }
                return try text(buffer[position...])
            }
            searched -= position
            buffer.removeFirst(position)
            position = 0
            var chunk = [UInt8](repeating: 0, count: 1 << 16)
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw CarouselError(.inputOutput, "cannot be read: \(String(cString: strerror(errno)))", at: name)
            }
            ended = count == 0
            buffer += chunk[..<max(0, count)]
        }
    }

    private func text(_ bytes: ArraySlice<UInt8>) throws -> String {
        line += 1
        var bytes = bytes
        if line == 1, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
        if bytes.last == 0x0D { bytes = bytes.dropLast() }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CarouselError(.badData, "text that is not UTF-8", at: "\(name):\(line)",
                                hint: "convert the input first, for example with iconv -f GB18030 -t UTF-8")
        }
        return text
    }
}
