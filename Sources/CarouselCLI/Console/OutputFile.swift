import Carousel
import Foundation

/// Files that options name for results beside the printed ones.
enum OutputFile {
    /// Says before the work, not after it, that a file cannot be written.
    static func checkWritable(_ path: String) throws {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw CarouselError(.cannotCreateOutput, "there is no folder \(folder)", at: path)
        }
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
            if isFolder.boolValue { throw CarouselError(.cannotCreateOutput, "is a folder, not a file", at: path) }
            // A device or a pipe would be replaced by a file.
            let type = try? FileManager.default.attributesOfItem(atPath: URL(fileURLWithPath: path).resolvingSymlinksInPath().path)[.type]
            guard type as? FileAttributeType == .typeRegular else {
                throw CarouselError(.cannotCreateOutput, "is not a regular file", at: path)
            }
            guard FileManager.default.isWritableFile(atPath: path) else {
                throw CarouselError(.cannotCreateOutput, "cannot write this file", at: path)
            }
        }
        guard FileManager.default.isWritableFile(atPath: folder) else {
            throw CarouselError(.cannotCreateOutput, "cannot write in \(folder)", at: path)
        }
    }

    /// Makes or replaces the file.
    static func write(_ text: String, to path: String) throws {
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CarouselError(.cannotCreateOutput, "cannot be written: \(error.localizedDescription)", at: path)
        }
    }
}
