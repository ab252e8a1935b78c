import CarouselTraining
import Foundation

extension RunFolder {
    /// A new run folder for one test, removed afterwards.
    static func temporary(_ body: (RunFolder) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("carousel-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(try RunFolder.create(path))
    }
}
