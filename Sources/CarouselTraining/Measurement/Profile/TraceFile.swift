import CarouselCore
import Foundation
import Glibc

/// One event of the Chrome trace event format; times in microseconds.
struct TraceEvent: Encodable {
    var name: String
    /// Categories that a viewer can filter by.
    var cat = ""
    /// `X`: from `ts`, `dur` long. `M`: names a track.
    var ph = "X"
    var ts = 0.0
    var dur: Double?
    /// Tracks are grouped by process and ordered by thread.
    var pid: Int
    var tid: Int
    var args: [String: Value]?

    /// What a viewer shows of an event.
    enum Value: Encodable {
        case text(String)
        case number(Double)
        case list([Int])

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .text(let text): try container.encode(text)
            case .number(let number): try container.encode(number)
            case .list(let list): try container.encode(list)
            }
        }
    }
}

/// A file with a JSON array of events that is whole after every write: each one begins where the closing bracket was and ends
/// with a new one, so that a program that is killed leaves a file that opens.
final class TraceFile {
    private let path: String
    private let descriptor: Int32
    /// Where the closing bracket is.
    private var end = 0
    private let encoder = JSONEncoder()

    /// - Throws: `cannotCreateOutput`
    init(_ path: String) throws {
        self.path = path
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard descriptor >= 0 else { throw DurableFile.refusal(path, "cannot write here: \(DurableFile.systemMessage())") }
        try put("[", closing: "\n]\n")
    }

    deinit { close(descriptor) }

    /// Adds events.
    /// - Throws: `inputOutput`; the file then ends where it ended before, or with the whole of it.
    func add(_ events: [TraceEvent]) throws {
        guard !events.isEmpty else { return }
        var text = ""
        for event in events {
            text += (end + text.utf8.count > 1 ? ",\n" : "\n") + String(decoding: try encoder.encode(event), as: UTF8.self)
        }
        try put(text, closing: "\n]\n")
    }

    /// What was written survives a power cut.
    func flush() throws {
        guard fsync(descriptor) == 0 else {
            throw CarouselError(.inputOutput, "cannot flush to the disk: \(DurableFile.systemMessage())", at: path)
        }
    }

    private func put(_ text: String, closing: String) throws {
        let bytes = Array((text + closing).utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress! + written, bytes.count - written, off_t(end + written)) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let reason = DurableFile.systemMessage()
                closeAgain(closing, instead: written)
                throw CarouselError(.inputOutput, "cannot write: \(reason)", at: path, hint: "is there room on that disk?")
            }
            written += count
        }
        end += bytes.count - closing.utf8.count
    }

    /// A disk that is full has room for the bracket that was there before.
    private func closeAgain(_ closing: String, instead written: Int) {
        guard end > 0, ftruncate(descriptor, off_t(end)) == 0 else { return }
        let bytes = Array(closing.utf8)
        // What does not succeed here cannot be helped; the error that led here is reported.
        _ = pwrite(descriptor, bytes, bytes.count, off_t(end))
    }
}
