import Carousel
import Foundation

// Configurations in YAML, and single settings of the command line.

extension FuzzReader {
    private static let keys = ["preset: ", "model:", "layers:", "embedding:", "lstm:", "gru:", "rnn:", "pooling:", "dropout:", "dense:", "units: ", "rate: ", "of: ",
                               "training:", "epochs: ", "batch_size: ", "learning_rate: ", "optimizer:", "clipping:", "seed: ", "patience: ", "data:", "format: ",
                               "preparation:", "maximum_length: ", "vocabulary_size: ", "null", "true", "~", ".inf", ".nan", "bilstm", "- ", "? ", ": ", "\n  ", "\n    ",
                               "[", "]", "{", "}", "&a ", "*a", "<<: *a", "!!str ", "!!binary ", "!!float ", "|\n", ">-\n", "'", "\"", "#", "---\n", "...\n", "%YAML 9.9\n", "\t", "@", "`", "\u{0}", "\u{85}", "\u{FEFF}"]
    private static let file = """
        preset: stacked-lstm
        model:
          layers:
            - embedding: {units: 64, dropout: 0.2}
            - gru: {units: 96, output: sequences, bidirectional: concat}
            - pooling: {of: [mean, max]}
        training:
          epochs: 12   # a comment
          class_weights: balanced
          optimizer: {name: adam, beta1: 0.9}
          patience: null
        data: {text_column: "body", label_column: 2}

        """

    /// Aliases that stand for 9⁹ values.
    static let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "bcdefghi".map { letter in
        let before = String(UnicodeScalar(letter.unicodeScalars.first!.value - 1)!)
        return "\(letter): &\(letter) [\((0..<9).map { _ in "*" + before }.joined(separator: ","))]\n"
    }.joined()

    /// A file given with `--config`.
    static func configuration(_ scratch: String) throws -> FuzzReader {
        let path = scratch + "/mine.yaml"
        let samples = [file, "training: {epochs: 3, seed: 18446744073709551615}\n", "", "preset: bilstm\n",
                       try RunConfiguration.resolve(preset: "bilstm").yaml(), try RunConfiguration.resolve(preset: "relu-lstm").yaml()]
        let depth = 20_000
        let hostile = [laughs, laughs + "? *i\n: x\n", laughs + "<<: *i\n", String(repeating: "[", count: depth), String(repeating: "{a: ", count: depth),
                       String(repeating: "- ", count: depth) + "a", String(repeating: "? ", count: depth) + "a", "training: &a {optimizer: *a}\n",
                       (0..<900).map { String(repeating: " ", count: $0) + "a:\n" }.joined(), "model: *none\n", "training: {epochs: 1e999}\n",
                       "training: {epochs: " + String(repeating: "9", count: 60_000) + "}\n", "model: {layers: [embedding: {units: 9223372036854775807}]}\n"]
        return FuzzReader(name: "configuration", samples: samples.map { Array($0.utf8) }, hostile: hostile.map { Array($0.utf8) }, tokens: keys,
                          refusals: [.badConfiguration]) { input, _ in
            try write(input, path)
            let configuration = try RunConfiguration.load(file: path)
            // What is written to the run folder reads back as the same.
            try write(Array(try configuration.yaml().utf8), path)
            try Violation.require(try RunConfiguration.load(file: path) == configuration, "what is written does not read back as the same")
        }
    }

    /// Settings as `--set` takes them.
    static func settings() -> FuzzReader {
        let samples = ["training.learning_rate=0.01", "model.layers.1.lstm.units=256", "model.layers=[{embedding: {units: 8}}, {lstm: {units: 8}}]",
                       "data.text_column=", "training.patience=null", "training.clipping={global_norm: 1}"]
        let words = ["=", ".", "model", "layers", "0", "1", "9223372036854775807", "-1", "training", "optimizer", "name"] + keys
        return FuzzReader(name: "settings", samples: samples.map { Array($0.utf8) },
                          hostile: ["training.epochs", "=", "model.layers.99.lstm.units=1", "model.layers.-1=1", "training=" + String(repeating: "[", count: 20_000),
                                    String(repeating: "a.", count: 20_000) + "=1"].map { Array($0.utf8) },
                          tokens: words, refusals: [.usage, .badConfiguration]) { input, _ in
            let setting = try RunConfiguration.Setting(String(decoding: input, as: UTF8.self))
            let configuration = try RunConfiguration.resolve(preset: "bilstm", settings: [setting])
            try configuration.validate()
        }
    }
}
