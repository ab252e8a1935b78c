import Foundation
import Testing

/// `carousel train --profile` as a user meets it.
@Suite(.serialized) struct ProfileTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private struct Event {
        var name: String, category: String, process: Int, thread: Int
        var start: Double, end: Double
        var values: [String: Any]
    }

    /// The events with a duration; the file must be a JSON array.
    private func events(_ path: String) throws -> [Event] {
        let all = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path))) as? [[String: Any]])
        return try all.filter { $0["ph"] as? String == "X" }.map { event in
            let start = try #require(event["ts"] as? Double), length = try #require(event["dur"] as? Double)
            return Event(name: try #require(event["name"] as? String), category: try #require(event["cat"] as? String),
                         process: try #require(event["pid"] as? Int), thread: try #require(event["tid"] as? Int),
                         start: start, end: start + length, values: event["args"] as? [String: Any] ?? [:])
        }
    }

    /// On every track an event lies inside another or beside it.
    private func expectNesting(_ events: [Event]) {
        for (track, members) in Dictionary(grouping: events, by: { "\($0.process).\($0.thread)" }) {
            var open: [Event] = []
            for event in members.sorted(by: { ($0.start, -$0.end) < ($1.start, -$1.end) }) {
                open.removeAll { $0.end <= event.start + 1e-6 }
                #expect(event.end >= event.start && open.allSatisfy { event.end <= $0.end + 1e-3 }, "\(event.name) on track \(track)")
                open.append(event)
            }
        }
    }

    private func devices() throws -> [String] {
        ["cpu"] + (try Program.run(["devices", "--json"]).output.contains("\"opencl:0\"") ? ["opencl:0"] : [])
    }

    @Test func stepsPhasesAndKernelsAreOnTheTimeline() throws {
        for device in try devices() {
            let file = place("\(device).json")
            var arguments = small
            arguments[1] = device
            let outcome = try Program.run(["train", try place.reviews(), "--output", place("run"), "--force", "--profile", file, "--profile-steps", "12"] + arguments)
            #expect(outcome.status == 0 && outcome.errors.contains("profile: "), "\(outcome.errors)")
            let events = try events(file)
            expectNesting(events)
            let steps = events.filter { $0.name.hasPrefix("step ") }
            // Nine steps make an epoch, so the second one is cut.
            #expect(steps.map(\.name) == (1...12).map { "step \($0)" } && events.filter { $0.name.hasPrefix("epoch ") }.count == 2)
            #expect(events.contains { $0.name == "evaluation" } && events.contains { $0.name == "batch preparation" && $0.thread == 2 })
            for step in steps {
                let inside = events.filter { $0.process == 1 && $0.thread == 1 && $0.start >= step.start && $0.end <= step.end }.map(\.name)
                for phase in ["upload", "forward 1: lstm 0", "loss", "zero gradients", "backward 1: lstm 0", "clip", "update", "read losses"] {
                    #expect(inside.contains(phase), "\(phase) in \(step.name)")
                }
            }
            let commands = events.filter { $0.process == 2 }
            guard device != "cpu" else {
                #expect(commands.isEmpty)
                continue
            }
            for name in ["lstm_rows", "lstm_rows_backward", "optimizer_adam", "write", "read"] { #expect(commands.contains { $0.name == name }, "\(name)") }
            let kernel = try #require(commands.first { $0.category == "kernel" })
            #expect((kernel.values["work_items"] as? [Int])?.count == 3 && kernel.values["queued_us"] as? Double ?? -1 >= 0)
            // One clock: what the device did for the steps lies where the steps are.
            let first = try #require(steps.first), last = try #require(events.map(\.end).max())
            #expect(commands.allSatisfy { $0.start > first.start - 50_000 && $0.end < last + 50_000 })
        }
    }

    @Test func aStoppedTrainingLeavesAWholeFile() throws {
        for (signal, status) in [(SIGINT, Int32(130)), (SIGKILL, Int32(1000 + SIGKILL))] {
            let file = place("stopped.json")
            let outcome = try Program.run(["train", try place.reviews(), "--output", place("run"), "--force", "--profile", file, "--profile-steps", "100000"] + small
                                              + ["--epochs", "100000", "--set", "training.patience="], interrupt: (signal, "epoch 3 "))
            #expect(outcome.status == status, "\(outcome.errors)")
            let events = try events(file)
            expectNesting(events)
            #expect(events.contains { $0.name == "step 20" })
        }
    }

    @Test func whatCannotBeWrittenIsRefusedBeforeTraining() throws {
        for file in [place.path, "/nonexistent/profile.json"] {
            let outcome = try Program.run(["train", try place.reviews(), "--output", place("refused"), "--profile", file] + small)
            #expect(outcome.status == 73 && outcome.errors.contains(file) && !FileManager.default.fileExists(atPath: place("refused")), "\(outcome.errors)")
        }
        let outcome = try Program.run(["train", "--output", place("refused"), "--profile", place("p.json"), "--profile-steps", "0"])
        #expect(outcome.status == 64 && outcome.errors.contains("--profile-steps"))
    }
}
