import CarouselCore

enum TableReader {
    static func read(_ input: InputFile, format: DataFormat, options: ReadOptions) throws -> DataSet { throw CarouselError(.internalError, input.path) }
}
