import CarouselCore
import CarouselData
import CarouselNN

extension AuditCase {
    /// A run's best model with rows of `data`.
    /// - Parameter data: nil = the test part of the data inside the program, for a model of texts with its labels.
    /// - Throws: as `RunFolder.open` and the readers; `usage` without data for a model that needs its own.
    public static func run(_ path: String, data: String?, limits: AuditLimits) throws -> AuditCase {
        let folder = try RunFolder.open(path)
        let configuration = try RunConfiguration.load(file: folder.path(of: .configuration))
        let labels = try LabelSet(text: try folder.read(.labels), file: folder.path(of: .labels))
        let preparation = try InputPreparation.load(from: folder)
        let weights = try Safetensors(contentsOf: folder.path(of: .model)).tensors
        var options = configuration.data
        options.requiresLabels = true
        let set: DataSet
        if let data {
            set = try DataReader.read(data, options: options)
        } else {
            let test = try EmbeddedData.test()
            guard case .text = preparation, Set(labels.names) == Set(test.labels) else {
                throw CarouselError(.usage, "name the data to audit with: this model was not trained on the data inside the program",
                                    at: path, hint: "carousel audit \(path) FILE")
            }
            set = .text(test)
        }
        let encoded = try preparation.encode(set, labels: labels)
        return try AuditCase(subject: "run \(path)", source: data ?? "the sentences inside the program", configuration, preparation,
                             classes: labels.count, weights: weights, batch: rows(of: encoded, limits, joining: data == nil))
    }

    /// A configuration with fresh weights and rows of `data`.
    /// - Parameters:
    ///   - name: what the configuration is called.
    ///   - data: nil = the sentences inside the program, or random numbers for a model that reads numbers.
    public static func fresh(_ configuration: RunConfiguration, name: String, data: String?, limits: AuditLimits) throws -> AuditCase {
        let subject = "\(name), fresh weights of seed \(configuration.training.seed)"
        var readsText = false
        if case .embedding? = configuration.model.layers.first { readsText = true }
        guard data != nil || readsText else {
            try configuration.validate(hasTokens: false)
            let batch = randomNumbers(limits, width: 3, classes: 2, seed: configuration.training.seed)
            return AuditCase(subject: subject, source: "random numbers", model: configuration.model, input: .features(width: 3), classes: 2,
                             training: configuration.training, batch: batch)
        }
        var options = configuration.data
        options.requiresLabels = true
        let set = try data.map { try DataReader.read($0, options: options) } ?? .text(try EmbeddedData.train())
        if case .text = set { try configuration.validate(hasTokens: true) } else { try configuration.validate(hasTokens: false) }
        let labels = try LabelSet(training: set)
        let preparation = try InputPreparation.fit(configuration.preparation, to: set)
        let encoded = try preparation.encode(set, labels: labels)
        return try AuditCase(subject: subject, source: data ?? "the sentences inside the program", configuration, preparation,
                             classes: labels.count, weights: nil, batch: rows(of: encoded, limits, joining: data == nil))
    }

    private init(subject: String, source: String, _ configuration: RunConfiguration, _ preparation: InputPreparation, classes: Int,
                 weights: [HostTensor]?, batch: SequenceBatch) throws {
        self.init(subject: subject, source: source, model: configuration.model, input: preparation.modelInput, classes: classes,
                  training: configuration.training, weights: weights, batch: batch)
        if case .text(let text) = preparation {
            for token in tokens { words[Int(token)] = text.vocabulary.tokens[Int(token)] }
        }
    }

    /// Rows from the longest to the shortest of the data at equal distances, cut to the limit.
    /// - Parameter joining: sentences are joined until the rows have 8/8, 7/8, 6/8, … of the wanted length, since
    ///   those inside the program are shorter than an audit wants.
    private static func rows(of data: EncodedDataSet, _ limits: AuditLimits, joining: Bool) throws -> SequenceBatch {
        guard data.count > 0 else { throw CarouselError(.badData, "there are no rows to audit with") }
        let count = min(limits.rows, data.count)
        var order = data.lengths.indices.sorted { (data.lengths[$0], $1) > (data.lengths[$1], $0) }
        if !joining { order = (0..<count).map { order[$0 * (order.count - 1) / max(1, count - 1)] } }
        func length(_ row: Int) -> Int { joining ? max(1, limits.steps - row % 8 * limits.steps / 8) : limits.steps }
        switch data.sequences {
        case .tokens(let all):
            var next = 0, rows: [[Int32]] = [], indices: [Int] = []
            for row in 0..<count {
                indices.append(order[next])
                var tokens = all[order[next]]
                next += 1
                while joining, tokens.count < length(row), next < order.count - count {
                    tokens += all[order[next]]
                    next += 1
                }
                rows.append(Array(tokens.prefix(length(row))))
            }
            return SequenceBatch(tokens: rows, labels: indices.map { data.labels[$0] }, indices: indices)
        case .features(let all, let width):
            return SequenceBatch(features: order.prefix(count).map { Array(all[$0].prefix(limits.steps * width)) }, width: width,
                                 labels: order.prefix(count).map { data.labels[$0] }, indices: Array(order.prefix(count)))
        }
    }

    /// Standard normal numbers in rows of 8/8, 7/8, … of the wanted length.
    static func randomNumbers(_ limits: AuditLimits, width: Int, classes: Int, seed: UInt64) -> SequenceBatch {
        var generator = SeededGenerator(seed: seed, purpose: 0x6175_6469)
        let rows = (0..<limits.rows).map { row in
            (0 ..< max(1, limits.steps - row % 8 * limits.steps / 8) * width).map { _ in Float(generator.normal()) }
        }
        return SequenceBatch(features: rows, width: width, labels: rows.indices.map { Int32($0 % classes) })
    }

    /// Random tokens in rows of the same lengths.
    static func randomTokens(_ limits: AuditLimits, vocabulary: Int, classes: Int, seed: UInt64) -> SequenceBatch {
        var generator = SeededGenerator(seed: seed, purpose: 0x6175_6469)
        let rows = (0..<limits.rows).map { row in
            (0 ..< max(1, limits.steps - row % 8 * limits.steps / 8)).map { _ in Int32(generator.next() % UInt64(vocabulary)) }
        }
        return SequenceBatch(tokens: rows, labels: rows.indices.map { Int32($0 % classes) })
    }
}
