import CarouselCPU
import CarouselCore
import CarouselNN
@testable import CarouselTraining
import Foundation
import Testing

/// What measurements mean; no test asks how fast anything is.
@Suite struct MeasurementTests {
    @Test func mediansAndMinima() {
        #expect(Timing(samples: [3, 1, 2]).median == 2 && Timing(samples: [4, 1, 2, 3]).median == 2.5)
        #expect(Timing(samples: [3, 1], processor: 4).cores == 2 && Timing(samples: [1]).cores == nil)
        #expect(Timing(samples: [3, 1, 2]).minimum == 1 && Timing(samples: []).median == 0)
    }

    /// Worked by hand: T 2, B 3, I 5, H 7 are 6 rows; one product with W_ih takes 2·6·G·7·5, one with W_hh 2·6·G·7·7.
    @Test func arithmeticOfLayersIsCounted() {
        let size = LayerSize(steps: 2, batch: 3, input: 5, hidden: 7)
        for (kind, gates) in [(RecurrentCell.Kind.lstm, 4.0), (.gru, 3), (.rnn, 1)] {
            let input = 2 * 6 * gates * 35, state = 2 * 6 * gates * 49
            #expect(LayerCase(kind, size).operations(backward: false) == input + state)
            // Gradients of both weights and of the state.
            #expect(LayerCase(kind, size).operations(backward: true) == 2 * input + 3 * state)
        }
        // The second layer reads 7 units and hands back a gradient.
        var stack = size
        stack.layers = 2
        let second = 2.0 * 6 * 4 * 49
        #expect(LayerCase(.lstm, stack).operations(backward: true) == LayerCase(.lstm, size).operations(backward: true) + 6 * second)
        let ragged = LayerCase(.lstm, LayerSize(steps: 8, batch: 3, input: 5, hidden: 7), isRagged: true)
        #expect(ragged.lengths == [8, 5, 2])
        #expect(ragged.operations(backward: false) == 2 * 15 * 4 * (35 + 49))
        let both = LayerCase(.lstm, size, settings: RecurrentConfiguration(units: 1, bidirectional: .concat))
        #expect(both.operations(backward: true) == 2 * LayerCase(.lstm, size).operations(backward: true))
    }

    /// Work is taken in turns, and everything is finished inside a sample.
    @Test func workIsSampledInTurns() throws {
        var calls = ""
        let stopwatch = Stopwatch(backend: try CPUBackend(threads: 1), seconds: 0.05)
        let timings = try stopwatch.time(["A", "B"].map { name in { calls += name; usleep(4000) } })
        #expect(timings[0].samples.count == timings[1].samples.count && timings[0].samples.count > 1)
        // Two of each to warm up and to find how often short work is repeated; this is long enough to run once.
        #expect(calls == "AABB" + String(repeating: "AB", count: timings[0].samples.count))
    }

    @Test func slopesOfPowersAreTheirExponents() {
        for exponent in [0.0, 1, 2] {
            let points = [1, 2, 4, 8].map { (size: $0, seconds: 3e-3 * pow(Double($0), exponent)) }
            #expect(abs(ScalingBenchmark.slope(points) - exponent) < 1e-9)
        }
    }

    /// Each set of vector instructions has a peak.
    @Test func cpuPeaksAreMeasured() throws {
        for instructions in InstructionSet.allCases where instructions.isAvailable {
            let backend = try CPUBackend(threads: 1, instructions: instructions)
            #expect(try backend.measurePeak(seconds: 0.03) > 1e8 && backend.peakMethod.contains(instructions.name))
        }
    }

    @Test func reportsAreSavedAndReadBack() throws {
        let backend = try CPUBackend(threads: 1)
        var report = BenchReport(command: "layers", machine: BenchMachine(program: "p 1", processor: "q", backend: backend))
        report.rows = [BenchRow(key: "a", milliseconds: 4, minimum: 2, samples: 3), BenchRow(key: "b", milliseconds: 1, minimum: 1, samples: 1)]
        report.rows[0].processor = 6
        report.facts = [BenchFact("f", 8)]
        let path = NSTemporaryDirectory() + "carousel-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try report.json().write(toFile: path, atomically: true, encoding: .utf8)
        let old = try BenchReport.load(path, command: "layers")
        #expect(old.rows == report.rows && old.facts == report.facts && old.machine == report.machine)

        report.rows = [BenchRow(key: "a", milliseconds: 2, minimum: 4, samples: 3), BenchRow(key: "c", milliseconds: 1, minimum: 1, samples: 1)]
        report.rows[0].processor = 2
        report.facts = []
        report.machine.driver = "other"
        let comparison = BenchComparison(old: old, new: report)
        #expect(comparison.rows.map(\.ratio) == [2] && comparison.minima.map(\.ratio) == [0.5] && comparison.processor.map(\.ratio) == [3])
        #expect(comparison.onlyOld == ["b", "f"] && comparison.onlyNew == ["c"])
        #expect(comparison.warnings.count == 1 && comparison.warnings[0].contains("driver"))
        #expect(comparison.lines().contains { $0.hasPrefix("a ") && $0.contains("2.00") && $0.contains("0.50") && $0.contains("3.00") })
    }

    /// Whatever moment a program is stopped at, the file is an array of what was added so far.
    @Test func traceFilesAreWholeAfterEveryWrite() throws {
        let path = NSTemporaryDirectory() + "carousel-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        func count() throws -> Int? { (try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path))) as? [Any])?.count }
        let file = try TraceFile(path)
        #expect(try count() == 0)
        for number in 1...4 {
            try file.add([TraceEvent(name: "\"\\ 名 \(number)", pid: 1, tid: 1), TraceEvent(name: "b", pid: 1, tid: 1, args: ["x": .list([1, 2])])])
            #expect(try count() == 2 * number)
        }
        try file.add([])
        #expect(try count() == 8)
        #expect(throws: CarouselError.self) { _ = try TraceFile(NSTemporaryDirectory()) }
    }
}
