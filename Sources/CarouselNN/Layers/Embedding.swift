import CarouselCore

/// Token numbers → vectors of a table [V, D].
///
/// Only the distinct tokens of a batch are read. A recurrent layer behind it takes them as they are (an
/// indexed input: its projection runs once per distinct token); any other layer gets every row copied out.
final class Embedding: Layer {
    let name: String
    let outputWidth: Int
    let parameters: [Int]
    private let dropout: Double
    private let handsOnIndex: Bool
    private let number: Int
    private let store: ParameterStore
    private let backend: any Backend
    private let workspace: Workspace
    private var index: RowIndex?
    private var rows: Tensor?
    private var mask: DropoutMask?

    init(_ configuration: EmbeddingConfiguration, vocabulary: Int, initializer: InitializerFamily, handsOnIndex: Bool,
         number: Int, store: ParameterStore) {
        name = "embedding"
        outputWidth = configuration.units
        dropout = configuration.dropout
        self.handsOnIndex = handsOnIndex
        self.number = number
        self.store = store
        backend = store.backend
        workspace = Workspace(backend: store.backend)
        parameters = [store.declare("embedding.weight", [vocabulary, configuration.units],
                                    initializer == .keras ? .uniform(limit: 0.05) : .normal, isTable: true)]
    }

    func forward(_ value: LayerValue, _ context: PassContext) throws -> LayerValue {
        guard case .tokens(let index, let reversed, let layout) = value else { throw unexpected(value) }
        self.index = index
        let rows = try workspace.tensor("rows", index.distinctCount, outputWidth)
        self.rows = rows
        try backend.gather(store.table(parameters[0], reading: index.distinct), rows: index.distinct, into: rows)
        mask = nil
        if context.mode == .training && dropout > 0 {
            let mask = DropoutMask(rate: dropout, key: context.dropoutKey(layer: number), rows: index.distinct)
            try backend.dropout(rows, into: rows, mask: mask)
            self.mask = mask
        }
        if handsOnIndex {
            return .sequence(SequenceValue(.indexed(rows: rows, index: index), reversedIndex: reversed, layout: layout))
        }
        let values = try workspace.tensor("values", index.count, outputWidth)
        try backend.gather(rows, rows: index.positions, into: values)
        return .sequence(SequenceValue(.dense(values), layout: layout))
    }

    func forget() { (index, mask) = (nil, nil) }

    func backward(_ gradient: LayerGradient, _ context: PassContext) throws -> LayerGradient? {
        guard let index, let dValues = gradient.values else { return nil }
        var dRows = dValues
        if !handsOnIndex {
            dRows = try workspace.tensor("dRows", index.distinctCount, outputWidth)
            try backend.segmentSums(of: dValues, index: index, into: dRows)
        }
        if let mask { try backend.dropout(dRows, into: dRows, mask: mask) }
        try store.addGradient(parameters[0], rows: index.distinct, dRows)
        return nil
    }

    var kept: [KeptTensor] {
        rows.map { [KeptTensor("vectors", $0, .tokens)] } ?? []
    }

    var activationBytes: Int { workspace.byteCount }
}
