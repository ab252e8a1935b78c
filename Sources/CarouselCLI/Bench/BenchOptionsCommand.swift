import ArgumentParser
import Carousel

/// `carousel bench options`
struct BenchOptionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "options",
        abstract: "What options of a layer cost: relu, ragged lengths, directions, recurrent dropout, kinds, each against the plain LSTM.",
        discussion: """
            All layers of a size run in turns, and each is compared with the plain LSTM of its turn by useful arithmetic per \
            second: a layer that takes half the time for half the arithmetic has a ratio of 1.
            """)

    @Option(parsing: .upToNextOption, help: ArgumentHelp("T,B,I,H or T,B,I,H,L; several with spaces between them.", valueName: "sizes"))
    var sizes = [LayerSize(steps: 100, batch: 64, input: 128, hidden: 128), LayerSize(steps: 50, batch: 64, input: 512, hidden: 512)]
    @OptionGroup var time: RowSeconds
    @OptionGroup var options: BenchOptions

    func run() throws {
        try options.run("options") { try $0.benchmark(time).options(sizes, machine: $0.machine) }
    }
}
