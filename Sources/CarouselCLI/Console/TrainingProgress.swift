import Carousel
import Foundation

/// Shows a training to a person: one line that changes on a terminal, plain lines elsewhere.
struct TrainingProgress {
    private var lastLine = ContinuousClock.now
    private var heading = ""

    mutating func show(_ event: TrainingEvent) {
        switch event {
        case .prepared(let report, let summary, _):
            Console.message("data")
            for line in report.lines() { Console.message("  " + line) }
            Console.message("model")
            for line in SummaryTable.lines(summary) { Console.message("  " + line) }
            lastLine = .now
        case .resumed(let record):
            for damaged in record.damaged { Console.message("passed over a damaged checkpoint: \(damaged)") }
            for change in record.changes { Console.message("note: the run is continued otherwise than it was computed so far, so its last digits can differ: \(change)") }
            Console.message(record.step == 0 ? "no step was saved yet: the run begins anew"
                : "continuing after step \(Format.count(record.step)), \(record.epoch) epoch\(record.epoch == 1 ? "" : "s") finished")
        case .step(let record):
            let line = Self.line(record)
            if Console.errorIsTerminal {
                Console.status(line)
            } else if ContinuousClock.now - lastLine >= .seconds(10) {
                lastLine = .now
                Console.message(line)
            }
        case .epoch(let record):
            lastLine = .now
            Console.message(Self.line(record))
        case .lossScale(let change):
            Console.message("loss scale \(Int(change.scale)) after step \(Format.count(change.step))"
                + (change.isSkipped ? ", which was left out: its gradients left the range of float16" : ""))
        case .stopped(let reason):
            Console.message("stopped: \(reason)")
        }
    }

    private static func line(_ r: StepRecord) -> String {
        let share = Int((100 * Double(r.step) / Double(max(1, r.stepsPerEpoch))).rounded(.down))
        return "epoch \(r.epoch)/\(r.epochs)  \(share)%  \(Format.rate(r.tokensPerSecond)) tokens/s  "
            + "loss \(Format.share(r.loss))  rate \(String(format: "%.2e", r.learningRate))  \(Format.duration(r.secondsLeft)) left"
    }

    private static func line(_ r: EpochRecord) -> String {
        var line = "epoch \(r.epoch)  loss \(Format.share(r.trainingLoss))"
        if let loss = r.validationLoss, let accuracy = r.validationAccuracy, let f1 = r.validationMacroF1 {
            line += "  validation: loss \(Format.share(loss))  accuracy \(Format.share(accuracy))  macro F1 \(Format.share(f1))"
        }
        line += "  \(String(format: "%.1f", r.seconds ?? 0)) s  \(Format.rate(r.tokensPerSecond ?? 0)) tokens/s  weights \(r.weightsHash.prefix(8))"
        return r.isBest ? line + "  best" : line
    }
}

/// A model's layers as lines for people.
enum SummaryTable {
    static func lines(_ summary: ModelSummary) -> [String] {
        var table = TextTable(header: ["layer", "output", "parameters", "activations", "plan"], alignments: [.left, .left, .right, .right, .left])
        for layer in summary.layers {
            table.add([layer.name, layer.output, Format.count(layer.parameters), Format.bytes(layer.activationBytes), layer.plan ?? "-"])
        }
        return table.lines() + [
            "parameters: \(Format.count(summary.parameters)); memory: \(Format.bytes(summary.parameterBytes)) for weights, gradients "
                + "and moments, at most \(Format.bytes(summary.activationBytes)) for activations",
        ]
    }
}
