import CarouselCore
import Testing
@testable import CarouselData

@Suite struct BatchingTests {
    private func lengths(_ count: Int) -> [Int] {
        var generator = SeededGenerator(seed: 5)
        return (0..<count).map { _ in Int(generator.uniform() * generator.uniform() * 300) }
    }

    @Test(arguments: [0, 1, 31, 32, 33, 5000])
    func everyRowOnce(count: Int) {
        let lengths = lengths(count)
        let plan = BatchPlan.training(lengths: lengths, batchSize: 32, seed: 1, epoch: 0)
        #expect(plan.flatMap { $0 }.sorted() == Array(0..<count))
        #expect(plan.count { $0.count != 32 } <= 1 && plan.allSatisfy { !$0.isEmpty && $0.count <= 32 })
        let evaluation = BatchPlan.evaluation(lengths: lengths, batchSize: 32)
        #expect(evaluation.flatMap { $0 }.sorted() == Array(0..<count))
        let inOrder = evaluation.flatMap { $0 }.map { lengths[$0] }
        #expect(inOrder == inOrder.sorted())
    }

    @Test func planIsAFunctionOfSeedAndEpoch() {
        let lengths = lengths(3000)
        func plan(_ seed: UInt64, _ epoch: Int) -> [[Int]] { BatchPlan.training(lengths: lengths, batchSize: 16, seed: seed, epoch: epoch) }
        #expect(plan(1, 2) == plan(1, 2))
        #expect(plan(1, 2) != plan(1, 3))
        #expect(plan(1, 2) != plan(2, 2))
        #expect(BatchPlan.training(lengths: lengths, batchSize: .max, seed: 1, epoch: -1).map(\.count) == [3000])
    }

    @Test func batchesHoldSimilarLengths() {
        let lengths = lengths(5000)
        func padding(_ plan: [[Int]]) -> Double {
            let padded = plan.reduce(0) { $0 + $1.count * ($1.map { lengths[$0] }.max() ?? 0) }
            return Double(padded) / Double(lengths.reduce(0, +))
        }
        let plan = BatchPlan.training(lengths: lengths, batchSize: 32, seed: 1, epoch: 0)
        #expect(padding(plan) < 1.15)
        // The order of the batches says nothing about their lengths.
        let firstHalf = plan.prefix(plan.count / 2).flatMap { $0 }.reduce(0) { $0 + lengths[$1] }
        #expect(abs(Double(firstHalf) / Double(lengths.reduce(0, +)) - 0.5) < 0.1)
    }

    @Test func splitKeepsShares() {
        let labels = (0..<1000).map { Int32($0 % 10 == 0 ? 1 : 0) } + [2, 2, 3]
        let parts = StratifiedSplit.split(labels: labels, fraction: 0.2, seed: 7)
        #expect((parts.training + parts.held).sorted() == Array(0..<1003))
        func count(_ rows: [Int], _ label: Int32) -> Int { rows.count { labels[$0] == label } }
        #expect(count(parts.held, 0) == 180 && count(parts.held, 1) == 20)
        #expect(count(parts.held, 2) == 1 && count(parts.training, 2) == 1 && count(parts.training, 3) == 1)
        #expect(StratifiedSplit.split(labels: labels, fraction: 0.2, seed: 7).held == parts.held)
        #expect(StratifiedSplit.split(labels: labels, fraction: 0.2, seed: 8).held != parts.held)
        #expect(StratifiedSplit.split(labels: labels, fraction: 0, seed: 7).held.isEmpty)
        #expect(StratifiedSplit.split(labels: labels, fraction: .nan, seed: 7).held.isEmpty)
        #expect(StratifiedSplit.split(labels: labels, fraction: 7, seed: 7).training.isEmpty)
        #expect(StratifiedSplit.split(labels: [], fraction: 0.5, seed: 7).training.isEmpty)
    }

    @Test func copiesOfATextStayTogether() {
        let texts = (0..<600).map { "text \($0 % 200)" }
        let labels = (0..<600).map { Int32($0 % 2) }
        let parts = StratifiedSplit.split(labels: labels, fraction: 0.25, seed: 3, texts: texts)
        let training = Set(parts.training.map { texts[$0] })
        #expect(parts.held.allSatisfy { !training.contains(texts[$0]) })
        #expect((parts.training + parts.held).sorted() == Array(0..<600))
        #expect(abs(parts.held.count - 150) <= 4)
    }

    private func tokenSet(_ count: Int) throws -> EncodedDataSet {
        let rows = (0..<count).map { row in [Int32](repeating: Int32(row), count: row % 9) }
        return try EncodedDataSet(sequences: .tokens(rows), labels: (0..<count).map { Int32($0 % 3) })
    }

    @Test func batchesCarryTheirRows() throws {
        let data = try tokenSet(20)
        let batch = data.batch([3, 17, 9], weights: (0..<20).map(Float.init))
        #expect(batch.layout.lengths == [8, 3, 0])
        #expect(batch.indices == [17, 3, 9])
        #expect(batch.labels == [2, 0, 0])
        #expect(batch.weights == [17, 3, 9])
        #expect(data.batch([1]).weights.isEmpty)
        let numbers = try EncodedDataSet(sequences: .features([[1, 2], [3, 4, 5, 6]], width: 2))
        #expect(numbers.lengths == [1, 2])
        guard case .features(let packed, 2) = numbers.batch([0, 1]).input else { throw CarouselError(.internalError, "not features") }
        #expect(packed == [3, 4, 1, 2, 5, 6])
        #expect(throws: CarouselError.self) { try EncodedDataSet(sequences: .tokens([[1]]), labels: [0, 1]) }
        #expect(throws: CarouselError.self) { try EncodedDataSet(sequences: .features([], width: 0)) }
    }

    /// Also while copies of earlier batches are kept for longer than they are lent.
    @Test func batchesInTheMemoryOfEarlierOnesAreTheSame() throws {
        let numbers = try EncodedDataSet(sequences: .features((0..<60).map { row in (0..<2 * (row % 7)).map { Float(row + $0) } }, width: 2))
        for (data, weights) in [(try tokenSet(60), (0..<60).map(Float.init)), (numbers, nil)] {
            let pool = BatchPool()
            var generator = SeededGenerator(seed: 4), kept: [(SequenceBatch, [Int])] = []
            for step in 0..<40 {
                let rows = Array(generator.permutation(60).prefix(step * 13 % 29))
                let batch = pool.batch(rows, of: data, weights: weights, reversed: true)
                pool.lend(batch)
                if step % 3 == 0 { kept.append((batch, rows)) }
                check(batch, rows)
            }
            for (batch, rows) in kept { check(batch, rows) }

            func check(_ batch: SequenceBatch, _ rows: [Int]) {
                var expected = data.batch(rows, weights: weights)
                expected.indexReversed()
                let layout = SequenceLayout(lengths: expected.indices.map { data.lengths[$0] })
                #expect(batch.layout.lengths == layout.lengths && batch.layout.activeRows == layout.activeRows)
                #expect(batch.layout.offsets == layout.offsets && batch.layout.reversedRows == layout.reversedRows)
                #expect(batch.layout.sequenceOfRow == layout.sequenceOfRow)
                #expect(batch.indices == expected.indices && batch.labels == expected.labels && batch.weights == expected.weights)
                #expect(batch.reversed == expected.reversed)
                switch (batch.input, expected.input) {
                case (.tokens(let a), .tokens(let b)): #expect(a == b)
                case (.features(let a, let width), .features(let b, 2)): #expect(a == b && width == 2)
                default: Issue.record("another kind of input")
                }
            }
        }
    }

    @Test func prefetcherKeepsOrderAndBound() throws {
        let data = try tokenSet(500)
        let plan = BatchPlan.training(lengths: data.lengths, batchSize: 7, seed: 1, epoch: 0)
        let prefetcher = BatchPrefetcher(data, batches: plan, depth: 3)
        for rows in plan {
            let batch = try #require(prefetcher.next())
            #expect(batch.indices == data.batch(rows).indices)
        }
        #expect(prefetcher.next() == nil)
        #expect(prefetcher.next() == nil)
        #expect(prefetcher.highWater <= 3)
    }

    @Test func prefetcherCanBeCancelled() throws {
        let data = try tokenSet(500)
        let plan = BatchPlan.evaluation(lengths: data.lengths, batchSize: 1)
        let prefetcher = BatchPrefetcher(data, batches: plan, depth: 2)
        #expect(prefetcher.next() != nil)
        prefetcher.cancel()
        #expect(prefetcher.next() == nil)
        // Letting go of one that is full must neither hang nor crash.
        for _ in 0..<20 { _ = BatchPrefetcher(data, batches: plan, depth: 1).next() }
        #expect(BatchPrefetcher(data, batches: [], depth: 1).next() == nil)
    }
}
