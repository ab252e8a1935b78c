import CarouselCore
import CarouselReference
import Testing

/// The suite must accept a correct device and find every planted mistake.
@Suite struct SuiteSelfTests {
    @Test func acceptsACorrectDevice() {
        let summary = Conformance.run(on: FaultyBackend(nil), level: .quick) { result in
            #expect(result.passed, "\(result.name): \(result.message ?? "")")
            #expect(result.maximumRelativeError == 0)
        }
        #expect(summary.passed)
        #expect(summary.cases > 500)
        #expect(Set(summary.worst.keys) == ["vector", "matrix", "embedding", "pooling", "loss", "optimizer", "rnn", "lstm", "gru"])
    }

    @Test(arguments: Fault.allCases)
    func finds(_ fault: Fault) {
        let backend = FaultyBackend(fault)
        for operation in fault.operations.sorted() {
            let found = Conformance.cases(.quick).lazy.filter { $0.operation == operation }
                .map { Conformance.run($0, on: backend) }.first { !$0.passed }
            #expect(found != nil, "\(operation): nothing found \(fault.rawValue)")
            #expect(found?.message?.isEmpty == false)
        }
    }

    @Test func namesAreUniqueAndQuickIsPartOfFull() {
        let full = Conformance.cases(.full).map(\.name)
        #expect(Set(full).count == full.count)
        #expect(Set(Conformance.cases(.quick).map(\.name)).isSubset(of: full))
    }

    /// A message says where and what: the tensor, (t, b, gate, unit), both values.
    @Test func messagesNameThePlace() throws {
        let item = try #require(Conformance.cases(.quick).first { $0.name == "lstm tanh/sigmoid T4 B3 I5 H6 everything" })
        let message = try #require(Conformance.run(item, on: FaultyBackend(.gatesSwapped)).message)
        #expect(message.contains("gates at (t 0, b 0, gate i, unit 0): got "))
        #expect(message.contains("expected "))
        #expect(message.contains("relative error "))
    }

    @Test func filterSelectsCases() {
        var names: [String] = []
        let summary = Conformance.run(on: FaultyBackend(nil), level: .quick, filter: { $0.operation == "pooling" }) {
            names.append($0.name)
        }
        #expect(summary.cases == names.count && summary.cases > 0)
        #expect(Set(summary.worst.keys).isSubset(of: ["pooling"]))
    }
}
