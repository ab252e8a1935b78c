import CAllocations
import Foundation
import Testing

/// `carousel bench` as a user meets it, on tiny sizes.
@Suite(.serialized) struct BenchProgramTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private let layers = ["bench", "layers", "--device", "cpu", "--cell", "gru", "--sizes", "5,3,4,6,2", "--seconds", "0.01"]

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    private func rows(_ report: [String: Any]) throws -> [String: [String: Any]] {
        let rows = try #require(report["rows"] as? [[String: Any]])
        return Dictionary(uniqueKeysWithValues: rows.map { ($0["key"] as? String ?? "", $0) })
    }

    private func facts(_ report: [String: Any]) throws -> [String: Double] {
        let facts = try #require(report["facts"] as? [[String: Any]])
        return Dictionary(uniqueKeysWithValues: facts.map { ($0["name"] as? String ?? "", $0["value"] as? Double ?? .nan) })
    }

    @Test func aDeviceAnswersProbes() throws {
        let listing = try Program.run(["bench", "device", "--list", "--json"])
        guard listing.status != 69 else { return }
        let found = try object(listing.output)
        #expect((found["probes"] as? [String])?.contains("mma bf16") == true && (found["plans"] as? [[String: Any]])?.isEmpty == false)
        let asked = try Program.run(["bench", "device", "--probes", "half storage", "mma bf16", "--json", "--quiet"])
        #expect(asked.status == 0, "\(asked.errors)")
        let answers = try #require(try JSONSerialization.jsonObject(with: Data(asked.output.utf8)) as? [[String: Any]])
        #expect(answers.map { $0["name"] as? String } == ["half storage", "mma bf16"])
        #expect(answers[0]["outcome"] as? String == "works" && answers.allSatisfy { $0["purpose"] is String })
        #expect(try Program.run(["bench", "device", "--probes", "warp"]).errors.contains("there is no probe 'warp'"))
        #expect(try Program.run(["bench", "device", "--device", "cpu"]).status == 64)
    }

    @Test func lossesStandSideBySide() throws {
        let outcome = try Program.run(["bench", "losses", "--device", "cpu", "--preset", "simple-rnn", "--steps", "3", "--json", "--quiet"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let result = try object(outcome.output), traces = try #require(result["traces"] as? [[String: Any]])
        #expect(traces.map { ($0["losses"] as? [Double])?.count } == [3, 3])
        #expect((result["difference"] as? [String: Double])?["loss"] == 0)
    }

    @Test func layersAreMeasuredSavedAndCompared() throws {
        let saved = place("layers.json")
        let first = try Program.run(layers + ["--output", saved], environment: ["CAROUSEL_THREADS": "2"])
        #expect(first.status == 0, "\(first.errors)")
        for part in ["peak", "GFLOP/s", "gru T5 B3 I4 H6 L2 forward + backward", "of peak", "memory"] { #expect(first.output.contains(part)) }

        let report = try object(String(contentsOfFile: saved, encoding: .utf8))
        let row = try #require(try rows(report)["gru T5 B3 I4 H6 L2 forward"])
        for key in ["milliseconds", "minimum", "gigaflops", "share"] { #expect(row[key] as? Double ?? 0 > 0, "\(key)") }
        #expect(row["bytes"] as? Int ?? 0 > 15 * (18 + 6) * 4, "less than the gates and states alone")
        #expect((row["minimum"] as? Double ?? 1) <= (row["milliseconds"] as? Double ?? 0))

        var other = layers
        other[other.firstIndex(of: "gru")!] = "gru,rnn"
        let second = try Program.run(other + ["--compare", saved, "--json"], environment: ["CAROUSEL_THREADS": "1"])
        #expect(second.status == 0 && second.errors.contains("threads"), "\(second.errors)")
        let result = try object(second.output)
        let comparison = try #require(result["comparison"] as? [String: Any])
        #expect((comparison["rows"] as? [[String: Any]])?.count == 2)
        #expect((comparison["only_new"] as? [String])?.count == 2 && (comparison["only_old"] as? [String]) == [])
        let pair = try #require((comparison["rows"] as? [[String: Any]])?.first)
        let old = try #require(pair["old"] as? Double), new = try #require(pair["new"] as? Double), ratio = try #require(pair["ratio"] as? Double)
        #expect(abs(ratio * new - old) < 1e-9 * old)

        let missing = try Program.run(["bench", "layers", "--device", "cpu", "--cell", "lstm", "--sizes", "5,3,4,6", "--seconds", "0.01", "--compare", saved])
        #expect(missing.output.contains("only in the old report: gru T5 B3 I4 H6 L2 forward"), "\(missing.output)")
    }

    @Test func operationsAndOptionsHaveAllRows() throws {
        let operations = try Program.run(["bench", "operations", "--device", "cpu", "--products", "17,9,5", "--rows", "64", "--width", "8", "--vocabulary", "50",
                                          "--weights", "1000", "--seconds", "0.005", "--json"])
        #expect(operations.status == 0, "\(operations.errors)")
        let found = try rows(object(operations.output))
        for transposed in ["NN", "NT", "TN"] { #expect(found["product \(transposed) M17 N9 K5"]?["gigaflops"] != nil) }
        for key in ["gather N64 D8 V50", "segment sums N64 D8 V50", "softmax cross entropy B64 C10", "Adam 1000 weights", "squared norm 1000 values"] {
            #expect(found[key]?["gigabytes"] as? Double ?? 0 > 0, "\(key)")
        }
        let options = try Program.run(["bench", "options", "--device", "cpu", "--sizes", "6,4,3,5", "--seconds", "0.005", "--json"])
        #expect(options.status == 0, "\(options.errors)")
        let compared = try rows(object(options.output))
        #expect(compared.count == 10 && compared["lstm T6 B4 I3 H5"]?["ratio"] as? Double == 1)
        #expect(compared.values.allSatisfy { $0["ratio"] as? Double ?? 0 > 0 })
    }

    @Test func aStepIsTakenApart() throws {
        for device in ["cpu"] + (try hasOpenCL() ? ["opencl:0"] : []) {
            let outcome = try Program.run(["bench", "step", try place.reviews(), "--device", device, "--set", "model.layers=[{embedding: {units: 8}}, {lstm: {units: 8}}]",
                                           "--set", "training.batch_size=8", "--steps", "4", "--seconds", "0.05", "--json"])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let report = try object(outcome.output), rows = try rows(report), facts = try facts(report)
            let phases = ["batch preparation", "upload", "forward 0: embedding", "forward 1: lstm 0", "forward 2: head", "loss", "zero gradients",
                          "backward 2: head", "backward 1: lstm 0", "backward 0: embedding", "clip", "update", "read losses", "all phases", "a step as in training"]
            for phase in phases { #expect(rows[phase]?["milliseconds"] as? Double ?? 0 > 0, "\(phase)") }
            #expect(facts["tokens per second"] ?? 0 > 0 && facts["tokens per step"] == 32)
            #expect(abs((facts["peak of planned"] ?? 0) - 100) < 5, "\(facts)")
            if carousel_allocations_countable() {
                let own = try #require(facts["heap allocations per step, training thread"])
                #expect(own >= 0 && own <= facts["heap allocations per step, all threads"] ?? 0)
            }
        }
    }

    /// What Documentation/Memory.md says of the CPU device, with every kind of layer, limit and mean of weights.
    @Test func aStepOnTheCPUAllocatesNothing() throws {
        #if !DEBUG
        guard carousel_allocations_countable() else { return }
        let textLayers = """
            [{embedding: {units: 6, dropout: 0.2}}, {lstm: {units: 5, projection: 4, output: sequences, bidirectional: concat, concat_input: true, recurrent_dropout: 0.2}}, \
            {gru: {units: 5, output: sequences, bidirectional: ave, reset_after: false}}, {gru: {units: 5, output: sequences}}, {dropout: {rate: 0.3, per_sequence: true}}, \
            {dense: {units: 7, activation: tanh}}, {rnn: {units: 6, output: sequences, reversed: true, biases: two}}, \
            {pooling: {of: [last, mean, max]}}, {dropout: {rate: 0.2}}]
            """
        let training = ["--set", "training.clipping={global_norm: 1, tensor_norm: 0.5, value: 0.1}", "--set", "training.average_decay=0.9",
                        "--set", "training.batch_size=8", "--set", "training.class_weights=balanced"]
        for settings in [["--precision", "float32"], ["--precision", "bfloat16"], ["--set", "training.optimizer={name: rmsprop, momentum: 0.9}"]] {
            let outcome = try Program.run(["bench", "step", "--device", "cpu", "--set", "model.layers=\(textLayers)",
                                           "--steps", "6", "--seconds", "0.02", "--json"] + training + settings)
            #expect(outcome.status == 0, "\(outcome.errors)")
            let report = try object(outcome.output)
            let allocations = try #require(try facts(report)["heap allocations per step, training thread"])
            let places = try rows(report).compactMapValues { $0["allocations"] as? Double }.filter { $0.value > 0 }
            // On a busy machine the thread that prepares batches may fall behind, and one batch more is made.
            #expect(allocations < 1, "\(places)")
        }
        #endif
    }

    @Test func growthIsMeasured() throws {
        let outcome = try Program.run(["bench", "scaling", "--device", "cpu", "--axes", "L,V", "--points", "2", "--seconds", "0.1", "--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try object(outcome.output), rows = try rows(report), facts = try facts(report)
        for key in ["L 1", "L 2", "V 8192", "V 16384"] {
            let bytes = try #require(rows[key]?["bytes"] as? Int), planned = try #require(rows[key]?["planned_bytes"] as? Int)
            #expect(abs(bytes - planned) <= planned / 20, "\(key)")
        }
        #expect(facts["slope of L"]?.isFinite == true && facts["slope of V, last doubling"]?.isFinite == true)
    }

    @Test func badInputHasItsOwnCodes() throws {
        func expect(_ arguments: [String], _ status: Int32, _ part: String) throws {
            let outcome = try Program.run(["bench"] + arguments)
            #expect(outcome.status == status && outcome.errors.contains(part) && outcome.output.isEmpty, "\(arguments): \(outcome.status) \(outcome.errors)")
        }
        let foreign = try place.write("{\"format\": \"something-else/3\"}", to: "foreign.json")
        let damaged = try place.write("{\"format\": \"carousel-bench/1\", \"command\": \"layers\"}", to: "damaged.json")
        try expect(["layers", "--compare", foreign], 65, "something-else/3")
        try expect(["layers", "--compare", damaged], 65, "damaged.json")
        try expect(["layers", "--compare", try place.reviews()], 65, "reviews.tsv")
        try expect(["layers", "--compare", place("none.json")], 66, "none.json")
        try expect(["layers", "--compare", place.path], 66, "folder")
        try expect(["layers", "--output", place.path], 73, "folder")
        try expect(["layers", "--output", "/nonexistent/a.json"], 73, "/nonexistent")
        try expect(["layers", "--sizes", "1,2,3"], 64, "1,2,3")
        try expect(["layers", "--cell", "cnn"], 64, "cnn")
        try expect(["layers", "--seconds", "0"], 64, "--seconds")
        try expect(["layers", "--device", "opencl:77"], 69, "77")
        try expect(["layers", "--device", "cpu", "--plan", "gpu kernels"], 64, "gpu kernels")
        try expect(["layers", "--device", "cpu", "--sizes", "1000,1000,100000,100000", "--seconds", "0.01"], 75, "memory")
        try expect(["step", "/nonexistent.tsv"], 66, "/nonexistent.tsv")
        try expect(["scaling", "--axes", "Q"], 64, "Q")
    }

    /// Three allocations of known sizes, and none while nobody counts.
    @Test func allocationsAreCountedToTheLast() throws {
        guard carousel_allocations_countable() else { return }
        var blocks = [UnsafeMutableRawPointer?](repeating: nil, count: 3)
        carousel_allocations_begin()
        blocks[0] = malloc(1000)
        blocks[1] = calloc(10, 20)
        posix_memalign(&blocks[2], 64, 4096)
        let count = carousel_allocations_end()
        let later = malloc(77)
        #expect(count.ownCalls == 3 && count.ownBytes == 1000 + 200 + 4096, "\(count)")
        #expect(count.allCalls >= 3 && count.allBytes >= count.ownBytes)
        #expect(blocks.allSatisfy { $0 != nil } && later != nil)
        for block in blocks + [later] { free(block) }
    }

    private func hasOpenCL() throws -> Bool { try Program.run(["devices", "--json"]).output.contains("\"opencl:0\"") }
}
