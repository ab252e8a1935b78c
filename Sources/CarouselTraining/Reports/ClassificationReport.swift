import CarouselCore
import CarouselData

/// How well a classifier did on labelled rows.
///
/// precision = true positives / predicted as the class; recall = true positives / rows of the class;
/// F1 = 2 · true positives / (predicted + rows). Where a denominator is 0 the value is 0.
public struct ClassificationReport: Codable, Sendable, Equatable {
    /// Precision, recall and F1 of one class or one kind of mean.
    public struct Scores: Codable, Sendable, Equatable {
        /// Right answers among the rows given this label; 0 where there are none.
        public var precision: Double
        /// Right answers among the rows that have this label.
        public var recall: Double
        /// Harmonic mean of precision and recall.
        public var f1: Double

        public init(precision: Double, recall: Double, f1: Double) {
            self.precision = precision
            self.recall = recall
            self.f1 = f1
        }
    }

    /// One class.
    public struct ClassScores: Codable, Sendable, Equatable {
        public var label: String
        public var precision: Double
        public var recall: Double
        public var f1: Double
        /// Rows whose true class this is.
        public var support: Int

        public init(label: String, precision: Double, recall: Double, f1: Double, support: Int) {
            self.label = label
            self.precision = precision
            self.recall = recall
            self.f1 = f1
            self.support = support
        }
    }

    /// Rows that were judged.
    public var count: Int
    /// Share of rows predicted right.
    public var accuracy: Double
    /// Mean loss over the rows.
    public var loss: Double
    /// In the order of the labels.
    public var perClass: [ClassScores]
    /// Mean over the classes, every class counting the same.
    public var macro: Scores
    /// From the sums over all classes; with one label per row all three equal the accuracy.
    public var micro: Scores
    /// Mean over the classes, each counting by its support.
    public var weighted: Scores
    /// confusion[true class][predicted class] = rows.
    public var confusion: [[Int]]

    enum CodingKeys: String, CodingKey {
        case count, accuracy, loss, perClass = "per_class", macro, micro, weighted, confusion
    }

    /// - Parameters:
    ///   - truth: true class of each row, 0 ..< classes.
    ///   - predicted: predicted class of each row, as many as `truth`.
    ///   - losses: loss of each row; empty = not known, `loss` is 0 then.
    public init(labels: LabelSet, truth: [Int32], predicted: [Int32], losses: [Double]) {
        self.init(names: labels.names, truth: truth, predicted: predicted, losses: losses)
    }

    /// As `init(labels:…)`, with the names of the classes.
    public init(names: [String], truth: [Int32], predicted: [Int32], losses: [Double]) {
        let classes = names.count
        var confusion = [[Int]](repeating: [Int](repeating: 0, count: classes), count: classes)
        for (t, p) in zip(truth, predicted) { confusion[Int(t)][Int(p)] += 1 }
        func ratio(_ a: Double, _ b: Double) -> Double { b == 0 ? 0 : a / b }
        let total = Double(min(truth.count, predicted.count))
        var right = 0
        perClass = names.indices.map { k in
            let hits = confusion[k][k], support = confusion[k].reduce(0, +)
            let chosen = confusion.reduce(0) { $0 + $1[k] }
            right += hits
            return ClassScores(label: names[k], precision: ratio(Double(hits), Double(chosen)),
                               recall: ratio(Double(hits), Double(support)),
                               f1: ratio(Double(2 * hits), Double(chosen + support)), support: support)
        }
        self.confusion = confusion
        count = Int(total)
        accuracy = ratio(Double(right), total)
        loss = ratio(losses.reduce(0, +), Double(losses.count))
        micro = Scores(precision: accuracy, recall: accuracy, f1: accuracy)
        macro = Self.mean(of: perClass) { _ in 1 }
        weighted = Self.mean(of: perClass) { Double($0.support) }
    }

    /// Mean F1 over the classes, every class counting the same.
    public var macroF1: Double { macro.f1 }

    private static func mean(of classes: [ClassScores], weight: (ClassScores) -> Double) -> Scores {
        let total = classes.reduce(0) { $0 + weight($1) }
        func mean(_ value: (ClassScores) -> Double) -> Double {
            total == 0 ? 0 : classes.reduce(0) { $0 + weight($1) * value($1) } / total
        }
        return Scores(precision: mean(\.precision), recall: mean(\.recall), f1: mean(\.f1))
    }
}
