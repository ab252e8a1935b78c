import CarouselCore
import CEmbeddedData

/// The sentiment sample inside the program: 10,192 + 1,443 English sentences, positive or negative, from two
/// data sets under CC BY 4.0 (see `attribution`).
public enum EmbeddedData {
    /// The training part.
    public static func train() throws -> TextDataSet {
        try read("embedded/train", carousel_embedded_train)
    }

    /// The test part.
    public static func test() throws -> TextDataSet {
        try read("embedded/test", carousel_embedded_test)
    }

    /// Sources, authors and licence of the sample (Markdown).
    public static var attribution: String {
        String(decoding: bytes(carousel_embedded_attribution), as: UTF8.self)
    }

    private static func bytes(_ access: (UnsafeMutablePointer<Int>?) -> UnsafePointer<UInt8>?) -> UnsafeBufferPointer<UInt8> {
        var length = 0
        let start = access(&length)
        return UnsafeBufferPointer(start: start, count: length)
    }

    private static func read(_ path: String,
                             _ access: (UnsafeMutablePointer<Int>?) -> UnsafePointer<UInt8>?) throws -> TextDataSet {
        let input = InputFile(path: path, bytes: Array(bytes(access)), encoding: .utf8)
        guard case .text(var data) = try DataReader.read(input, format: .tsv, options: ReadOptions(kind: .text)) else {
            throw CarouselError(.internalError, "the embedded sample is not a text table", at: path)
        }
        data.name = "embedded"
        return data
    }
}
