import CarouselCore
import Foundation

/// Reads a folder with one folder per class and one file per text, as the Large Movie Review Dataset is laid out.
enum FolderReader {
    /// Folders that hold no class: unlabelled texts.
    private static let skipped: Set<String> = ["unsup", "unlabeled", "unlabelled"]

    /// The classes and their files in the order of their names. A folder that holds a `train` folder stands for that one.
    static func read(_ path: String, options: ReadOptions) throws -> TextDataSet {
        let root = isFolder(path + "/train") ? path + "/train" : path
        let classes = try names(root).filter { !skipped.contains($0) && isFolder("\(root)/\($0)") }
        var data = TextDataSet(name: path, texts: [], origin: DataOrigin(path: root, format: .folders))
        if classes.isEmpty {
            guard !options.requiresLabels else {
                throw CarouselError(.badData, "no class folders here", at: root,
                                    hint: "make one folder per class with one text file per row, or give a file")
            }
            try append("", root, &data)
            data.labels = []
        }
        for name in classes { try append(name, "\(root)/\(name)", &data) }
        guard data.count > 0 else {
            throw CarouselError(.badData, "the class folders (\(classes.joined(separator: ", "))) hold no text files", at: root,
                                hint: "put one .txt file per row into each")
        }
        return data
    }

    /// The `.txt` files of a folder, or all its files when there are none.
    private static func append(_ label: String, _ folder: String, _ data: inout TextDataSet) throws {
        let all = try names(folder).filter { !isFolder("\(folder)/\($0)") }
        let texts = all.filter { $0.hasSuffix(".txt") }
        for name in texts.isEmpty ? all : texts {
            let file = "\(folder)/\(name)"
            let descriptor = open(file, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw InputFile.unreadable(file, errno) }
            defer { close(descriptor) }
            let decoded = try TextDecoder.decode(try InputFile.readAll(descriptor, path: file, expected: 0), path: file)
            if decoded.encoding != .utf8 { data.origin.encoding = decoded.encoding }
            data.texts.append(String(decoding: decoded.bytes, as: UTF8.self))
            data.labels.append(label)
            data.lines.append(1)
            data.files.append(file)
        }
    }

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Entries that are not hidden, sorted by their bytes.
    private static func names(_ folder: String) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }
                .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        } catch {
            throw InputFile.unreadable(folder, errno == 0 ? EACCES : errno)
        }
    }
}
