import CarouselCore

enum FolderReader {
    static func read(_ path: String, options: ReadOptions) throws -> TextDataSet { throw CarouselError(.internalError, path) }
    static func isFolder(_ path: String) -> Bool { false }
}
