import CarouselCore
import Glibc

/// Reads labelled data in any of the accepted forms; see Documentation/Data.md.
public enum DataReader {
    /// The rows of a file or folder, in their order.
    /// - Parameter path: a file, a folder with one folder per class, or a folder whose `train` folder is one.
    /// - Throws: `missingInput` (66) when it cannot be read, `badData` (65) with `file:line` and a hint when
    ///   it cannot be understood.
    public static func read(_ path: String, options: ReadOptions = ReadOptions()) throws -> DataSet {
        var status = stat()
        guard stat(path, &status) == 0 else { throw InputFile.unreadable(path, errno) }
        let isFolder = status.st_mode & S_IFMT == S_IFDIR
        if isFolder || options.format == .folders {
            guard isFolder else {
                throw CarouselError(.badData, "this is a file, and format folders needs a folder", at: path,
                                    hint: "give the folder that holds one folder per class, or leave format at auto")
            }
            return .text(try FolderReader.read(path, options: options))
        }
        let input = try InputFile(path: path)
        let format = options.format == .auto ? self.format(of: path, bytes: input.bytes, options) : options.format
        return try read(input, format: format, options: options)
    }

    /// The format `read` would use for a file or folder when `options.format` is `auto`.
    /// - Throws: `missingInput` when it cannot be read.
    public static func format(of path: String, options: ReadOptions = ReadOptions()) throws -> DataFormat {
        var status = stat()
        guard stat(path, &status) == 0 else { throw InputFile.unreadable(path, errno) }
        if status.st_mode & S_IFMT == S_IFDIR { return .folders }
        return format(of: path, bytes: try InputFile(path: path).bytes, options)
    }

    /// The folder of another part beside the training data of a folder set: `aclImdb` → `aclImdb/test`;
    /// nil when there is none.
    public static func part(_ names: [String], of path: String) -> String? {
        names.map { path + "/" + $0 }.first { FolderReader.isFolder($0) }
    }

    static func read(_ input: InputFile, format: DataFormat, options: ReadOptions) throws -> DataSet {
        switch format {
        case .tsv, .csv: return try TableReader.read(input, format: format, options: options)
        case .jsonl: return try JSONLinesReader.read(input, options: options)
        case .fasttext: return .text(try LineReader.fastText(input, options: options))
        case .lines: return .text(try LineReader.plain(input, options: options))
        case .auto: return try read(input, format: self.format(of: input.path, bytes: input.bytes, options), options: options)
        case .folders: throw CarouselError(.badData, "format folders needs a folder", at: input.path,
                                           hint: "give the folder that holds one folder per class, or leave format at auto")
        }
    }

    /// By extension; for other extensions by the first line.
    private static func format(of path: String, bytes: [UInt8], _ options: ReadOptions) -> DataFormat {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        switch parts.count > 1 ? parts[parts.count - 1].lowercased() : "" {
        case "tsv", "tab": return .tsv
        case "csv": return .csv
        case "jsonl", "ndjson", "json": return .jsonl
        default: break
        }
        let first = bytes.prefix { $0 != 0x0A }
        if first.starts(with: options.labelPrefix.utf8) { return .fasttext }
        if first.first == UInt8(ascii: "{") || first.first == UInt8(ascii: "[") && first.last == UInt8(ascii: "{") { return .jsonl }
        if first.contains(0x09) { return .tsv }
        return .lines
    }
}
