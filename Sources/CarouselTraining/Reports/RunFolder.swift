import CarouselCore
import Foundation
import Glibc

/// The folder of one run. Every file is replaced in one step (a temporary file in the same folder, flushed to
/// disk, then renamed), so that a reader or a power cut never meets half a file.
public struct RunFolder: Sendable {
    /// The files a run writes; nothing else in the folder is ever touched.
    public enum File: String, Sendable, CaseIterable {
        /// The resolved configuration, every key written out.
        case configuration = "config.yaml"
        /// One line of JSON per epoch.
        case metrics = "metrics.jsonl"
        /// The weights of the best epoch.
        case model = "model.safetensors"
        /// The weights after the last epoch.
        case lastModel = "last.safetensors"
        /// One token per line, the line number (from 0) being its number.
        case vocabulary = "vocab.txt"
        /// One label per line.
        case labels = "labels.txt"
        /// What was learnt from the training part to prepare input: the tokenizer chosen, means and deviations.
        case preparation = "preparation.json"
        /// Reports on the validation and the test part.
        case report = "report.json"
    }

    /// As given by the user, without a slash at its end.
    public let path: String

    private init(path: String) {
        var path = path
        while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
        self.path = path
    }

    /// Where `file` is, whether or not it exists.
    public func path(of file: File) -> String { path + "/" + file.rawValue }

    /// Whether `file` exists.
    public func contains(_ file: File) -> Bool { access(path(of: file), F_OK) == 0 }

    /// Refuses what `create` would refuse, without changing anything: to be asked before long work.
    /// - Throws: `cannotCreateOutput` (73).
    public static func check(_ path: String, force: Bool = false) throws {
        var status = stat()
        guard stat(path, &status) == 0 else {
            guard errno == ENOENT else { throw refusal(path, systemMessage()) }
            return
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw refusal(path, "is a file, not a folder") }
        guard try force || entries(of: path).isEmpty else {
            throw refusal(path, "the folder is not empty",
                          hint: "another --output, or --force to replace the run in it (other files stay)")
        }
        guard access(path, W_OK | X_OK) == 0 else { throw refusal(path, "cannot write here: \(systemMessage())") }
    }

    /// Makes the folder, or takes an empty one.
    /// - Parameter force: take a folder that is not empty and remove the files of the run in it; other files stay.
    /// - Throws: `cannotCreateOutput` (73).
    public static func create(_ path: String, force: Bool = false) throws -> RunFolder {
        try check(path, force: force)
        let folder = RunFolder(path: path)
        try makeFolder(folder.path)
        try folder.removeFiles()
        // Says now, not after the first epoch, that nothing can be written here.
        try folder.replace(.metrics) { _ in }
        return folder
    }

    /// Removes the files of the run, also half-written ones that a killed run left; other files and the folder stay.
    /// - Throws: `cannotCreateOutput` (73).
    public func removeFiles() throws {
        for file in File.allCases where contains(file) {
            guard unlink(path(of: file)) == 0 else {
                throw Self.refusal(path(of: file), "cannot remove the file: \(Self.systemMessage())")
            }
        }
        for name in try Self.entries(of: path) where Self.isTemporary(name) { unlink(path + "/" + name) }
    }

    /// Whether `replace` gives a temporary file this name: `.model.safetensors.1234`.
    private static func isTemporary(_ name: String) -> Bool {
        File.allCases.contains { file in
            let start = ".\(file.rawValue)."
            return name.hasPrefix(start) && Int(name.dropFirst(start.count)) != nil
        }
    }

    /// Opens the folder of a finished run.
    /// - Throws: `missingInput` (66) where there is no folder or no model in it.
    public static func open(_ path: String) throws -> RunFolder {
        let folder = RunFolder(path: path)
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw CarouselError(.missingInput, "there is no run folder here: \(systemMessage())", at: path,
                                hint: "carousel train --output \(path)")
        }
        for file in [File.configuration, .model] where !folder.contains(file) {
            throw CarouselError(.missingInput, "not a run folder: \(file.rawValue) is missing", at: path,
                                hint: "name the folder that was given to `carousel train --output`")
        }
        return folder
    }

    /// Replaces `file` by `text` in UTF-8.
    /// - Throws: `inputOutput` (74) or `cannotCreateOutput` (73).
    public func write(_ text: String, to file: File) throws {
        try replace(file) { try Self.put(text.utf8, at: $0, flags: O_WRONLY | O_TRUNC) }
    }

    /// Replaces `file` by bytes.
    /// - Throws: `inputOutput` (74) or `cannotCreateOutput` (73).
    public func write(_ data: Data, to file: File) throws {
        try replace(file) { try Self.put(data, at: $0, flags: O_WRONLY | O_TRUNC) }
    }

    /// Replaces `file` by what `body` writes to the temporary path it is given.
    /// - Throws: what `body` throws; `inputOutput` (74) or `cannotCreateOutput` (73).
    public func replace(_ file: File, _ body: (_ temporaryPath: String) throws -> Void) throws {
        let temporary = path + "/.\(file.rawValue).\(getpid())"
        let descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard descriptor >= 0 else { throw Self.refusal(temporary, "cannot write here: \(Self.systemMessage())") }
        close(descriptor)
        do {
            try body(temporary)
            try Self.flush(temporary)
            guard rename(temporary, path(of: file)) == 0 else {
                throw CarouselError(.inputOutput, "cannot rename the finished file: \(Self.systemMessage())", at: path(of: file))
            }
        } catch {
            unlink(temporary)
            throw error
        }
        // The rename itself reaches the disk with its folder; a file system that cannot flush one loses nothing else.
        try? Self.flush(path)
    }

    /// Adds one line at the end of `file`.
    /// - Throws: `inputOutput` (74) or `cannotCreateOutput` (73).
    public func append(line: String, to file: File) throws {
        try Self.put((line + "\n").utf8, at: path(of: file), flags: O_WRONLY | O_APPEND | O_CREAT)
    }

    /// The text of `file`.
    /// - Throws: `missingInput` (66) where there is none, `badData` (65) where it is not UTF-8.
    public func read(_ file: File) throws -> String {
        guard let data = FileManager.default.contents(atPath: path(of: file)) else {
            throw CarouselError(.missingInput, "the run folder has no readable \(file.rawValue)", at: path(of: file),
                                hint: "train again, or copy the whole folder of the run")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw CarouselError(.badData, "is not UTF-8 text", at: path(of: file), hint: "train again")
        }
        return text
    }
}

extension RunFolder {
    private static func systemMessage() -> String { String(cString: strerror(errno)) }

    /// As `mkdir -p`.
    private static func makeFolder(_ path: String) throws {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        let parent = (path as NSString).deletingLastPathComponent
        if errno == ENOENT && !parent.isEmpty && parent != path {
            try makeFolder(parent)
            if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        }
        throw refusal(path, "cannot create the folder: \(systemMessage())")
    }

    private static func refusal(_ path: String, _ message: String, hint: String? = nil) -> CarouselError {
        CarouselError(.cannotCreateOutput, message, at: path, hint: hint)
    }

    private static func entries(of path: String) throws -> [String] {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
            throw refusal(path, "cannot list the folder")
        }
        return names
    }

    private static func put(_ content: some Sequence<UInt8>, at path: String, flags: Int32) throws {
        let descriptor = Glibc.open(path, flags, 0o644)
        guard descriptor >= 0 else { throw refusal(path, "cannot write here: \(systemMessage())") }
        defer { close(descriptor) }
        var bytes = Array(content)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw CarouselError(.inputOutput, "cannot write: \(systemMessage())", at: path, hint: "is the disk full?") }
            bytes = bytes.dropFirst(written)
        }
    }

    private static func flush(_ path: String) throws {
        let descriptor = Glibc.open(path, O_RDONLY)
        guard descriptor >= 0 else { throw CarouselError(.inputOutput, systemMessage(), at: path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw CarouselError(.inputOutput, "cannot flush to the disk: \(systemMessage())", at: path)
        }
    }
}
