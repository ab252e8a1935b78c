import ArgumentParser
import Carousel

/// `carousel bench layers`
struct BenchLayersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "layers",
        abstract: "Whole recurrent layers: forward, and forward with backward.",
        discussion: """
            Sizes are T,B,I,H and, for a stack, L: steps, sequences, input width, hidden units, layers. Backward computes the \
            gradients of all weights, and of the input from the second layer on.

              carousel bench layers --cell lstm --sizes 100,64,128,128 35,20,650,650,2
            """)

    @Option(help: ArgumentHelp("lstm, gru and rnn, or some of them with commas between.", valueName: "kinds"))
    var cell = CellList(argument: "lstm,gru,rnn")!
    @Option(parsing: .upToNextOption, help: ArgumentHelp("T,B,I,H or T,B,I,H,L; several with spaces between them.", valueName: "sizes"))
    var sizes: [LayerSize] = LayerSize.standard
    @OptionGroup var time: RowSeconds
    @OptionGroup var options: BenchOptions

    func run() throws {
        let cases = cell.kinds.flatMap { kind in sizes.map { LayerCase(kind, $0) } }
        try options.run("layers") { try $0.benchmark(time).layers(cases, machine: $0.machine) }
    }
}

/// `lstm,gru`
struct CellList: ExpressibleByArgument {
    let kinds: [RecurrentCell.Kind]

    init?(argument: String) {
        let parts = argument.split(separator: ",").map { RecurrentCell.Kind(rawValue: String($0)) }
        guard !parts.isEmpty, parts.allSatisfy({ $0 != nil }) else { return nil }
        kinds = parts.compactMap { $0 }
    }

    var defaultValueDescription: String { kinds.map(\.rawValue).joined(separator: ",") }
}

extension LayerSize: ExpressibleByArgument {
    public init?(argument: String) {
        guard let values = SizeList(argument: argument)?.values, (4...5).contains(values.count), values.count == 4 || values[4] <= 64,
              values.dropFirst(2).allSatisfy({ $0 <= 1 << 20 }), values[0] <= (1 << 26) / values[1] else { return nil }
        self.init(steps: values[0], batch: values[1], input: values[2], hidden: values[3], layers: values.count == 5 ? values[4] : 1)
    }

    public var defaultValueDescription: String { "\(steps),\(batch),\(input),\(hidden)" + (layers == 1 ? "" : ",\(layers)") }
}
