import Carousel
import Foundation

/// A single file that a command leaves where the user asked for it.
enum OutputFile {
    /// Says before the work, not after it, that a file cannot be written.
    static func check(_ path: String) throws {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw CarouselError(.cannotCreateOutput, "there is no folder \(folder)", at: path)
        }
        guard FileManager.default.isWritableFile(atPath: folder) else {
            throw CarouselError(.cannotCreateOutput, "cannot write in \(folder)", at: path)
        }
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
            throw CarouselError(.cannotCreateOutput, "is a folder, not a file", at: path)
        }
    }

    /// Makes or replaces the file in one step.
    static func write(_ data: Data, to path: String) throws {
        do {
            try data.write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CarouselError(.cannotCreateOutput, "cannot be written: \(error.localizedDescription)", at: path)
        }
    }
}
