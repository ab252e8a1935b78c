import Carousel
import CarouselCore
import CarouselData
import CarouselNN
import CarouselOpenCL
import CarouselReference
import CarouselTraining
import Foundation
import Testing

/// The same training on every device of this machine, compared with the CPU.
@Suite struct DeviceAgreementTests {
    private static func data(rows: Int) throws -> TrainingData {
        TrainingData(train: DataSet.text(try EmbeddedData.train()).subset(Array(0..<rows)))
    }

    private static func otherDevices() throws -> [String] {
        try Device.available().devices.map(\.selector).filter { $0 != "cpu" }
    }

    @Test(arguments: ["bilstm", "stacked-lstm", "simple-rnn"]) func firstStepsAgree(_ preset: String) throws {
        var configuration = try RunConfiguration.resolve(preset: preset)
        configuration.training.batchSize = 16
        let data = try Self.data(rows: 400)
        let cpu = try TrainingComparison.trace(configuration, data: data, steps: 20, on: try Device.open("cpu"))
        for selector in try Self.otherDevices() {
            let other = try TrainingComparison.trace(configuration, data: data, steps: 20, on: try Device.open(selector))
            let difference = TrainingComparison.difference(other, from: cpu)
            #expect(difference.loss <= 1e-5, "\(preset) on \(selector)")
            #expect(difference.gradientNorm <= 1e-4, "\(preset) on \(selector)")
        }
        let exact = try TrainingComparison.trace(configuration, data: data, steps: 3, on: try Device.open("reference"))
        let short = TrainingComparison.Trace(device: "cpu", losses: Array(cpu.losses.prefix(3)), gradientNorms: Array(cpu.gradientNorms.prefix(3)))
        let difference = TrainingComparison.difference(short, from: exact)
        #expect(difference.loss <= 1e-5 && difference.gradientNorm <= 1e-4, "\(preset) against Double")
    }

    /// Recurrent dropout of every cell draws the same masks in every plan and is part of the gradients.
    @Test func recurrentDropoutAgrees() throws {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.training.batchSize = 16
        configuration.model = ModelConfiguration(layers: [
            .embedding(.init(units: 12)),
            .recurrent(.lstm, .init(units: 20, output: .sequences, bidirectional: .concat, recurrentDropout: 0.4)),
            .recurrent(.gru, .init(units: 18, resetAfter: false, output: .sequences, recurrentDropout: 0.3)),
            .recurrent(.gru, .init(units: 17, output: .sequences, recurrentDropout: 0.3)), .recurrent(.rnn, .init(units: 16, recurrentDropout: 0.2))])
        let data = try Self.data(rows: 200)
        let cpu = try TrainingComparison.trace(configuration, data: data, steps: 4, on: try Device.open("cpu"))
        var others: [any Backend] = [try Device.open("reference")]
        for device in OpenCLBackend.devices().devices.indices {
            others += try OpenCLBackend.plans(device: device).compactMap { try OpenCLBackend(device: device, plan: $0) }
        }
        for other in others {
            let difference = TrainingComparison.difference(try TrainingComparison.trace(configuration, data: data, steps: 4, on: other), from: cpu)
            #expect(difference.loss <= 1e-5 && difference.gradientNorm <= 1e-4, "\(other.info.selector), \(other.plan): \(difference)")
        }
        // Without it other losses, so that it was there.
        for i in configuration.model.layers.indices {
            guard case .recurrent(let kind, var layer) = configuration.model.layers[i] else { continue }
            layer.recurrentDropout = 0
            configuration.model.layers[i] = .recurrent(kind, layer)
        }
        #expect(try TrainingComparison.trace(configuration, data: data, steps: 1, on: try Device.open("cpu")).losses[0] != cpu.losses[0])
    }

    /// What one device trains, every other device loads and predicts the same.
    @Test func modelsMoveBetweenDevices() throws {
        let selectors = try ["cpu"] + Self.otherDevices()
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.training.epochs = 1
        let data = try Self.data(rows: 300)
        let texts = Array(try EmbeddedData.test().texts.prefix(60))
        for selector in selectors {
            let path = FileManager.default.temporaryDirectory.appendingPathComponent("carousel-\(UUID().uuidString)").path
            defer { try? FileManager.default.removeItem(atPath: path) }
            let trainer = try Trainer(configuration: configuration, data: data, backend: try Device.open(selector),
                                      folder: try RunFolder.create(path))
            _ = try trainer.run()
            let expected = try Classifier.load(path, on: try Device.open(selector)).predict(texts)
            for other in selectors where other != selector {
                let got = try Classifier.load(path, on: try Device.open(other)).predict(texts)
                #expect(got.map(\.label) == expected.map(\.label))
                for (a, b) in zip(got, expected) { #expect(abs(a.probabilities[0] - b.probabilities[0]) < 1e-5) }
            }
        }
    }

    /// One seed, one device: one model, whatever the number of threads.
    @Test func trainingRepeatsBitForBit() throws {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.training.batchSize = 48
        let data = try Self.data(rows: 300)
        let first = try TrainingComparison.trace(configuration, data: data, steps: 6, on: try Device.open("cpu"))
        let second = try TrainingComparison.trace(configuration, data: data, steps: 6, on: try Device.open("cpu"))
        #expect(first.losses == second.losses)
        #expect(first.gradientNorms == second.gradientNorms)
    }

    /// Products in bfloat16: the first steps as a reference that rounds the same operands takes them, and a model that learns.
    @Test func bfloat16TrainsAsItsReference() throws {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.training.batchSize = 16
        configuration.training.precision = .bfloat16
        let data = try Self.data(rows: 300)
        let cpu = try TrainingComparison.trace(configuration, data: data, steps: 3, on: try Device.open("cpu", precision: .bfloat16))
        let exact = try TrainingComparison.trace(configuration, data: data, steps: 3, on: ReferenceBackend(precision: .bfloat16))
        let difference = TrainingComparison.difference(cpu, from: exact)
        #expect(difference.loss <= 1e-4 && difference.gradientNorm <= 4e-3, "\(difference)")

        configuration.training.epochs = 3
        let trainer = try Trainer(configuration: configuration, data: data, backend: try Device.open("cpu", precision: .bfloat16), folder: nil)
        let losses = try trainer.run().epochs.map(\.trainingLoss)
        #expect(losses.count == 3 && losses[2] < losses[0])
    }

    @Test func aDeviceOfAnotherPrecisionIsRefused() throws {
        var configuration = try RunConfiguration.resolve(preset: "bilstm")
        configuration.training.precision = .bfloat16
        let error = #expect(throws: CarouselError.self) {
            try Trainer(configuration: configuration, data: try Self.data(rows: 50), backend: try Device.open("cpu"), folder: nil)
        }
        #expect(error?.status == .badConfiguration && error?.message.contains("bfloat16") == true)
        #expect(throws: CarouselError.self) { try Device.open("cpu", precision: .float16) }
    }
}
