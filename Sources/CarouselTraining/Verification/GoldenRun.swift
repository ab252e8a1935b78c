import CarouselCore
import CarouselNN
import Foundation

/// A recorded short training: model, clipping and optimizer through the same code that trains.
struct GoldenRun {
    private let file: GoldenFile

    init(_ file: GoldenFile) throws { self.file = file }

    func compare(on backend: any Backend) throws -> [GoldenComparison] {
        let exact = backend.scalarType == .float64
        let model = try makeModel(on: backend)
        try load("initial.", into: model)
        let optimizer = try Optimizer(try optimizerConfiguration(),
                                      clipping: ClippingConfiguration(globalNorm: try file.number("clip_norm")), store: model.store)
        let step = TrainingStep(model: model, optimizer: optimizer)
        let steps = try file.size("steps"), batch = try file.size("batch"), time = try file.size("time")
        let tokens = try file.integers("tokens", count: steps * batch * time, in: 0..<(try file.size("vocabulary")))
        let lengths = try file.integers("lengths", count: steps * batch, in: 0..<time + 1)
        let labels = try file.integers("labels", count: steps * batch, in: 0..<(try file.size("classes")))
        let lossSum = try backend.makeTensor(shape: [1])
        var losses: [Double] = [], norms: [Double] = []
        for number in 0..<steps {
            let rows = (number * batch ..< (number + 1) * batch).map { row in
                tokens[row * time ..< row * time + lengths[row]].map(Int32.init)
            }
            let chosen = SequenceBatch(tokens: rows, labels: labels[number * batch ..< (number + 1) * batch].map(Int32.init))
            try step.run(try model.upload(chosen), PassContext(mode: .training, step: number),
                         learningRate: try file.number("learning_rate"), lossSum: lossSum)
            losses.append(try backend.readDoubles(lossSum)[0] / Double(batch))
            norms.append(try optimizer.gradientNorm())
        }
        var comparisons: [GoldenComparison] = [
            .maximum("losses", losses, try file.tensor("losses").doubles, tolerance: exact ? 1e-8 : 1e-4),
            .maximum("gradient_norms", norms, try file.tensor("gradient_norms").doubles, tolerance: exact ? 1e-8 : 1e-4),
        ]
        let flat = try backend.readDoubles(model.store.weights)
        for parameter in model.store.parameters {
            let got = Array(flat[parameter.offset ..< parameter.offset + parameter.shape.count])
            comparisons.append(.rootMeanSquare("final." + parameter.name, got,
                                               try file.tensor("final." + recordedName(parameter.name)).doubles,
                                               tolerance: exact ? 1e-8 : 1e-3))
        }
        return comparisons
    }

    private func makeModel(on backend: any Backend) throws -> SequenceClassifier {
        let cell = try file.cell(), count = try file.size("layers")
        let bidirectional = try file.flag("bidirectional")
        let vocabulary = try file.size("vocabulary"), embedding = try file.size("embedding"), hidden = try file.size("hidden")
        let classes = try file.size("classes", atLeast: 2)
        // Asked before anything of these sizes is made: a file of some bytes may name any.
        _ = try file.tensor("initial.embedding.weight", [vocabulary, embedding])
        _ = try file.tensor("initial.head.weight", [classes, bidirectional ? 2 * hidden : hidden])
        var layers: [LayerConfiguration] = [.embedding(EmbeddingConfiguration(units: embedding))]
        for index in 0..<count {
            _ = try file.tensor("initial.rnn.weight_hh_l\(index)", [cell.gateCount * hidden, hidden])
            layers.append(.recurrent(cell.kind, RecurrentConfiguration(
                units: hidden, activation: cell.activation, recurrentActivation: cell.recurrentActivation,
                biases: .two, resetAfter: cell.resetAfter, output: index + 1 < count ? .sequences : .last,
                bidirectional: bidirectional ? .concat : nil)))
        }
        return try SequenceClassifier(ModelConfiguration(layers: layers, head: .softmax, initializer: .pytorch),
                                      input: .tokens(vocabulary: vocabulary), classes: classes, seed: 0, on: backend)
    }

    private func load(_ prefix: String, into model: SequenceClassifier) throws {
        var flat = [Double](repeating: 0, count: model.store.count)
        for parameter in model.store.parameters {
            let tensor = try file.tensor(prefix + recordedName(parameter.name))
            guard tensor.shape == parameter.shape else {
                throw CarouselError(.badData, "tensor '\(tensor.name)' is \(tensor.shape), expected \(parameter.shape)", at: file.path)
            }
            flat.replaceSubrange(parameter.offset ..< parameter.offset + tensor.shape.count, with: tensor.doubles)
        }
        try model.backend.write(flat, to: model.store.weights)
    }

    /// `rnn.1.weight_ih_l0` (one module per layer) is `rnn.weight_ih_l1` in a recorded file (one module).
    private func recordedName(_ name: String) -> String {
        let parts = name.split(separator: ".")
        guard parts.count == 3, parts[0] == "rnn", let range = parts[2].range(of: "_l0") else { return name }
        return "rnn." + parts[2].replacingCharacters(in: range, with: "_l\(parts[1])")
    }

    private func optimizerConfiguration() throws -> OptimizerConfiguration {
        let name = try file.text("optimizer")
        guard let kind = OptimizerConfiguration.Name(rawValue: name) else {
            throw CarouselError(.badData, "metadata 'optimizer' names an unknown optimizer '\(name)'", at: file.path)
        }
        return OptimizerConfiguration(kind, variant: .pytorch, momentum: kind == .sgd ? 0.9 : 0)
    }
}

