import Carousel
import Foundation
import Glibc

/// Standard output for results, standard error for everything a person reads while waiting.
/// The program prints from one thread.
enum Console {
    nonisolated(unsafe) private static var buffer: [UInt8] = []
    nonisolated(unsafe) private static var hasStatusLine = false
    /// Switches progress and messages off; errors stay.
    nonisolated(unsafe) static var isQuiet = false

    static let errorIsTerminal = isatty(STDERR_FILENO) == 1

    /// Prints one line of a result.
    /// - Throws: `inputOutput` (74) when standard output cannot be written.
    static func print(_ line: String = "") throws {
        buffer.append(contentsOf: line.utf8)
        buffer.append(0x0A)
        if buffer.count > 1 << 16 { try flush() }
    }

    /// Prints several lines of a result.
    static func print(_ lines: [String]) throws { for line in lines { try print(line) } }

    /// Prints a value as JSON with sorted keys in snake case.
    static func print(json value: some Encodable, pretty: Bool = true) throws {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = pretty ? [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes] : [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        try print(String(decoding: encoder.encode(value), as: UTF8.self))
    }

    /// Hands printed lines over to standard output.
    static func flush() throws {
        clearStatus()
        defer { buffer.removeAll(keepingCapacity: true) }
        var rest = buffer[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else {
                // The reader has left (`… | head`): nothing to say, and nobody to say it to.
                if errno == EPIPE { _exit(128 + SIGPIPE) }
                throw CarouselError(.inputOutput, "cannot write: \(String(cString: strerror(errno)))", at: "standard output")
            }
            rest = rest.dropFirst(written)
        }
    }

    /// A message for people, unless `--quiet`.
    static func message(_ line: String = "") {
        guard !isQuiet else { return }
        writeError(line + "\n")
    }

    static func error(_ error: CarouselError) { writeError("error: \(error)\n") }

    /// Replaces the line at the bottom of a terminal.
    static func status(_ line: String) {
        guard !isQuiet, errorIsTerminal else { return }
        hasStatusLine = true
        put("\r" + clipped(line) + "\u{1B}[K")
    }

    /// Removes the line at the bottom of a terminal.
    static func clearStatus() {
        guard hasStatusLine else { return }
        hasStatusLine = false
        put("\r\u{1B}[K")
    }

    private static func writeError(_ text: String) {
        clearStatus()
        put(text)
    }

    /// A message nobody can read is no reason to stop, so failures are ignored.
    private static func put(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { return }
            bytes = bytes.dropFirst(written)
        }
    }

    /// As much of `line` as fits, since a wrapped line cannot be replaced.
    private static func clipped(_ line: String) -> String {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return line }
        return String(line.prefix(Int(size.ws_col) - 1))
    }
}

/// Numbers as people read them.
enum Format {
    static func count(_ value: Int) -> String {
        var digits = Array(String(abs(value)))
        var place = digits.count - 3
        while place > 0 {
            digits.insert(",", at: place)
            place -= 3
        }
        return (value < 0 ? "-" : "") + String(digits)
    }

    static func bytes(_ value: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var amount = Double(value), unit = 0
        while amount >= 1024 && unit < units.count - 1 { amount /= 1024; unit += 1 }
        return unit == 0 ? "\(value) B" : String(format: "%.1f %@", amount, units[unit])
    }

    /// 0:07, 12:30, 1:02:03
    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "?" }
        let total = Int(max(0, seconds).rounded())
        let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60)
        return hours > 0 ? String(format: "%d:%02d:%02d", hours, minutes, rest) : String(format: "%d:%02d", minutes, rest)
    }

    /// 950, 12.3k, 1.84M
    static func rate(_ value: Double) -> String {
        switch value {
        case 1e6...: String(format: "%.2fM", value / 1e6)
        case 1e3...: String(format: "%.1fk", value / 1e3)
        default: String(format: "%.0f", value)
        }
    }

    /// Three digits: 0.0123, 4.56, 789, 12345.
    static func significant(_ value: Double) -> String { abs(value) >= 100 ? String(format: "%.0f", value) : String(format: "%.3g", value) }

    static func share(_ value: Double) -> String { String(format: abs(value) < 1e6 ? "%.4f" : "%.3e", value) }

    /// A word as a shell takes it: in quotes where it must be.
    static func argument(_ word: String) -> String {
        let isPlain = !word.isEmpty && word.allSatisfy { $0.isLetter || $0.isNumber || "/._-+=:,@%".contains($0) }
        return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }
}
