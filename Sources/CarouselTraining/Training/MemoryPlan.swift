import CarouselCore
import CarouselData
import CarouselNN

/// The memory a training needs at most, known before it starts.
///
/// The plan is made by running the code that trains on the device's planner (`MemoryPlanner`), with the sizes of the
/// largest batches of the run: nothing is listed by hand, so nothing can be missing.
public struct MemoryPlan: Sendable, Codable {
    /// One kind of content.
    public struct Part: Sendable, Codable {
        /// For people: `activations`.
        public var name: String
        /// At the worst moment of the run.
        public var bytes: Int
    }

    /// Name of the device as the user selects it.
    public var device: String
    /// What the bytes are for; they add up to `needed`.
    public var parts: [Part]
    /// Bytes needed at the worst moment of the run.
    public var needed: Int
    /// Bytes the device still has; 0 = unknown.
    public var available: Int
    /// Bytes of the largest single buffer.
    public var largestBuffer: Int
    /// Bytes the device allows in one buffer; 0 = unknown.
    public var largestAllowed: Int
    /// B of the largest batch.
    public var batchSize: Int
    /// Packed rows N of the largest batch.
    public var rows: Int
    /// How it steps an embedding's table.
    var rowSteps = RowSteps.never
    /// What would fit, as options of the program; empty where the plan fits or nothing helps.
    public var suggestions: [String] = []

    enum CodingKeys: String, CodingKey {
        case device, parts, needed, available, largestBuffer, largestAllowed, batchSize, rows, suggestions
    }

    /// Whether the device has what is needed.
    public var fits: Bool {
        (available == 0 || needed <= available) && (largestAllowed == 0 || largestBuffer <= largestAllowed)
    }
}

extension MemoryPlan {
    /// Plans the run of `configuration` on `data`, and what would fit instead if it does not.
    /// - Parameters:
    ///   - evaluated: parts the model is evaluated on during the run.
    ///   - limit: bytes that may be used at most; nil = what `CAROUSEL_MEMORY` says, else all the device has.
    /// - Throws: `badConfiguration` for layers that do not fit together; `outOfMemory` where not even the weights fit.
    public init(_ configuration: RunConfiguration, input: ModelInput, classes: Int, training data: EncodedDataSet,
                evaluated: [EncodedDataSet], on backend: any Backend, limit: Int? = nil) throws {
        try self.init(configuration, input: input, classes: classes, training: data, evaluated: evaluated,
                      largest: LargestBatches(configuration.training, training: data, evaluated: evaluated), on: backend, limit: limit)
    }

    /// The same with the largest batches of `data` known.
    init(_ configuration: RunConfiguration, input: ModelInput, classes: Int, training data: EncodedDataSet, evaluated: [EncodedDataSet],
         largest: LargestBatches, on backend: any Backend, limit: Int? = nil) throws {
        let rehearsal = try Rehearsal(configuration, input: input, classes: classes, backend: backend,
                                      limit: limit ?? EnvironmentSettings.bytes(.memory))
        self = try rehearsal.plan(largest)
        guard !fits else { return }
        suggestions = try rehearsal.suggestions(training: data, evaluated: evaluated)
    }

    /// Plans a training with batches of `batch` sequences of `steps` steps.
    public init(_ configuration: RunConfiguration, input: ModelInput, classes: Int, batch: Int, steps: Int,
                on backend: any Backend) throws {
        let rehearsal = try Rehearsal(configuration, input: input, classes: classes, backend: backend,
                                      limit: EnvironmentSettings.bytes(.memory))
        let shape = BatchShape(lengths: [Int](repeating: steps, count: batch), distinct: input.distinct(ofRows: batch * steps),
                               isWeighted: configuration.training.classWeights == .balanced)
        self = try rehearsal.plan(LargestBatches(training: [shape], evaluation: []))
    }

    /// - Throws: `outOfMemory` with the plan, and what would fit, when the device does not have what is needed.
    public func check() throws {
        guard !fits else { return }
        throw CarouselError(.outOfMemory, problem, hint: hint)
    }

    /// Runs a part of the training; an error about memory that happens in spite of the plan comes with the plan.
    public func explaining<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as CarouselError where error.status == .outOfMemory {
            throw CarouselError(.outOfMemory, "\(error.message); the plan was: \(line)", at: error.location,
                                hint: "a smaller --batch-size or --set preparation.maximum_length; other programs may hold "
                                    + "memory of this device")
        }
    }

    /// One line for people.
    public var line: String {
        let has = available == 0 ? "" : " of \(Self.text(available)) available"
        return "memory: training needs \(Self.text(needed))\(has) on \(device)"
    }

    /// What the bytes are for, in one line.
    public var detail: String { parts.map { "\($0.name) \(Self.text($0.bytes))" }.joined(separator: ", ") }

    private var problem: String {
        let largest = "the largest batch has \(batchSize) sequences, \(rows) steps together"
        guard available > 0, needed > available else {
            return "training needs one buffer of \(Self.text(largestBuffer)), \(device) allows \(Self.text(largestAllowed)) (\(largest))"
        }
        return "training needs \(Self.text(needed)) of memory, \(device) has \(Self.text(available)) available: \(detail); \(largest)"
    }

    private var hint: String {
        suggestions.isEmpty ? "smaller layers or a smaller vocabulary" : suggestions.joined(separator: ", or ")
    }

    /// 1.5 GiB, rounded up in the last place, so that what is needed never looks smaller than it is.
    static func text(_ bytes: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var amount = Double(bytes), unit = 0
        while amount >= 1024 && unit < units.count - 1 { amount /= 1024; unit += 1 }
        guard unit > 0 else { return "\(bytes) B" }
        let tenths = Int((amount * 10).rounded(.up))
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
