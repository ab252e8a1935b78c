import ArgumentParser
import Carousel

/// `carousel bench scaling`
struct BenchScalingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scaling",
        abstract: "How time and memory grow with T, B, H, L and V.",
        discussion: """
            Forward with backward of an LSTM while steps (T), sequences (B), hidden units (H) or layers (L) double, and a whole \
            training step while the vocabulary (V) doubles: the slope of log time by log size, and the peak of memory beside the \
            planner's figure.
            """)

    @Option(help: ArgumentHelp("Which sizes vary, with commas between them.", valueName: "axes"))
    var axes = AxisList(argument: "T,B,H,L,V")!
    @Option(help: ArgumentHelp("Points of each size at most.", valueName: "count"))
    var points = 5
    @Option(help: ArgumentHelp("How long all points together are measured, beside their warm-up.", valueName: "seconds"))
    var seconds = 40.0
    @OptionGroup var options: BenchOptions

    func validate() throws {
        try RowSeconds.check(seconds)
        guard (1...5).contains(points) else { throw ValidationError("--points must be from 1 to 5, not \(points)") }
    }

    func run() throws {
        try options.run("scaling") { subject in
            let selector = subject.backend.info.selector, plan = options.plan, precision = subject.backend.precision
            let benchmark = ScalingBenchmark(axes: axes.axes, points: points, seconds: seconds,
                                             opening: {
                                                 try plan.map { try Device.open(selector, plan: $0, precision: precision) }
                                                     ?? Device.open(selector, precision: precision)
                                             }, status: Console.status)
            return try benchmark.run(machine: subject.machine)
        }
    }
}

/// `T,B`
struct AxisList: ExpressibleByArgument {
    let axes: [ScalingAxis]

    init?(argument: String) {
        let parts = argument.split(separator: ",").map { ScalingAxis(rawValue: String($0)) }
        guard !parts.isEmpty, parts.allSatisfy({ $0 != nil }) else { return nil }
        axes = parts.compactMap { $0 }
    }

    var defaultValueDescription: String { axes.map(\.rawValue).joined(separator: ",") }
}
