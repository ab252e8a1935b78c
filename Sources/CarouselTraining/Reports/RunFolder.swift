import CarouselCore
import Foundation
import Glibc

/// The folder of one run. Files are replaced in one step (`DurableFile`), so that a reader or a power cut never meets
/// half a file; to `metrics.jsonl` and `timing.jsonl` lines are added, and both are replaced when a run is continued or ends.
///
/// A folder that was made or resumed belongs to this process as long as the value lives.
public struct RunFolder: Sendable {
    /// The files a run writes; nothing else in the folder is ever touched but its checkpoints.
    public enum File: String, Sendable, CaseIterable {
        /// The resolved configuration, every key written out.
        case configuration = "config.yaml"
        /// Where the data was: `RunInputs`.
        case inputs = "inputs.json"
        /// One line of JSON per epoch; the same bytes whenever the run is repeated.
        case metrics = "metrics.jsonl"
        /// How long each epoch took, one line of JSON per epoch.
        case timing = "timing.jsonl"
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
    /// Keeps other processes from writing here; nil for a folder that is only read.
    private(set) var lock: RunFolderLock?

    init(path: String) {
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
            guard errno == ENOENT else { throw DurableFile.refusal(path, DurableFile.systemMessage()) }
            return
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw DurableFile.refusal(path, "is a file, not a folder") }
        guard try force || DurableFile.entries(of: path).isEmpty else {
            let isUnfinished = RunFolder(path: path).holdsUnfinishedRun
            throw DurableFile.refusal(path, isUnfinished ? "holds a run that has not ended" : "the folder is not empty",
                                      hint: (isUnfinished ? "--resume to continue it, " : "") + "another --output, or --force to replace "
                                          + "the run in it (other files stay)")
        }
        guard access(path, W_OK | X_OK) == 0 else { throw DurableFile.refusal(path, "cannot write here: \(DurableFile.systemMessage())") }
    }

    /// Makes the folder, or takes an empty one.
    /// - Parameter force: take a folder that is not empty and remove the files of the run in it; other files stay.
    /// - Throws: `cannotCreateOutput` (73), also while another process trains there.
    public static func create(_ path: String, force: Bool = false) throws -> RunFolder {
        try check(path, force: force)
        var folder = RunFolder(path: path)
        try DurableFile.makeFolder(folder.path)
        folder.lock = try RunFolderLock(folder.path)
        // Once more: another process may have been quicker.
        try check(path, force: force)
        try folder.removeFiles()
        // Says now, not after the first epoch, that nothing can be written here.
        try folder.write("", to: .metrics)
        return folder
    }

    /// Removes the files of the run, also half-written ones that a killed run left, and its checkpoints; other files
    /// and the folder stay.
    /// - Throws: `cannotCreateOutput` (73).
    public func removeFiles() throws {
        for file in File.allCases where contains(file) {
            guard unlink(path(of: file)) == 0 else {
                throw DurableFile.refusal(path(of: file), "cannot remove the file: \(DurableFile.systemMessage())")
            }
        }
        removeTemporaryFiles()
        try CheckpointFolder(in: self).remove()
    }

    /// Removes half-written files that a killed process left.
    func removeTemporaryFiles() {
        for name in (try? DurableFile.entries(of: path)) ?? []
        where File.allCases.contains(where: { DurableFile.isTemporary(name, of: $0.rawValue) }) {
            unlink(path + "/" + name)
        }
    }

    /// Opens the folder of a finished run.
    /// - Throws: `missingInput` (66) where there is no folder or no model in it.
    public static func open(_ path: String) throws -> RunFolder {
        let folder = RunFolder(path: path)
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw CarouselError(.missingInput, "there is no run folder here: \(DurableFile.systemMessage())", at: path,
                                hint: "carousel train --output \(path)")
        }
        for file in [File.configuration, .model] where !folder.contains(file) {
            throw CarouselError(.missingInput, "not a run folder: \(file.rawValue) is missing", at: path,
                                hint: folder.holdsUnfinishedRun ? "the run has not finished an epoch: carousel train --resume --output \(path)"
                                    : "name the folder that was given to `carousel train --output`")
        }
        return folder
    }

    /// Replaces `file` by text in UTF-8.
    /// - Throws: `inputOutput` (74) or `cannotCreateOutput` (73).
    public func write(_ text: String, to file: File) throws {
        try DurableFile.replace(file.rawValue, in: path) { try $0.write(text) }
    }

    /// Replaces `file` by bytes.
    /// - Throws: `inputOutput` (74) or `cannotCreateOutput` (73).
    public func write(_ data: Data, to file: File) throws {
        try DurableFile.replace(file.rawValue, in: path) { output in try data.withUnsafeBytes { try output.write($0) } }
    }

    /// Adds one line at the end of `file`.
    /// - Throws: `inputOutput` (74) or `cannotCreateOutput` (73).
    public func append(line: String, to file: File) throws {
        try DurableFile.append(line + "\n", to: path(of: file))
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

    /// The same folder, held by this process.
    func locked() throws -> RunFolder {
        var folder = self
        folder.lock = try RunFolderLock(path)
        return folder
    }
}
