import Foundation
import Testing

/// Train, evaluate and predict as a user does.
@Suite(.serialized) struct RoundTripTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private func run(_ arguments: [String], input: String = "", sourceLocation: SourceLocation = #_sourceLocation) throws -> Program.Outcome {
        let outcome = try Program.run(arguments, input: input)
        #expect(outcome.status == 0, "\(arguments): \(outcome.errors)", sourceLocation: sourceLocation)
        return outcome
    }

    @Test func trainEvaluatePredict() throws {
        let data = try place.reviews(), folder = place("run")
        let trained = try run(["train", data, "--output", folder, "--test", data, "--set", "training.patience="] + small)
        #expect(trained.output.contains("validation part") && trained.output.contains("test part"))
        #expect(trained.errors.contains("epoch 3") && trained.errors.contains("carousel predict"))
        for name in ["config.yaml", "metrics.jsonl", "model.safetensors", "last.safetensors", "vocab.txt", "labels.txt", "preparation.json"] {
            #expect(FileManager.default.fileExists(atPath: folder + "/" + name), "\(name)")
        }
        let metrics = try String(contentsOfFile: folder + "/metrics.jsonl", encoding: .utf8).split(separator: "\n")
        #expect(metrics.count == 3 && metrics.allSatisfy { $0.contains("\"validation_accuracy\"") })

        let report = try run(["evaluate", folder, data, "--device", "cpu", "--json", "--quiet"])
        #expect(report.errors.isEmpty)
        let json = try #require(try JSONSerialization.jsonObject(with: Data(report.output.utf8)) as? [String: Any])
        #expect((json["accuracy"] as? Double ?? 0) > 0.9)
        #expect((json["confusion"] as? [[Int]])?.joined().reduce(0, +) == 80)

        let lines = try run(["predict", folder, "a great film", "the boring story", "--device", "cpu"]).output.split(separator: "\n")
        #expect(lines.count == 2 && lines[0].hasPrefix("positive\tpositive=") && lines[1].hasPrefix("negative\tnegative="))
        let summary = try run(["summary", folder, "--device", "cpu"]).output
        #expect(summary.contains("embedding") && summary.contains("lstm") && summary.contains("parameters"))
        #expect(try run(["summary", folder, "--yaml"]).output.contains("batch_size: 8"))
    }

    @Test func predictStreamsInOrder() throws {
        let folder = place("run")
        _ = try run(["train", try place.reviews(), "--output", folder, "--quiet"] + small)
        let words = (0..<3000).map { $0 % 3 == 0 ? "superb" : "awful" }
        let output = try run(["predict", folder, "--input", "-", "--device", "cpu", "--top", "1"], input: words.joined(separator: "\n") + "\n").output
        let labels = output.split(separator: "\n").map { $0.split(separator: "\t")[0] == "positive" ? "superb" : "awful" }
        #expect(labels == words)
        let file = try run(["predict", folder, "--input", place("reviews.tsv"), "--device", "cpu", "--json"]).output.split(separator: "\n")
        #expect(file.count == 80 && file[0].hasPrefix("{\"label\":\"negative\""))
        let unsure = try run(["predict", folder, "great", "--threshold", "1", "--device", "cpu"]).output
        #expect(unsure.hasPrefix("unsure\t"))
    }

    @Test func predictReadsTheColumnOfTheTraining() throws {
        // A column with a usual name stands beside the one that is trained on.
        var table = "id,text,body,grade\n"
        for row in 0..<80 { table += "\(row),nothing,\(["awful", "superb"][row % 2]) film,\(["low", "high"][row % 2])\n" }
        let data = try place.write(table, to: "columns.csv"), folder = place("run")
        _ = try run(["train", data, "--output", folder, "--quiet", "--text-column", "body", "--label-column", "grade"] + small + ["--epochs", "10"])
        let outcome = try run(["predict", folder, "--input", data, "--device", "cpu", "--top", "1"])
        let labels = outcome.output.split(separator: "\n").map { $0.split(separator: "\t")[0] }
        #expect(labels == (0..<80).map { ["low", "high"][$0 % 2] })
        #expect(outcome.errors.contains("text column body"))
        let lines = try place.write("superb film\n\nawful film\n", to: "lines.txt")
        #expect(try run(["predict", folder, "--input", lines, "--device", "cpu", "--top", "1"]).output.split(separator: "\n").count == 3)
        // The data inside the program has other labels.
        #expect(try Program.run(["evaluate", folder, "--device", "cpu"]).status == 64)
    }

    @Test func aReaderThatLeavesIsNoError() throws {
        let folder = place("run")
        _ = try run(["train", try place.reviews(), "--output", folder, "--quiet"] + small)
        try place.write((0..<20_000).map { "film \($0)" }.joined(separator: "\n"), to: "many.txt")
        let shell = Process(), errors = Pipe()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-c", "\"$0\" predict \"$1\" --device cpu --quiet --input \"$2\" | head -1 > /dev/null", Program.path, folder, place("many.txt")]
        shell.standardError = errors
        try shell.run()
        let text = errors.fileHandleForReading.readDataToEndOfFile()
        shell.waitUntilExit()
        #expect(shell.terminationStatus == 0)
        #expect(text.isEmpty)
    }

    @Test func forceReplacesTheRunAndNothingElse() throws {
        let data = try place.reviews(), folder = place("run")
        _ = try run(["train", data, "--output", folder] + small)
        try place.write("mine", to: "run/notes.txt")
        #expect(try Program.run(["train", data, "--output", folder] + small).status == 73)
        _ = try run(["train", data, "--output", folder, "--force"] + small)
        #expect(try String(contentsOfFile: folder + "/notes.txt", encoding: .utf8) == "mine")
        let metrics = try String(contentsOfFile: folder + "/metrics.jsonl", encoding: .utf8).split(separator: "\n")
        #expect(metrics.count == 3)
    }

    @Test func aRunIsRepeatable() throws {
        let data = try place.reviews()
        for name in ["a", "b"] { _ = try run(["train", data, "--output", place(name), "--seed", "7"] + small) }
        let models = ["a", "b"].map { FileManager.default.contents(atPath: place($0) + "/model.safetensors") }
        #expect(models[0] != nil && models[0] == models[1])
        _ = try run(["train", data, "--output", place("c"), "--config", place("a") + "/config.yaml", "--device", "cpu"])
        #expect(FileManager.default.contents(atPath: place("c") + "/model.safetensors") == models[0])
    }

    @Test func numbersTrainToo() throws {
        let data = try place.series(), folder = place("run")
        _ = try run(["train", data, "--output", folder, "--preset", "relu-lstm", "--device", "cpu", "--batch-size", "4", "--learning-rate", "0.01"])
        let lines = try run(["predict", folder, "--input", data, "--device", "cpu", "--top", "1"]).output.split(separator: "\n")
        #expect(lines.count == 24)
        #expect(try Program.run(["predict", folder, "some text", "--device", "cpu"]).status == 64)
        #expect(try Program.run(["evaluate", folder, try place.reviews(), "--device", "cpu"]).status == 65)
    }

    @Test(arguments: [(SIGINT, Int32(130)), (SIGTERM, Int32(143))])
    func aSignalEndsWithASavedModel(signal: Int32, status: Int32) throws {
        let data = try place.reviews(), folder = place("run")
        let outcome = try Program.run(["train", data, "--output", folder, "--set", "training.patience="] + small + ["--epochs", "100000"],
                                      interrupt: (signal, "epoch 2 "))
        #expect(outcome.status == status, "\(outcome.errors.suffix(400))")
        #expect(outcome.errors.contains("interrupted"))
        _ = try run(["predict", folder, "great", "--device", "cpu"])
    }

    @Test func checkRunsAndFindsATamperedRecord() throws {
        let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("ConformanceTests/Golden/lstm.safetensors")
        let good = try run(["check", "--device", "cpu", "--level", "quick", "--golden", golden.path])
        #expect(good.output.contains("golden lstm") && !good.output.contains("FAIL"))
        var bytes = Array(try Data(contentsOf: golden))
        for index in bytes.indices.suffix(4096) { bytes[index] ^= 0x10 }
        let bad = try place.write(bytes, to: "lstm.safetensors")
        let outcome = try Program.run(["check", "--device", "cpu", "--level", "quick", "--golden", bad])
        #expect(outcome.status == 3, "\(outcome.errors)")
        #expect(outcome.output.contains("FAIL"))
        #expect(try Program.run(["check", "--golden", place("nothing")]).status == 66)
        #expect(try Program.run(["check", "--device", "cpu", "--level", "tiny", "--golden", try place.reviews("x.safetensors")]).status == 65)
    }

    @Test func helpTeaches() throws {
        for command in ["train", "evaluate", "predict", "summary", "devices", "check"] {
            let help = try run([command, "--help"]).output
            #expect(help.contains("OVERVIEW") && help.contains("OPTIONS"))
        }
        #expect(try run(["train", "--help"]).output.contains("stacked-lstm"))
        #expect(try run(["--version"]).output.hasPrefix("carousel "))
    }
}
