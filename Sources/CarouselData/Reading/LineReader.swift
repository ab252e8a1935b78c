import CarouselCore

enum LineReader {
    static func fastText(_ input: InputFile, options: ReadOptions) throws -> TextDataSet { throw CarouselError(.internalError, input.path) }
    static func plain(_ input: InputFile, options: ReadOptions) throws -> TextDataSet { throw CarouselError(.internalError, input.path) }
}
