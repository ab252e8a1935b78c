import CarouselCore
import Testing

@Suite struct LayoutTests {
    @Test func packsRaggedRows() {
        let layout = SequenceLayout(lengths: [3, 2, 2, 0])
        #expect(layout.steps == 3)
        #expect(layout.activeRows == [3, 3, 1])
        #expect(layout.offsets == [0, 3, 6, 7])
        #expect(layout.rows == 7)
        #expect(layout.sequenceOfRow == [0, 1, 2, 0, 1, 2, 0])
        #expect(layout.reversedRows == [6, 4, 5, 3, 1, 2, 0])
    }

    @Test func emptyLayouts() {
        #expect(SequenceLayout(lengths: []).rows == 0)
        #expect(SequenceLayout(lengths: [0, 0]).steps == 0)
        #expect(SequenceLayout(lengths: [0, 0]).offsets == [0])
    }

    @Test func reversalIsItsOwnInverse() {
        let rows = SequenceLayout(lengths: [9, 7, 7, 4, 1, 1, 0]).reversedRows
        for (n, m) in rows.enumerated() { #expect(rows[Int(m)] == Int32(n)) }
    }

    @Test func rowIndexListsDistinctRowsAndSegments() {
        let lists = RowIndexLists([5, 2, 5, 9, 2, 5])
        #expect(lists.distinct == [2, 5, 9])
        #expect(lists.positions == [1, 0, 1, 2, 0, 1])
        #expect(lists.segments == [0, 2, 5, 6])
        #expect(lists.order == [1, 4, 0, 2, 5, 3])
        #expect(RowIndexLists([]).segments == [0])
    }

    @Test func batchesAreSortedAndPackedByStep() {
        let batch = SequenceBatch(tokens: [[1], [2, 3, 4], [], [5, 6]], labels: [10, 11, 12, 13], weights: [1, 2, 3, 4])
        #expect(batch.layout.lengths == [3, 2, 1, 0])
        #expect(batch.indices == [1, 3, 0, 2])
        #expect(batch.labels == [11, 13, 10, 12])
        #expect(batch.weights == [2, 4, 1, 3])
        guard case .tokens(let lists) = batch.input else { Issue.record("tokens expected"); return }
        #expect(lists.positions.map { lists.distinct[Int($0)] } == [2, 5, 1, 3, 6, 4])
    }
}

@Suite struct RandomGeneratorTests {
    /// Known answers of Philox-2x32-10 (the test vectors published with the Random123 library).
    @Test func knownAnswers() {
        #expect(RandomGenerator.bits(key: 0, counter: 0) == (0xff1d_ae59, 0x6cd1_0df2))
        #expect(RandomGenerator.bits(key: 0xffff_ffff, counter: 0xffff_ffff_ffff_ffff) == (0x2c3f_628b, 0xab4f_d7ad))
        #expect(RandomGenerator.bits(key: 0x13198a2e, counter: 0x85a3_08d3_243f_6a88) == (0xdd7c_e038, 0xf62a_4c12))
    }

    @Test func permutationsAreCompleteAndSeeded() {
        var a = SeededGenerator(seed: 1), b = SeededGenerator(seed: 1), c = SeededGenerator(seed: 2)
        let first = a.permutation(500)
        #expect(first.sorted() == Array(0..<500))
        #expect(first == b.permutation(500))
        #expect(first != c.permutation(500))
    }
}
