import CarouselCore

/// The class names of a model; a label's number is its position here.
public struct LabelSet: Sendable, Equatable {
    /// Sorted by UTF-8 bytes, or by value when all are numbers.
    public let names: [String]
    private let numbers: [String: Int32]

    /// Number of classes.
    public var count: Int { names.count }

    /// The distinct labels of a training set.
    /// - Throws: `badData` when the set is empty, has one class only or more than ten thousand.
    public init(training data: DataSet) throws {
        guard data.count > 0 else {
            throw CarouselError(.badData, "no rows to train on", at: data.origin.path,
                                hint: "give a file with at least two classes and a few rows of each")
        }
        guard !data.labels.isEmpty else {
            throw CarouselError(.badData, "no labels to train on", at: data.origin.path,
                                hint: "name the label column with --label-column, or give a labelled file")
        }
        let distinct = Set(data.labels)
        guard distinct.count > 1 else {
            throw CarouselError(.badData, "\(data.count == 1 ? "the only row has" : "all \(data.count) rows have") the label '\(data.labels[0])'; at least two classes are needed",
                                at: data.origin.path,
                                hint: data.origin.labelColumn.map { "check that --label-column names the right column (it is \($0))" }
                                    ?? "add rows of other classes")
        }
        // A column of identifiers taken for labels; a confusion matrix of its classes would fill the memory.
        guard distinct.count <= Self.mostClasses else {
            throw CarouselError(.badData, "\(distinct.count) different labels in \(data.count) rows are too many to tell apart",
                                at: data.origin.path,
                                hint: "check that label_column names the right column (it is \(data.origin.labelColumn ?? "fixed by the format"))")
        }
        try self.init(names: Array(distinct))
    }

    private static let mostClasses = 10_000

    /// Any distinct names, in any order.
    /// - Throws: `badData` for a name that appears twice.
    public init(names: [String]) throws {
        let values = names.compactMap(Double.init)
        let sorted: [String]
        if values.count == names.count, values.allSatisfy({ $0.isFinite }) {
            sorted = zip(values, names).sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.1)
        } else {
            sorted = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
        try self.init(inOrder: sorted, location: nil)
    }

    private init(inOrder names: [String], location: String?) throws {
        var numbers: [String: Int32] = [:]
        for (i, name) in names.enumerated() {
            if numbers.updateValue(Int32(i), forKey: name) != nil {
                throw CarouselError(.badData, "label '\(name)' appears twice", at: location.map { "\($0):\(i + 1)" })
            }
        }
        self.names = names
        self.numbers = numbers
    }

    /// The class number of a label, nil when unknown.
    public func index(of label: String) -> Int32? { numbers[label] }

    /// Class numbers of all rows; empty when the set has no labels.
    /// - Throws: `badData` naming the row of a label that is not among the classes.
    public func encode(_ data: DataSet) throws -> [Int32] {
        var result: [Int32] = []
        result.reserveCapacity(data.labels.count)
        for (row, label) in data.labels.enumerated() {
            guard let number = numbers[label] else {
                let shown = names.prefix(12).joined(separator: ", ") + (names.count > 12 ? ", …" : "")
                throw CarouselError(.badData, "label '\(label)' does not occur in the training data (its classes: \(shown))",
                                    at: data.location(row),
                                    hint: "correct the label, or add rows of that class to the training data")
            }
            result.append(number)
        }
        return result
    }

    /// One name per line, escaped where needed.
    public var text: String { LineEscapes.encode(names) }

    /// Reads what `text` wrote; the order of the lines is kept.
    /// - Throws: `badData` with the line of a broken or repeated name.
    public init(text: String, file: String = "labels.txt") throws {
        let names = try LineEscapes.decode(text, file: file)
        guard names.count > 1 else {
            throw CarouselError(.badData, "at least two labels are needed, the file holds \(names.count)", at: file,
                                hint: "restore the file from the model's folder; it is not meant to be edited by hand")
        }
        try self.init(inOrder: names, location: file)
    }
}
