import Foundation
import Testing

/// Every kind of bad input ends with its own exit code and a message that names the place.
@Suite(.serialized) struct BadInputTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    /// Trains and expects a failure; `contains` are parts of standard error.
    private func expectTrain(_ data: String?, _ arguments: [String] = [], status: Int32, contains: [String],
                             environment: [String: String] = [:], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let all = ["train"] + (data.map { [$0] } ?? []) + ["--output", place("run")] + (arguments.contains("--device") ? [] : ["--device", "cpu"])
            + arguments
        try expect(all, status: status, contains: contains, environment: environment, sourceLocation: sourceLocation)
    }

    private func expect(_ arguments: [String], status: Int32, contains: [String], environment: [String: String] = [:],
                        sourceLocation: SourceLocation = #_sourceLocation) throws {
        let outcome = try Program.run(arguments, environment: environment)
        #expect(outcome.status == status, "\(outcome.errors)", sourceLocation: sourceLocation)
        for part in contains {
            #expect(outcome.errors.contains(part), "'\(part)' is not in:\n\(outcome.errors)", sourceLocation: sourceLocation)
        }
        #expect(outcome.output.isEmpty, "results in spite of an error: \(outcome.output)", sourceLocation: sourceLocation)
    }

    // MARK: data

    @Test func missingFile() throws {
        try expectTrain("/nonexistent/data.tsv", status: 66, contains: ["error: /nonexistent/data.tsv", "no such file"])
        try expect(["evaluate", "/nonexistent/run", "x.tsv", "--device", "cpu"], status: 66, contains: ["/nonexistent/run"])
    }

    @Test func emptyFile() throws {
        try expectTrain(try place.write("", to: "empty.tsv"), status: 65, contains: ["empty.tsv"])
        try expectTrain(try place.write("text\tlabel\n", to: "header.tsv"), status: 65, contains: ["header.tsv"])
    }

    @Test func oneClassOnly() throws {
        let data = try place.write("text\tlabel\ngood film\tpos\nfine film\tpos\n", to: "one.tsv")
        try expectTrain(data, status: 65, contains: ["one.tsv", "pos", "two classes"])
        #expect(!FileManager.default.fileExists(atPath: place("run")), "a run that never began leaves nothing behind")
    }

    @Test func packedFile() throws {
        try expectTrain(try place.write([0x50, 0x4B, 0x03, 0x04, 0xFF, 0x00], to: "book.xlsx"), status: 65, contains: ["book.xlsx", "spreadsheet", "CSV"])
    }

    @Test func missingColumn() throws {
        try expectTrain(try place.reviews(), ["--text-column", "bdy"], status: 65, contains: ["bdy", "text", "label"])
        try expectTrain(try place.reviews(), ["--label-column", "9"], status: 65, contains: ["9"])
    }

    @Test func wrongNumberOfFields() throws {
        let data = try place.write("text\tlabel\ngood\tpos\nbad\tneg\textra\n", to: "fields.tsv")
        try expectTrain(data, status: 65, contains: ["fields.tsv:3"])
        let csv = try place.write("text,label\ngood,pos\n\"bad, and\nworse\",neg\nlonely\n", to: "fields.csv")
        try expectTrain(csv, status: 65, contains: ["fields.csv:5"])
    }

    @Test func severalLabelsOnALine() throws {
        let data = try place.write("__label__a good\n__label__a __label__b both\n", to: "labels.txt")
        try expectTrain(data, status: 65, contains: ["labels.txt:2", "label"])
    }

    @Test func brokenUTF8() throws {
        var bytes = Array("text\tlabel\ngood\tpos\nbad".utf8)
        bytes += [0xC3, 0x28, 0xFF, 0xFE, 0x09] + Array("neg\n".utf8)
        try expectTrain(try place.write(bytes, to: "broken.tsv"), status: 65, contains: ["broken.tsv:3", "UTF-8", "GB18030"])
    }

    @Test func unknownLabelInValidation() throws {
        let validation = try place.write("text\tlabel\ngood\tpositive\nodd\tmixed\n", to: "validation.tsv")
        try expectTrain(try place.reviews(), ["--validation", validation], status: 65,
                        contains: ["validation.tsv:3", "mixed", "negative, positive"])
    }

    // MARK: configuration

    @Test func unknownConfigurationKey() throws {
        let file = try place.write("preset: bilstm\ntraining:\n  lerning_rate: 0.1\n", to: "c.yaml")
        try expectTrain(try place.reviews(), ["--config", file], status: 78,
                        contains: ["c.yaml:3:3", "training.lerning_rate", "did you mean 'training.learning_rate'?"])
    }

    @Test func unknownSetKey() throws {
        try expectTrain(try place.reviews(), ["--set", "training.epoch=3"], status: 78,
                        contains: ["--set training.epoch=3", "did you mean 'training.epochs'?"])
    }

    @Test func wrongType() throws {
        let file = try place.write("training: {epochs: many}\n", to: "c.yaml")
        try expectTrain(try place.reviews(), ["--config", file], status: 78,
                        contains: ["c.yaml:1:20", "training.epochs", "a whole number", "'many'"])
        try expectTrain(try place.reviews(), ["--set", "training.learning_rate=fast"], status: 78, contains: ["a number", "'fast'"])
    }

    @Test func precisionsADeviceLacks() throws {
        try expectTrain(try place.reviews(), ["--precision", "float16"], status: 78, contains: ["float16", "bfloat16"])
        try expectTrain(try place.reviews(), ["--precision", "half"], status: 64, contains: ["--precision", "half"])
        try expectTrain(try place.reviews(), ["--set", "training.precision=bf16"], status: 78, contains: ["training.precision", "bf16", "bfloat16"])
    }

    @Test func layerSizesThatAreNotPositive() throws {
        let file = try place.write("model:\n  layers:\n  - embedding: {units: 8}\n  - lstm: {units: -4}\n", to: "c.yaml")
        try expectTrain(try place.reviews(), ["--config", file], status: 78, contains: ["c.yaml:4:19", "model.layers.1.lstm.units", "-4"])
        try expectTrain(try place.reviews(), ["--set", "model.layers.0.embedding.units=0"], status: 78, contains: ["embedding.units"])
    }

    @Test func keyOutsideItsSection() throws {
        let file = try place.write("epochs: 3\n", to: "c.yaml")
        try expectTrain(try place.reviews(), ["--config", file], status: 78, contains: ["c.yaml:1:1", "did you mean 'training.epochs'?"])
        try expectTrain(try place.reviews(), ["--set", "epochs=3"], status: 78, contains: ["did you mean 'training.epochs'?"])
    }

    @Test func sizesNoMachineHolds() throws {
        let summary = ["summary", "--preset", "bilstm", "--device", "cpu"]
        for setting in ["preparation.vocabulary_size=99999999999", "preparation.maximum_length=9223372036854775807",
                        "training.batch_size=9223372036854775807"] {
            try expect(summary + ["--set", setting], status: 78, contains: [setting, "larger than any machine holds"])
        }
        for option in ["--steps", "--batch-size", "--classes", "--width"] {
            try expect(summary + [option, "9223372036854775807"], status: 64, contains: [option])
        }
        try expect(summary + ["--steps", "1000000", "--batch-size", "1000000"], status: 64, contains: ["--steps"])
        try expect(summary + ["--set", "model.layers.1.lstm.units=1000000"], status: 75, contains: ["memory", "try: "])
    }

    /// A run that does not fit is refused before it starts, and what is suggested runs.
    @Test func moreMemoryThanThereIs() throws {
        let lines = (0..<400).map { "\((0..<80).map { "w\($0 * $0 % 37)" }.joined(separator: " "))\t\($0 % 2 == 0 ? "a" : "b")" }
        let data = try place.write("text\tlabel\n" + lines.joined(separator: "\n") + "\n", to: "long.tsv")
        let limit = ["CAROUSEL_MEMORY": "12M"], model = ["--preset", "simple-rnn", "--epochs", "1", "--validation-split", "0"]
        try expectTrain(data, model + ["--batch-size", "200000"], status: 75, contains: ["training needs", "12.0 MiB", "try: --batch-size"],
                        environment: limit)
        #expect(!FileManager.default.fileExists(atPath: place("run")), "the next try is not refused")
        let refused = try Program.run(["train", data, "--output", place("run"), "--device", "cpu", "--batch-size", "200000"] + model, environment: limit)
        let size = try #require(refused.errors.firstMatch(of: /--batch-size (\d+)/)).1
        let length = try #require(refused.errors.firstMatch(of: /--set (preparation.maximum_length=\d+)/)).1
        for options in [["--batch-size", String(size)], ["--batch-size", "200000", "--set", String(length)]] {
            let run = try Program.run(["train", data, "--output", place("run"), "--device", "cpu", "--force"] + model + options, environment: limit)
            #expect(run.status == 0 && run.errors.contains("memory: training needs"), "\(options): \(run.errors)")
        }
        try expectTrain(data, model + ["--force"], status: 64, contains: ["CAROUSEL_MEMORY", "800M"], environment: ["CAROUSEL_MEMORY": "lots"])
    }

    @Test func unknownTuning() throws {
        try expectTrain(try place.reviews(), small, status: 78, contains: ["CAROUSEL_TUNING", "default, narrow, wide"],
                        environment: ["CAROUSEL_TUNING": "fast"])
    }

    @Test func modelAndDataOfDifferentKinds() throws {
        try expectTrain(try place.series(), status: 78, contains: ["numeric", "relu-lstm"])
        try expectTrain(try place.reviews(), ["--preset", "relu-lstm"], status: 78, contains: ["embedding"])
    }

    @Test(arguments: [
        (["--epochs", "0"], "--epochs"), (["--epochs", "x"], "--epochs"), (["--batch-size", "-1"], "--batch-size"),
        (["--learning-rate", "0"], "--learning-rate"), (["--learning-rate", "nan"], "--learning-rate"),
        (["--validation-split", "1"], "--validation-split"), (["--device", "gpu"], "--device"), (["--device", "opencl:x"], "--device"),
        (["--tokenizer", "word"], "--tokenizer"), (["--preset", "bilstn"], "did you mean 'bilstm'?"), (["--set", "epochs"], "key=value"),
        (["--nonsense"], "--nonsense"), (["--seed", "-1"], "--seed"), (["--preset", "bilstm", "--config", "x.yaml"], "not both"),
        (["--validation", "x", "--validation-split", "0.2"], "not both"),
    ])
    func badFlags(arguments: [String], part: String) throws {
        try expectTrain(try place.reviews(), arguments, status: 64, contains: [part])
    }

    @Test func badUseOfOtherCommands() throws {
        for arguments in [["train"], ["predict", "run"], ["predict", "run", "text", "--input", "x"], ["predict", "run", "x", "--top", "0"],
                          ["predict", "run", "x", "--threshold", "2"], ["summary"], ["trian"], ["check", "--level", "deep"]] {
            try expect(arguments, status: 64, contains: ["sage: carousel"])
        }
    }

    // MARK: models

    @Test func damagedModels() throws {
        let run = place("run"), model = place("run/model.safetensors")
        #expect(try Program.run(["train", try place.reviews(), "--output", run] + small).status == 0)
        let good = Array(try Data(contentsOf: URL(fileURLWithPath: model)))
        try place.write(Array(good.dropLast(10)), to: "run/model.safetensors")
        try expect(["predict", run, "good", "--device", "cpu"], status: 65, contains: ["model.safetensors"])
        try place.write("not a model at all, just some text that is long enough", to: "run/model.safetensors")
        try expect(["evaluate", run, place("reviews.tsv"), "--device", "cpu"], status: 65, contains: ["model.safetensors"])
        let header = #"{"other.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
        let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
        try place.write(length + Array(header.utf8) + [0, 0, 0, 0], to: "run/model.safetensors")
        try expect(["summary", run, "--device", "cpu"], status: 65, contains: ["model.safetensors", "embedding.weight"])
        try FileManager.default.removeItem(atPath: model)
        try expect(["predict", run, "good", "--device", "cpu"], status: 66, contains: [run, "model.safetensors"])
    }

    // MARK: devices

    @Test func noOpenCLDevice() throws {
        try FileManager.default.createDirectory(atPath: place("vendors"), withIntermediateDirectories: true)
        let without = ["OCL_ICD_VENDORS": place("vendors") + "/", "OCL_ICD_FILENAMES": ""]
        try expectTrain(try place.reviews(), ["--device", "opencl"], status: 69, contains: ["error: ", "try: "], environment: without)
        try expectTrain(try place.reviews(), ["--device", "opencl:7"], status: 69, contains: ["error: "])
        let devices = try Program.run(["devices"], environment: without)
        #expect(devices.status == 0)
        #expect(devices.output.contains("cpu") && devices.output.contains("no OpenCL device"), "\(devices.output)")
    }

    @Test func kernelThatDoesNotBuild() throws {
        guard try Program.run(["devices"]).output.contains("opencl:0") else { return }
        try place.write("this is not a kernel\n", to: "kernels/lstm.cl")
        try expectTrain(try place.reviews(), small.map { $0 == "cpu" ? "opencl" : $0 }, status: 70, contains: ["lstm", "error:"],
                        environment: ["CAROUSEL_KERNEL_DIRECTORY": place("kernels"), "CAROUSEL_KERNEL_CACHE": "off"])
        #expect(!FileManager.default.fileExists(atPath: place("run")), "the next try is not refused")
    }

    // MARK: output and training

    @Test func placesThatCannotBeWritten() throws {
        try place.write("mine", to: "run/notes.txt")
        try expectTrain(try place.reviews(), small, status: 73, contains: ["run", "not empty", "--force"])
        for path in ["/proc/carousel", "/dev/null/run", place("reviews.tsv")] {
            try expect(["train", place("reviews.tsv"), "--output", path] + small, status: 73, contains: [path])
        }
    }

    @Test func fullDisk() throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-c", "\"$0\" devices > /dev/full 2> /dev/null", Program.path]
        try shell.run()
        shell.waitUntilExit()
        #expect(shell.terminationStatus == 74)
    }

    @Test func divergenceKeepsTheLastGoodModel() throws {
        let arguments = ["--preset", "relu-lstm", "--learning-rate", "1e30", "--epochs", "5", "--batch-size", "4"]
        let outcome = try Program.run(["train", try place.series(), "--output", place("run"), "--device", "cpu"] + arguments)
        #expect(outcome.status == 4, "\(outcome.errors)")
        #expect(outcome.errors.contains("step"), "\(outcome.errors)")
        let again = try Program.run(["predict", place("run"), "--input", place("series.csv"), "--device", "cpu"])
        #expect(again.status == 0, "\(again.errors)")
        #expect(!again.output.contains("nan"), "\(again.output)")
    }
}
