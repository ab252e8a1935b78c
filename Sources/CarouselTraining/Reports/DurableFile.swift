import CarouselCore
import Foundation
import Glibc

/// Files that are there whole or not at all: written under a temporary name in the same folder, flushed to the disk,
/// then renamed, so that a reader, a full disk or a power cut never meets half a file.
enum DurableFile {
    /// An open file, with the hash of all that was written to it.
    final class Output {
        let path: String
        fileprivate let descriptor: Int32
        private(set) var hash = SHA256()
        private(set) var count = 0

        fileprivate init(path: String, flags: Int32) throws {
            self.path = path
            descriptor = Glibc.open(path, flags, 0o644)
            guard descriptor >= 0 else { throw refusal(path, "cannot write here: \(systemMessage())") }
        }

        deinit { close(descriptor) }

        /// - Throws: `inputOutput` (74), for example when the disk is full.
        func write(_ bytes: UnsafeRawBufferPointer) throws {
            hash.update(bytes)
            count += bytes.count
            var rest = bytes[...]
            while !rest.isEmpty {
                let written = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if written < 0 && errno == EINTR { continue }
                guard written > 0 else {
                    throw CarouselError(.inputOutput, "cannot write: \(systemMessage())", at: path, hint: "is there room on that disk?")
                }
                rest = rest.dropFirst(written)
            }
        }

        func write(_ text: String) throws {
            var text = text
            try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
        }

        fileprivate func flush() throws {
            guard fsync(descriptor) == 0 else {
                throw CarouselError(.inputOutput, "cannot flush to the disk: \(systemMessage())", at: path)
            }
        }
    }

    /// The name a file has until it is complete: `.model.safetensors.1234`.
    static func temporaryName(_ name: String) -> String { ".\(name).\(getpid())" }

    /// Whether a temporary file of `name`, of this or a killed process, is called `candidate`.
    static func isTemporary(_ candidate: String, of name: String) -> Bool {
        let start = ".\(name)."
        return candidate.hasPrefix(start) && Int(candidate.dropFirst(start.count)) != nil
    }

    /// Makes or replaces `folder`/`name` by what `body` writes.
    /// - Throws: what `body` throws; `inputOutput` (74) or `cannotCreateOutput` (73). The file is then as before.
    static func replace(_ name: String, in folder: String, _ body: (Output) throws -> Void) throws {
        let temporary = folder + "/" + temporaryName(name), path = folder + "/" + name
        do {
            let output = try Output(path: temporary, flags: O_WRONLY | O_CREAT | O_TRUNC)
            try body(output)
            try output.flush()
            guard rename(temporary, path) == 0 else {
                throw CarouselError(.inputOutput, "cannot rename the finished file: \(systemMessage())", at: path)
            }
        } catch var error as CarouselError {
            unlink(temporary)
            // The temporary name means nothing to the reader of a message.
            if error.location == temporary { error.location = path }
            throw error
        } catch {
            unlink(temporary)
            throw error
        }
        flushFolder(folder)
    }

    /// Adds text at the end of a file.
    static func append(_ text: String, to path: String) throws {
        try Output(path: path, flags: O_WRONLY | O_APPEND | O_CREAT).write(text)
    }

    /// A rename reaches the disk with its folder; a file system that cannot flush one loses nothing else.
    static func flushFolder(_ path: String) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    /// As `mkdir -p`.
    static func makeFolder(_ path: String) throws {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        let parent = (path as NSString).deletingLastPathComponent
        if errno == ENOENT && !parent.isEmpty && parent != path {
            try makeFolder(parent)
            if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        }
        throw refusal(path, "cannot create the folder: \(systemMessage())")
    }

    /// The names in a folder.
    static func entries(of path: String) throws -> [String] {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
            throw refusal(path, "cannot list the folder")
        }
        return names
    }

    static func systemMessage() -> String { String(cString: strerror(errno)) }

    static func refusal(_ path: String, _ message: String, hint: String? = nil) -> CarouselError {
        CarouselError(.cannotCreateOutput, message, at: path, hint: hint)
    }
}
