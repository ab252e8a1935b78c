import CarouselCore

enum JSONLinesReader {
    static func read(_ input: InputFile, options: ReadOptions) throws -> DataSet { throw CarouselError(.internalError, input.path) }
}
