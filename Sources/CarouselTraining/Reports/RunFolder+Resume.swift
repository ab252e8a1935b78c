import CarouselCore
import Foundation
import Glibc

/// Where the data of a run was, so that `--resume` finds it again: absolute paths; nil = none given.
public struct RunInputs: Codable, Sendable, Equatable {
    /// nil = the data inside the program.
    public var train: String?
    public var validation: String?
    public var test: String?

    /// - Parameters: paths as the user gave them.
    public init(train: String?, validation: String? = nil, test: String? = nil) {
        func absolute(_ path: String?) -> String? { path.map { URL(fileURLWithPath: $0).path } }
        self.train = absolute(train)
        self.validation = absolute(validation)
        self.test = absolute(test)
    }
}

/// The only process that may write to a run folder, until it is let go of or ends.
final class RunFolderLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `cannotCreateOutput` (73) while another process holds it.
    init(_ path: String) throws {
        descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DurableFile.refusal(path, DurableFile.systemMessage()) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
            close(descriptor)
            throw DurableFile.refusal(path, "another process is training in this folder", hint: "wait for it, end it, or another --output")
        }
        // A file system without locks (some network ones) is used without.
    }

    deinit { close(descriptor) }
}

extension RunFolder {
    /// Whether a run was begun here and has neither ended nor left nothing behind.
    public var holdsUnfinishedRun: Bool { contains(.configuration) && contains(.inputs) && !isFinished }

    /// Whether the run here came to its end.
    public var isFinished: Bool {
        struct Ending: Decodable { var interrupted: Bool }
        guard contains(.report), let text = try? read(.report),
              let ending = try? JSONDecoder().decode(Ending.self, from: Data(text.utf8)) else { return false }
        return !ending.interrupted
    }

    /// Whether there are checkpoints to resume from, as far as that can be seen.
    public var hasCheckpoints: Bool { (try? CheckpointFolder(in: self).steps().isEmpty) != true }

    /// Opens a folder whose run is to be continued, or has ended; nil where no run was begun yet, so that it has to be
    /// created.
    /// - Throws: `cannotCreateOutput` (73) for a folder of something else, one that cannot be written, or one in which
    ///   another process is training.
    public static func resume(_ path: String) throws -> RunFolder? {
        let folder = RunFolder(path: path)
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
        guard access(path, W_OK | X_OK) == 0 else { throw DurableFile.refusal(path, "cannot write here: \(DurableFile.systemMessage())") }
        let held = try folder.locked()
        held.removeTemporaryFiles()
        if folder.contains(.configuration) && folder.contains(.inputs) || folder.isFinished { return held }
        // Killed before it had written what it was: there is nothing but the very first files.
        let first = [File.metrics.rawValue, File.configuration.rawValue]
        guard let other = try DurableFile.entries(of: path).first(where: { !first.contains($0) }) else { return nil }
        throw DurableFile.refusal(path, "holds no run that can be resumed: there is \(other), but no \(File.inputs.rawValue)",
                                  hint: "another --output, or --force to replace what is there")
    }

    /// - Throws: `badData` for a damaged file, `missingInput` without one.
    public func inputs() throws -> RunInputs {
        do {
            return try JSONDecoder().decode(RunInputs.self, from: Data(try read(.inputs).utf8))
        } catch let error as DecodingError {
            throw CarouselError(.badData, "is not what a run writes: \(error)", at: path(of: .inputs), hint: "name the data on the command line")
        }
    }

    /// Writes what a resumed run must know, before anything that takes long.
    public func begin(_ configuration: RunConfiguration, inputs: RunInputs) throws {
        try write(try configuration.yaml(), to: .configuration)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try write(String(decoding: try encoder.encode(inputs), as: UTF8.self) + "\n", to: .inputs)
    }
}
