import ArgumentParser
import Carousel

/// `carousel bench operations`
struct BenchOperationsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operations",
        abstract: "Single operations: matrix products, embedding, loss, optimizer.",
        discussion: """
            Every product is measured as NN, NT and TN: with neither operand transposed, the right one, the left one.

              carousel bench operations --products 1024,1024,1024 3200,2048,512
            """)

    @Option(parsing: .upToNextOption, help: ArgumentHelp("M,N,K of matrix products; several with spaces between them.", valueName: "sizes"))
    var products = ["1024,1024,1024", "6400,512,128", "3200,2048,512", "64,2048,512"].compactMap(ProductSize.init)
    @Option(help: ArgumentHelp("N of the embedding and the loss: packed rows.", valueName: "rows"))
    var rows = 6400
    @Option(help: ArgumentHelp("D of the embedding.", valueName: "width"))
    var width = 128
    @Option(help: ArgumentHelp("V of the embedding.", valueName: "tokens"))
    var vocabulary = 20_000
    @Option(help: ArgumentHelp("C of the loss.", valueName: "classes"))
    var classes = 10
    @Option(help: ArgumentHelp("Weights of the optimizer and the norm.", valueName: "count"))
    var weights = 2_600_000
    @Flag(help: "Products alone.")
    var productsOnly = false
    @OptionGroup var time: RowSeconds
    @OptionGroup var options: BenchOptions

    func validate() throws {
        for (name, value, most) in [("--rows", rows, 1 << 24), ("--width", width, 1 << 16), ("--vocabulary", vocabulary, 1 << 24),
                                    ("--classes", classes, 1 << 20), ("--weights", weights, 1 << 30)] where !(1...most).contains(value) {
            throw ValidationError("\(name) must be from 1 to \(most), not \(value)")
        }
    }

    func run() throws {
        let cases = products.flatMap { OperationCase.products(m: $0.m, n: $0.n, k: $0.k) } + (productsOnly ? [] : [
            .gather(rows: rows, width: width, vocabulary: vocabulary), .segmentSums(rows: rows, width: width, vocabulary: vocabulary),
            .crossEntropy(rows: rows, classes: classes), .adam(count: weights), .norm(count: weights),
        ])
        try options.run("operations") { try $0.benchmark(time).operations(cases, machine: $0.machine) }
    }
}

/// `M,N,K`
struct ProductSize: ExpressibleByArgument {
    let m: Int, n: Int, k: Int

    init?(argument: String) {
        guard let values = SizeList(argument: argument)?.values, values.count == 3 else { return nil }
        (m, n, k) = (values[0], values[1], values[2])
    }

    var defaultValueDescription: String { "\(m),\(n),\(k)" }
}
