@testable import CarouselTraining
import Carousel
import Foundation
import Testing

@Suite struct RunFolderTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "carousel-run-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test func createsWritesAndReads() throws {
        try withFolder { path in
            let folder = try RunFolder.create(path + "/deep/run/")
            #expect(folder.path == path + "/deep/run")
            try folder.write("a: 1\n", to: .configuration)
            try folder.write("a: 2\n", to: .configuration)
            try folder.append(line: "{}", to: .metrics)
            try folder.append(line: "{\"epoch\":2}", to: .metrics)
            #expect(try folder.read(.configuration) == "a: 2\n")
            #expect(try folder.read(.metrics) == "{}\n{\"epoch\":2}\n")
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
            #expect(names == ["config.yaml", "metrics.jsonl"], "no temporary file stays")
        }
    }

    /// Means without deviations, or deviations that nothing can be divided by.
    @Test func damagedPreparations() throws {
        try withFolder { path in
            let folder = try RunFolder.create(path)
            func load(_ series: String) throws -> InputPreparation {
                try folder.write("{\"series\": \(series)}", to: .preparation)
                return try InputPreparation.load(from: folder)
            }
            _ = try load(#"{"mean": [0, 1], "deviation": [1, 2], "channels": [], "maximum_length": 0}"#)
            for damaged in ["[0, 1]", "[0]", "[1]", "[1, 0]", "[1, -2]", "[1, 2, 3]"] {
                let mean = damaged == "[0]" ? "[]" : "[0, 1]"
                let error = #expect(throws: CarouselError.self, "\(damaged)") {
                    try load("{\"mean\": \(mean), \"deviation\": \(damaged), \"channels\": [], \"maximum_length\": 0}")
                }
                #expect(error?.status == .badData && error?.location == folder.path(of: .preparation))
            }
        }
    }

    @Test func aFailedWriteLeavesTheOldFile() throws {
        try withFolder { path in
            let folder = try RunFolder.create(path)
            try folder.write("good", to: .model)
            #expect(throws: CarouselError.self) {
                try DurableFile.replace(RunFolder.File.model.rawValue, in: path) { output in
                    try output.write("half")
                    throw CarouselError(.inputOutput, "the disk is full")
                }
            }
            #expect(try folder.read(.model) == "good")
            #expect(try FileManager.default.contentsOfDirectory(atPath: path).count == 2)
        }
    }

    @Test func nonEmptyIsRefusedAndForceKeepsForeignFiles() throws {
        try withFolder { path in
            do {
                let folder = try RunFolder.create(path)
                try folder.write("x", to: .model)
                // As long as the run lives here, nobody else may take the folder, least of all by force.
                let held = try #require(throws: CarouselError.self) { try RunFolder.create(path, force: true) }
                #expect(held.status == .cannotCreateOutput && held.message.contains("another process"), "\(held)")
                #expect(throws: CarouselError.self) { try RunFolder.resume(path) }
                #expect(folder.contains(.model))
            }
            try "mine".write(toFile: path + "/notes.txt", atomically: true, encoding: .utf8)
            let error = try #require(throws: CarouselError.self) { try RunFolder.create(path) }
            #expect(error.status == .cannotCreateOutput)
            #expect(error.hint?.contains("--force") == true)
            try "half".write(toFile: path + "/.model.safetensors.1234", atomically: true, encoding: .utf8)
            try "mine".write(toFile: path + "/.model.safetensors.old", atomically: true, encoding: .utf8)
            let again = try RunFolder.create(path, force: true)
            #expect(!again.contains(.model))
            #expect(try FileManager.default.contentsOfDirectory(atPath: path).sorted() == [".model.safetensors.old", "metrics.jsonl", "notes.txt"])
            #expect(try String(contentsOfFile: path + "/notes.txt", encoding: .utf8) == "mine")
        }
    }

    /// Only a folder with nothing but the very first files is begun anew.
    @Test func resumeNeverTakesAwayAModel() throws {
        try withFolder { path in
            #expect(try RunFolder.resume(path)?.path == nil)
            _ = try RunFolder.create(path)
            #expect(try RunFolder.resume(path)?.path == nil)
            for (name, words) in [("model.safetensors", "model.safetensors"), ("notes.txt", "notes.txt")] {
                try "x".write(toFile: path + "/" + name, atomically: true, encoding: .utf8)
                let error = try #require(throws: CarouselError.self) { try RunFolder.resume(path) }
                #expect(error.status == .cannotCreateOutput && error.message.contains(words), "\(error)")
                try FileManager.default.removeItem(atPath: path + "/" + name)
            }
            try "{\"interrupted\": false}".write(toFile: path + "/report.json", atomically: true, encoding: .utf8)
            let finished = try #require(try RunFolder.resume(path))
            #expect(finished.isFinished)
        }
    }

    @Test func placesThatCannotBeWritten() throws {
        for path in ["/dev/null/run", "/proc/carousel-run", "/dev/null"] {
            let error = try #require(throws: CarouselError.self) { try RunFolder.create(path) }
            #expect(error.status == .cannotCreateOutput, "\(path)")
        }
    }

    @Test func openWithoutAModel() throws {
        try withFolder { path in
            let missing = try #require(throws: CarouselError.self) { try RunFolder.open(path) }
            #expect(missing.status == .missingInput)
            let folder = try RunFolder.create(path)
            try folder.write("", to: .configuration)
            let error = try #require(throws: CarouselError.self) { try RunFolder.open(path) }
            #expect(error.status == .missingInput)
            #expect(error.message.contains("model.safetensors"))
        }
    }
}
