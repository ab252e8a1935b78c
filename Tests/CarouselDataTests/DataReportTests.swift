import CarouselCore
import Foundation
import Testing
@testable import CarouselData

@Suite struct DataReportTests {
    @Test func figures() throws {
        let training = TextDataSet(name: "t", texts: ["a b", "a b", "c", "a b c d", ""], labels: ["x", "y", "x", "x", "y"])
        let validation = TextDataSet(name: "v", texts: ["c", "z z"], labels: ["y", "x"])
        let preparation = try TextPreparation.fit(.init(tokenizer: .words, maximumLength: 3), texts: training.texts)
        let report = DataReport(training: .text(training), validation: .text(validation), preparation: preparation)
        #expect(report.trainingRows == 5 && report.validationRows == 2)
        #expect(report.classes == [.init(label: "x", training: 3, validation: 1), .init(label: "y", training: 2, validation: 1)])
        #expect(report.lengths.minimum == 0 && report.lengths.median == 2 && report.lengths.maximum == 4)
        #expect(report.cutShare == 0.2 && report.emptyRows == 1)
        #expect(report.duplicates == 1 && report.contradictions == 1)
        #expect(report.shared == 1 && report.sharedContradictions == 1)
        #expect(report.unknownTraining == 0 && abs(report.unknownValidation - 2.0 / 3) < 1e-12)
        #expect(report.lines().contains { $0.contains("x 3+1, y 2+1") })
        #expect(try JSONDecoder().decode(DataReport.self, from: JSONEncoder().encode(report)) == report)
    }

    @Test func removedLettersShow() throws {
        let texts = ["<a href='x'>好</a> 的 好", "Привет"]
        let preparation = try TextPreparation.fit(.init(tokenizer: .icu, stopWords: .chinese), texts: texts)
        let report = DataReport(training: .text(TextDataSet(name: "t", texts: texts)), preparation: preparation)
        let han = try #require(report.scripts.first { $0.script == "Han" })
        #expect(han.total == 3 && han.removed == 1)
        #expect(report.scripts.first { $0.script == "Cyrillic" }?.removed == 0)
        #expect(report.lines().contains { $0.hasPrefix("warning: removed 33.3 % of 3 Han") })
    }

    @Test func series() {
        let data = SeriesDataSet(name: "s", series: [[1, 2], [1, 2, 3, 4]], width: 2, labels: ["a", "b"])
        let report = DataReport(training: .series(data), maximumLength: 1)
        #expect(report.lengths.maximum == 2 && report.cutShare == 0.5 && report.vocabularySize == 0)
        #expect(report.lines().contains { $0.hasPrefix("length in steps: min 1") })
    }
}
