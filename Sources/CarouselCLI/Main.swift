import ArgumentParser
import Carousel
import Glibc

/// The program `carousel`: one sub-command per file in this folder.
@main
struct CarouselProgram: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "carousel",
        abstract: "Train recurrent networks (RNN, LSTM, GRU) on the CPU and on any OpenCL device, and use them.",
        discussion: """
            From a labelled file to a classifier in three commands:

              carousel train reviews.tsv --output runs/reviews
              carousel evaluate runs/reviews test.tsv
              carousel predict runs/reviews "I would buy it again"

            Without a file, `train` uses the English sentences inside the program, so this works anywhere:

              carousel train --output runs/first

            Results go to standard output, progress and messages to standard error.

            Exit codes: 0 done, 1 failure, 3 a check failed, 4 training diverged, 64 wrong use, 65 bad data, \
            66 a file or model is missing, 69 no such device, 70 internal or kernel error, 73 cannot write the output, \
            74 input/output error, 75 out of memory, 78 bad configuration, 130 interrupted, 143 terminated.
            """,
        version: "carousel 0.1.0",
        subcommands: [TrainCommand.self, EvaluateCommand.self, PredictCommand.self, SummaryCommand.self,
                      DevicesCommand.self, CheckCommand.self, AuditCommand.self, BenchCommand.self, TuneCommand.self])

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
            try Console.flush()
        } catch let error as CarouselError {
            try? Console.flush()
            Console.error(error)
            Glibc.exit(error.status.rawValue)
        } catch {
            try? Console.flush()
            exit(withError: error)
        }
    }
}
