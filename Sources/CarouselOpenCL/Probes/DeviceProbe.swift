import CarouselCore

/// A device's answer to one probe.
public struct ProbeAnswer: Codable, Sendable, Equatable {
    /// How it ended.
    public enum Outcome: String, Codable, Sendable {
        /// It ran, and its result was right.
        case works
        /// It ran, and its result was wrong.
        case wrong
        /// The compiler or the device turned it down; `message` says with which words.
        case refused
        /// Work-groups waited for each other in vain and left.
        case timedOut = "timed out"
        /// The question has no meaning for this device.
        case notTried = "not tried"
    }

    /// A measured number.
    public struct Fact: Codable, Sendable, Equatable {
        /// What was measured.
        public var name: String
        /// In `unit`.
        public var value: Double
        /// For people: `µs`, `GB/s`; empty for a plain number.
        public var unit: String
    }

    /// Which probe.
    public var name: String
    /// What it is needed for.
    public var purpose: String
    /// How it ended.
    public var outcome: Outcome
    /// The compiler's log or the driver's error; nil where there is nothing to say.
    public var message: String?
    /// In the order they were measured.
    public var facts: [Fact]
}

/// A small question to a device that decides which kernels are worth writing for it: what a launch costs, what it costs
/// when all work-groups meet, which instructions its compiler takes.
public struct DeviceProbe: Sendable {
    /// Names it on the command line.
    public let name: String
    /// What the answer is needed for.
    public let purpose: String
    let body: @Sendable (ProbeMachine) throws -> Finding

    /// What a probe found, before its name is written on it.
    struct Finding {
        var outcome: ProbeAnswer.Outcome
        var message: String?
        var facts: [ProbeAnswer.Fact] = []
    }

    /// All probes, those of most use first.
    public static let all = launches + barriers + instructions

    /// Asks one device.
    /// - Parameter index: of `opencl:index`.
    /// - Throws: `deviceUnavailable` when there is no such device. What only this probe met is its answer.
    public func run(device index: Int) throws -> ProbeAnswer {
        let machine = try ProbeMachine(device: index)
        let finding: Finding
        do {
            finding = try body(machine)
        } catch let refusal as ProbeRefusal {
            finding = Finding(outcome: .refused, message: refusal.message)
        } catch let error as CarouselError {
            finding = Finding(outcome: .refused, message: error.message)
        }
        return ProbeAnswer(name: name, purpose: purpose, outcome: finding.outcome, message: finding.message, facts: finding.facts)
    }
}
