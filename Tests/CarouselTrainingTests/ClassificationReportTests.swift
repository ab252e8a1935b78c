import Carousel
import Foundation
import Testing

@Suite struct ClassificationReportTests {
    /// Ten rows of three classes, worked by hand:
    /// confusion a: 3 1 0, b: 1 2 1, c: 0 1 1.
    private let report = ClassificationReport(names: ["a", "b", "c"], truth: [0, 0, 0, 0, 1, 1, 1, 1, 2, 2],
                                              predicted: [0, 0, 0, 1, 0, 1, 1, 2, 1, 2], losses: [0.5, 1.5])

    private func close(_ a: Double, _ b: Double) -> Bool { abs(a - b) < 1e-12 }

    @Test func handWorkedNumbers() {
        #expect(report.count == 10)
        #expect(report.confusion == [[3, 1, 0], [1, 2, 1], [0, 1, 1]])
        #expect(close(report.accuracy, 0.6))
        #expect(close(report.loss, 1))
        #expect(report.perClass.map(\.support) == [4, 4, 2])
        #expect(close(report.perClass[0].precision, 3.0 / 4) && close(report.perClass[0].recall, 3.0 / 4))
        #expect(close(report.perClass[1].precision, 2.0 / 4) && close(report.perClass[1].recall, 2.0 / 4))
        #expect(close(report.perClass[2].precision, 1.0 / 2) && close(report.perClass[2].f1, 1.0 / 2))
        #expect(close(report.macro.f1, (0.75 + 0.5 + 0.5) / 3))
        #expect(close(report.weighted.f1, (4 * 0.75 + 4 * 0.5 + 2 * 0.5) / 10))
        #expect(close(report.micro.f1, 0.6) && close(report.micro.precision, 0.6))
    }

    @Test func nothingDividedByNothingIsZero() {
        let r = ClassificationReport(names: ["x", "y"], truth: [0, 0], predicted: [0, 0], losses: [])
        #expect(r.perClass[1] == ClassificationReport.ClassScores(label: "y", precision: 0, recall: 0, f1: 0, support: 0))
        #expect(close(r.macro.f1, 0.5) && close(r.weighted.f1, 1) && r.loss == 0)
        let empty = ClassificationReport(names: ["x", "y"], truth: [], predicted: [], losses: [])
        #expect(empty.accuracy == 0 && empty.macro.f1 == 0)
    }

    @Test func jsonReadsBackEqual() throws {
        let data = try JSONEncoder().encode(report)
        #expect(try JSONDecoder().decode(ClassificationReport.self, from: data) == report)
        #expect(String(decoding: data, as: UTF8.self).contains("\"per_class\""))
    }

    @Test func tableIsAligned() {
        let lines = report.lines()
        #expect(lines.contains { $0.hasPrefix("accuracy") && $0.contains("0.6000") })
        #expect(lines.contains { $0.hasPrefix("a ") && $0.contains("0.7500") && $0.hasSuffix(" 4") })
        let wide = ClassificationReport(names: ["好评", "bad"], truth: [0, 1], predicted: [0, 1], losses: []).lines()
        #expect(wide.contains { $0.hasPrefix("好评 ") })
    }

    @Test func manyClassesShowTheirConfusionsInsteadOfAMatrix() {
        let names = (0..<40).map { "c\($0)" }
        let lines = ClassificationReport(names: names, truth: [1, 1, 2, 3], predicted: [7, 7, 5, 3], losses: []).lines()
        #expect(lines.allSatisfy { $0.count < 100 })
        #expect(lines.suffix(2) == ["c1    c7            2", "c2    c5            1"])
    }
}
