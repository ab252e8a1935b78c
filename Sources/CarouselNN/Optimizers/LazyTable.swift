import CarouselCore

/// A table of an embedding whose rows take Adam's steps when somebody looks at them.
///
/// A batch names few rows of a large table; in a step the others have gradient 0, and what it does to them can be made up
/// for later, in the same float operations and so to the same bits. A row is brought up to date before a batch reads it
/// (`catchUp`) and steps with its gradient after the backward pass (`update`); all rows are (`settle`) before anybody sees
/// the weights or moments as a whole, and when the device's history of steps is full.
final class LazyTable {
    /// Its number in the store.
    let parameter: Int
    private let backend: any Backend
    private let workspace: Workspace
    private var table: AdamTable
    /// Events since all rows were up to date.
    private var count = 0
    private var calmFrom = 0
    private var latest: AdamStep?
    /// The gradient of this step: values [U, D] of distinct rows [U]. The rows belong to the batch: whoever wants the
    /// gradients as a whole asks before the next batch is uploaded.
    private var gradient: (rows: Tensor, values: Tensor)?
    /// False while the store's flat gradients hold the table's gradient, as they may before the first time they are zeroed.
    private(set) var ownsGradients = false

    /// Events between two complete catch-ups.
    static let capacity = 1024

    init(parameter: Int, weights: Tensor, m: Tensor, v: Tensor, on backend: any Backend) throws {
        self.parameter = parameter
        self.backend = backend
        workspace = Workspace(backend: backend)
        let history = try AdamHistory(capacity: Self.capacity, rows: weights.shape[0], on: backend)
        table = AdamTable(weights: weights, m: m, v: v, history: history)
    }

    /// Keeps a moving average [V, D] of the weights from now on.
    func keep(average: Tensor) throws {
        try settle()
        table.average = average
    }

    // MARK: Steps

    /// Brings `rows` [U] up to date.
    func catchUp(_ rows: Tensor) throws {
        guard count > 0, let latest else { return }
        try backend.adamRows(AdamRowsPass(latest, table, rows: rows, calmFrom: calmFrom))
    }

    /// Brings all rows up to date.
    func settle() throws {
        guard count > 0, let latest else { return }
        try backend.adamRows(AdamRowsPass(latest, table, rows: nil, calmFrom: calmFrom))
        (count, calmFrom) = (0, 0)
    }

    /// Takes a step: the rows with gradients now, the others later.
    func update(_ step: AdamStep) throws {
        try makeRoom()
        count += 1
        // The last event whose updates may be larger than those before.
        if let latest, !step.shrinks(after: latest) { calmFrom = count }
        latest = step
        if let gradient {
            try backend.adamRows(AdamRowsPass(step, table, rows: gradient.rows, gradients: gradient.values, number: count,
                                              calmFrom: calmFrom))
        }
        try backend.record(.step(step), as: count, in: table.history, fault: step.fault)
    }

    /// Updates the moving average after a step, unless `fault` [1] does not hold 0.
    func updateAverage(decay: Double, fault: Tensor) throws {
        // Before its first step the table is a whole.
        guard latest != nil else {
            guard let average = table.average else { return }
            return try backend.average(table.weights, into: average, decay: decay)
        }
        try makeRoom()
        count += 1
        try backend.record(.average(decay: decay), as: count, in: table.history, fault: fault)
    }

    private func makeRoom() throws {
        if count == Self.capacity { try settle() }
    }

    // MARK: Gradients

    /// The gradient of the rows of this step [U, D]; nil before the backward pass.
    var gradientValues: Tensor? { gradient?.values }

    /// Adds to the gradient of `rows`; false where the flat gradients hold it.
    func addGradient(rows: Tensor, _ values: Tensor) throws -> Bool {
        guard ownsGradients else { return false }
        guard gradient == nil else {
            throw CarouselError(.internalError, "a table stepped row by row takes the gradients of one backward pass")
        }
        // 0 + x, as in the flat gradients: a -0 becomes 0.
        let own = try workspace.tensor("gradient", values.shape)
        try backend.fill(own, with: 0)
        try backend.copyColumns(values, from: 0, to: own, at: 0, width: values.shape[1], scale: 1, accumulate: true)
        gradient = (rows, own)
        return true
    }

    /// Writes the gradient to the table's place among the flat gradients [V, D], where it stays until it is forgotten.
    func handOverGradients(to whole: Tensor) throws {
        guard ownsGradients else { return }
        ownsGradients = false
        if let gradient { try backend.scatterAdd(gradient.values, rows: gradient.rows, into: whole) }
        gradient = nil
    }

    func forgetGradients() {
        gradient = nil
        ownsGradients = true
    }
}
