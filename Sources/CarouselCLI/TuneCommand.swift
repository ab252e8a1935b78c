import ArgumentParser
import Carousel
import Foundation

struct TuneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tune",
        abstract: "Measure with which tile and group sizes an OpenCL device computes fastest, and keep them.",
        discussion: """
            Sizes never change a result. Each candidate's results are compared first, bit by bit; one that differs or does not \
            build is dropped with a line. What is faster goes to the user's cache folder, for this device, driver and program, \
            and every later run uses it; CAROUSEL_TUNING=default runs without.

              carousel tune
              carousel tune --device opencl:1 --minutes 10
              carousel tune --precision bfloat16
            """)

    @Option(help: ArgumentHelp("An OpenCL device: auto, opencl or opencl:N. auto takes the first OpenCL GPU.", valueName: "device"))
    var device = DeviceSelector(argument: "auto")!
    @Option(help: ArgumentHelp("About how long to measure.", valueName: "minutes"))
    var minutes = 2.0
    @OptionGroup var products: PrecisionOptions
    @OptionGroup var printing: OutputOptions

    /// One line of `--json`.
    private struct Line: Encodable {
        var subject: String
        var plain: [String: Int], best: [String: Int]
        var gain: Double
        var milliseconds: Double
        var measured: Int
        var dropped: [String]
        var complete: Bool
    }

    private struct Listing: Encodable {
        var device: String
        var lines: [Line]
        var file: String
    }

    func validate() throws {
        guard minutes > 0, minutes <= 600 else { throw ValidationError("--minutes must be more than 0 and at most 600, not \(minutes)") }
    }

    func run() throws {
        printing.apply()
        let backend = try device.open(products.precision ?? .float32)
        guard let tunable = backend as? any Tunable else {
            throw CarouselError(.usage, "\(backend.info.selector) has no sizes to measure: only OpenCL devices have",
                                hint: "--device opencl:N; `carousel devices` lists them")
        }
        if let named = EnvironmentSettings.tuning.value {
            throw CarouselError(.usage, "\(EnvironmentSettings.tuning.rawValue) is \"\(named)\": measured sizes would not be used", hint: "unset it")
        }
        // Refused before minutes are spent: without a folder there is nothing to keep.
        _ = try tunable.tuningFile(with: [], replacing: [])
        let tuner = Tuner(on: tunable, seconds: 60 * minutes, status: Console.status)
        let outcomes = try tuner.run()
        let file = try tuner.save(outcomes)
        try show(outcomes, file: file, device: backend.info.selector)
    }

    private func show(_ outcomes: [Tuner.Outcome], file: String, device: String) throws {
        if printing.json {
            try Console.print(json: Listing(device: device, lines: outcomes.map {
                Line(subject: $0.plain.subject, plain: $0.plain.sizes, best: $0.best.sizes, gain: $0.gain, milliseconds: 1000 * $0.bestSeconds,
                     measured: $0.measured, dropped: $0.dropped, complete: $0.isComplete)
            }, file: file))
            return
        }
        for outcome in outcomes {
            let isBetter = outcome.best != outcome.plain
            try Console.print("\(outcome.plain.subject): " + (isBetter ? "\(String(format: "%.2f", outcome.gain)) times as fast with \(outcome.best.text)"
                : "stays with \(outcome.plain.text)") + " (\(outcome.measured) measured\(outcome.isComplete ? "" : ", time was up"))")
            for line in outcome.dropped { try Console.print("    dropped \(line)") }
        }
        try Console.print("kept in \(file)")
    }
}
