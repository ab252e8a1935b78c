import ArgumentParser

/// Measurements, and what other programs need to be measured beside Carousel.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure speed, and hand out what other programs need for the same measurement.",
        subcommands: [BenchBatches.self])
}
