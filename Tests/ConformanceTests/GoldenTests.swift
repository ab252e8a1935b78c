import Carousel
import CarouselCore
import CarouselTraining
import Foundation
import Testing

/// Every recorded case of PyTorch and Keras on every device, the Double reference among them.
@Suite struct GoldenTests {
    static let folder = Bundle.module.bundleURL.appendingPathComponent("Golden").path

    @Test func everyCaseOnEveryDevice() throws {
        let files = try GoldenCheck.files(at: Self.folder)
        #expect(files.count == 17)
        for selector in try ["reference"] + Device.available().devices.map(\.selector) {
            let backend = try Device.open(selector)
            var worst = 0.0
            for file in files {
                let result = try GoldenCheck.run(path: file, on: backend)
                #expect(result.passed, "\(result.name) on \(selector): \(result.worst) is off by \(result.error), allowed \(result.tolerance)")
                worst = max(worst, result.error)
            }
            print("golden cases on \(selector): \(files.count), worst relative error \(worst)")
        }
    }

    @Test func foreignFilesAreRefused() throws {
        #expect(throws: CarouselError.self) { try GoldenCheck.files(at: "/no/such/folder") }
        #expect(throws: CarouselError.self) {
            try GoldenCheck.run(path: Self.folder + "/README.md", on: try Device.open("reference"))
        }
    }
}
