import Foundation
import Testing

/// `train --resume` as a user meets it.
@Suite(.serialized) struct ResumeTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private func files(_ folder: String) -> [Data?] {
        ["model.safetensors", "last.safetensors", "metrics.jsonl", "config.yaml", "vocab.txt"].map { FileManager.default.contents(atPath: folder + "/" + $0) }
    }

    /// Killed with no chance to save anything, three times, and interrupted once.
    @Test func aKilledRunEndsWithTheSameBytes() throws {
        let data = try place.reviews()
        let options = small + ["--epochs", "40", "--set", "training.patience=", "--seed", "3", "--checkpoint-every", "7 steps"]
        let whole = try Program.run(["train", data, "--output", place("whole")] + options)
        #expect(whole.status == 0, "\(whole.errors)")
        for (number, moment) in [(SIGKILL, "epoch 2 "), (SIGKILL, "epoch 11 "), (SIGINT, "epoch 20 "), (SIGKILL, "epoch 30 ")].enumerated() {
            let outcome = try Program.run(["train", data, "--resume", "--output", place("run")] + options, interrupt: (moment.0, moment.1))
            #expect(outcome.status == (moment.0 == SIGINT ? 130 : 1000 + SIGKILL), "\(outcome.errors)")
            #expect(number == 0 || outcome.errors.contains("continuing after step"))
            #expect(moment.0 != SIGINT || outcome.errors.contains("--resume --output"))
        }
        // Neither data nor options are needed: the run knows them.
        let resumed = try Program.run(["train", "--resume", "--output", place("run"), "--device", "cpu"])
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(resumed.output == whole.output)
        #expect(files(place("run")) == files(place("whole")))
        #expect(try FileManager.default.contentsOfDirectory(atPath: place("run")).contains("checkpoints") == false)
        let again = try Program.run(["train", "--resume", "--output", place("run"), "--device", "cpu"])
        #expect(again.status == 0 && again.errors.contains("come to its end") && again.output.isEmpty)
        let json = try Program.run(["train", "--resume", "--output", place("run"), "--json"]).output
        #expect((try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])?["best_epoch"] != nil)
        // A refusal for memory comes before the old run is replaced.
        let refused = try Program.run(["train", data, "--output", place("run"), "--force"] + options, environment: ["CAROUSEL_MEMORY": "10K"])
        #expect(refused.status == 75 && files(place("run")) == files(place("whole")), "\(refused.errors)")
    }

    @Test func whatCannotBeResumed() throws {
        let data = try place.reviews(), run = place("run")
        func refused(_ status: Int32, _ words: String, _ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation) throws {
            let outcome = try Program.run(["train"] + arguments)
            #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.errors)", sourceLocation: sourceLocation)
        }
        try refused(64, "--resume continues", [data, "--output", run, "--resume", "--force"])
        try refused(64, "--checkpoint-every", [data, "--output", run, "--checkpoint-every", "often"])
        try place.write("mine", to: "other/notes.txt")
        try refused(73, "notes.txt", [data, "--output", place("other"), "--resume"])
        let begun = try Program.run(["train", data, "--output", run] + small + ["--epochs", "100000", "--set", "training.patience="],
                                    interrupt: (SIGTERM, "epoch 3 "))
        #expect(begun.status == 143)
        try refused(73, "has not ended", [data, "--output", run])
        try refused(78, "training.epochs: 100000 then, 5 now", ["--output", run, "--resume", "--epochs", "5"])
        try refused(78, "model.layers", ["--output", run, "--resume", "--preset", "stacked-lstm", "--device", "cpu"])
        try place.write(String(contentsOfFile: data, encoding: .utf8) + "one more film\tpositive\n", to: "reviews.tsv")
        try refused(65, "80 rows then, 81 now", ["--output", run, "--resume", "--device", "cpu"])
        try FileManager.default.removeItem(atPath: data)
        try refused(66, "reviews.tsv", ["--output", run, "--resume", "--device", "cpu"])
    }

    /// Two processes never write to one run.
    @Test func aRunBelongsToOneProcess() throws {
        let data = try place.reviews(), run = place("run")
        let arguments = [data, "--output", run] + small + ["--epochs", "100000", "--set", "training.patience="]
        let first = Process(), errors = Pipe()
        first.executableURL = URL(fileURLWithPath: Program.path)
        first.arguments = ["train"] + arguments
        first.standardOutput = FileHandle.nullDevice
        first.standardError = errors
        try first.run()
        while true {
            let part = errors.fileHandleForReading.availableData
            if part.isEmpty || String(decoding: part, as: UTF8.self).contains("epoch 1 ") { break }
        }
        let second = try Program.run(["train", "--resume"] + arguments), forced = try Program.run(["train", "--force"] + arguments)
        #expect(FileManager.default.fileExists(atPath: run + "/config.yaml"), "force must not touch a run in progress")
        kill(first.processIdentifier, SIGKILL)
        first.waitUntilExit()
        for outcome in [second, forced] { #expect(outcome.status == 73 && outcome.errors.contains("another process"), "\(outcome.errors)") }
    }

    /// A file that cannot grow: the error names it, and nothing half-written stays.
    @Test func aFullDiskIsAClearError() throws {
        let data = try place.reviews(), run = place("run")
        let shell = Process(), errors = Pipe()
        shell.executableURL = URL(fileURLWithPath: "/bin/bash")
        // 8 blocks of 1024 bytes: room for the configuration, not for the tensors.
        shell.arguments = ["-c", "ulimit -f 8; exec \"$0\" \"$@\"", Program.path, "train", data, "--output", run, "--checkpoint-every", "2"] + small
        shell.standardError = errors
        shell.standardOutput = FileHandle.nullDevice
        try shell.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        shell.waitUntilExit()
        #expect(shell.terminationStatus == 74, "\(text)")
        #expect(text.contains("safetensors: cannot write") && text.contains("try:"), "\(text)")
        let names = FileManager.default.enumerator(atPath: run)?.compactMap { $0 as? String } ?? []
        #expect(!names.contains { $0.contains("/.") || $0.hasPrefix(".") }, "\(names)")
    }
}
