import Carousel
import CarouselCore
import CarouselNN
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

    /// Damaged cases are bad data that names its place, never a crash or a pass.
    @Test func damagedCasesAreRefused() throws {
        func check(_ name: String, _ what: String, _ damage: (inout Safetensors) -> Void) throws {
            var file = try Safetensors(contentsOf: Self.folder + "/\(name).safetensors")
            damage(&file)
            let path = FileManager.default.temporaryDirectory.appendingPathComponent("carousel-\(UUID().uuidString).safetensors").path
            defer { try? FileManager.default.removeItem(atPath: path) }
            try file.encoded().write(to: URL(fileURLWithPath: path))
            let error = try #require(throws: CarouselError.self, "\(name): \(what)") {
                try GoldenCheck.run(path: path, on: try Device.open("cpu"))
            }
            #expect(error.status == .badData && error.message.contains("'\(what)'"), "\(name): \(error)")
        }
        func number(_ key: String, _ value: String) -> (inout Safetensors) -> Void { { $0.metadata[key] = value } }
        func tensor(_ name: String, _ shape: Shape, _ values: HostTensor.Values) -> (inout Safetensors) -> Void {
            { file in
                file.tensors.removeAll { $0.name == name }
                file.tensors.append(HostTensor(name: name, shape: shape, values: values))
            }
        }
        for key in ["time", "batch", "hidden", "layers", "input"] {
            for value in ["-1", "0", "9223372036854775807", "x"] { try check("lstm_lengths", key, number(key, value)) }
        }
        try check("lstm_lengths", "input", tensor("input", [2], .float64([1, 2])))
        try check("lstm_lengths", "lengths", tensor("lengths", [1], .int64([-5])))
        try check("lstm_lengths", "lengths", tensor("lengths", [1], .float32([1])))
        try check("lstm_lengths", "grad_output", tensor("grad_output", [0], .float64([])))
        try check("lstm_lengths", "weight_hh_l0", tensor("weight_hh_l0", [1], .float64([1])))
        try check("lstm_lengths", "h0", tensor("h0", [1], .float64([1])))
        for key in ["steps", "batch", "time", "vocabulary", "classes", "layers", "embedding"] {
            for value in ["-1", "0", "9223372036854775807"] { try check("run_lstm_adam", key, number(key, value)) }
        }
        for name in ["tokens", "lengths", "labels"] {
            try check("run_lstm_adam", name) { file in
                guard let index = file.tensors.firstIndex(where: { $0.name == name }),
                      var values = file.tensors[index].integers else { return }
                values[values.count - 1] = 1 << 40
                file.tensors[index].values = .int64(values.map(Int64.init))
            }
        }
    }

    @Test func aRecordThatIsNotANumberDoesNotPass() throws {
        var file = try Safetensors(contentsOf: Self.folder + "/gru.safetensors")
        let index = try #require(file.tensors.firstIndex { $0.name == "output" })
        var values = file.tensors[index].doubles
        values[0] = .nan
        file.tensors[index].values = .float64(values)
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("carousel-\(UUID().uuidString).safetensors").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try file.encoded().write(to: URL(fileURLWithPath: path))
        #expect(try !GoldenCheck.run(path: path, on: try Device.open("reference")).passed)
    }
}
