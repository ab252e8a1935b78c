import Carousel
import Foundation
import Testing

/// What `bench batches` hands to other programs is what a training computes with.
@Suite struct BenchBatchesTests {
    private let place: Workplace
    private let model = ["--set", "model.layers=[{embedding: {units: 8}}, {lstm: {units: 8}}]", "--set", "training.batch_size=8"]

    init() throws { place = try Workplace() }

    @Test func everyRowIsInEveryEpochOnce() throws {
        let output = place("batches.safetensors")
        let outcome = try Program.run(["bench", "batches", try place.reviews(), "--output", output, "--epochs", "2"] + model)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let file = try Safetensors(contentsOf: output)
        func integers(_ name: String) throws -> [Int] { try #require(file[name]?.integers, "\(name)") }

        let labels = try integers("train.labels"), held = try integers("validation.labels")
        #expect(labels.count == 72 && held.count == 8 && Set(labels) == [0, 1])
        let offsets = try integers("train.offsets"), tokens = try integers("train.tokens")
        #expect(offsets.count == 73 && offsets.first == 0 && offsets.last == tokens.count)
        #expect(zip(offsets, offsets.dropFirst()).allSatisfy { $1 - $0 == 4 })
        let vocabulary = try #require(file.metadata["vocabulary_size"].flatMap { Int($0) })
        #expect(tokens.allSatisfy { (0..<vocabulary).contains($0) })
        var orders: [[Int]] = []
        for epoch in 0..<2 {
            let rows = try integers("epochs.\(epoch).rows"), bounds = try integers("epochs.\(epoch).bounds")
            #expect(rows.sorted() == Array(0..<72))
            #expect(bounds == Array(stride(from: 0, through: 72, by: 8)))
            orders.append(rows)
        }
        #expect(orders[0] != orders[1])
        #expect(file["epochs.2.rows"] == nil)
        #expect(file.metadata["labels"] == "[\"negative\",\"positive\"]" && file.metadata["classes"] == "2")
        #expect(file.metadata["configuration"]?.contains("\"batch_size\":8") == true)
    }

    @Test func whatCannotBeWrittenIsRefused() throws {
        let data = try place.reviews()
        #expect(try Program.run(["bench", "batches", data, "--output", place("missing/file")] + model).status == 73)
        #expect(try Program.run(["bench", "batches", data, "--output", place("b"), "--epochs", "0"] + model).status == 64)
        let numbers = try Program.run(["bench", "batches", try place.series(), "--output", place("b"), "--set", "model.layers=[{lstm: {units: 4}}]"])
        #expect(numbers.status == 65 && numbers.errors.contains("numeric"), "\(numbers.errors)")
        #expect(!FileManager.default.fileExists(atPath: place("b")))
    }
}
