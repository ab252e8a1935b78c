import Carousel
import Foundation

// Readers with one fault each: what shows that the faults would be found.

extension FuzzReader {
    static var misbehaving: [Factory] { [
        ("faulty-crash", { _ in faulty("faulty-crash") { try Violation.require($0[9] < 0xFF, "") } }),
        ("faulty-loop", { _ in faulty("faulty-loop") { while $0.contains(0xFF) {} } }),
        ("faulty-memory", { _ in faulty("faulty-memory") { input in
            guard input.contains(0) else { return }
            let block = [UInt8](repeating: input[0], count: 512 << 20)
            try Violation.require(block.allSatisfy { $0 == input[0] }, "")
        } }),
        ("faulty-claim", { _ in faulty("faulty-claim") { input in
            guard input.count > 30 else { return }
            let block = [UInt8](repeating: 0, count: input.count << 40)
            try Violation.require(block[input.count] == 0, "")
        } }),
        ("faulty-error", { _ in faulty("faulty-error") { if !$0.contains(0x30) { throw CocoaError(.fileReadCorruptFile) } } }),
        ("faulty-status", { _ in faulty("faulty-status") { if !$0.contains(0x30) { throw CarouselError(.internalError, "broken") } } }),
        ("faulty-message", { _ in faulty("faulty-message") { if !$0.contains(0x30) { throw CarouselError(.badData, "") } } }),
        ("faulty-refusal", { _ in faulty("faulty-refusal") { if $0.count > 5 { throw CarouselError(.badData, "too long") } } }),
        ("faulty-acceptance", { _ in faulty("faulty-acceptance") { _ in } }),
    ] }

    private static func faulty(_ name: String, _ run: @escaping ([UInt8]) throws -> Void) -> FuzzReader {
        FuzzReader(name: name, samples: [Array("0123456789".utf8)], hostile: name == "faulty-acceptance" ? [[0]] : [],
                   tokens: ["\u{FFFD}"], refusals: [.badData], run: { input, _ in try run(input) })
    }
}
