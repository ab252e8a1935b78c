import CarouselCore
import Dispatch
import Foundation

/// Cleaning, tokenizer and vocabulary of a model: from raw text to token numbers.
public struct TextPreparation: Sendable {
    /// The tokenizer is resolved, never `auto`.
    public let configuration: PreparationConfiguration
    /// The tokens the model knows.
    public let vocabulary: Vocabulary
    private let pipeline: TextPipeline

    /// A preparation as it was saved with a model.
    /// - Throws: `badConfiguration` when a value is out of range or the tokenizer does not work here.
    public init(configuration: PreparationConfiguration, vocabulary: Vocabulary) throws {
        guard configuration.tokenizer != .auto else {
            throw CarouselError(.badConfiguration, "the tokenizer of a saved model must not be auto", at: "preparation.tokenizer")
        }
        self.configuration = configuration
        self.vocabulary = vocabulary
        pipeline = try TextPipeline(configuration)
    }

    /// Chooses the tokenizer when it is `auto`, counts the tokens of `texts` and makes the vocabulary.
    /// - Throws: `badConfiguration` for values out of range, `badData` when the texts hold no token at all.
    public static func fit(_ configuration: PreparationConfiguration, texts: [String]) throws -> TextPreparation {
        var resolved = configuration
        if resolved.tokenizer == .auto { resolved.tokenizer = TokenizerChoice.choose(for: texts) }
        let pipeline = try TextPipeline(resolved)
        let parts = Parallel.map(count: texts.count) { range -> TokenCounts in
            var counts = TokenCounts()
            var scratch = TextPipeline.Scratch()
            for row in range { pipeline.run(texts[row], &scratch) { counts.add($0) } }
            return counts
        }
        var counts = parts.first ?? TokenCounts()
        for part in parts.dropFirst() { counts.merge(part) }
        guard !counts.counts.isEmpty else {
            throw CarouselError(.badData, "the \(texts.count) texts hold no tokens after cleaning",
                                hint: "check that --text-column names the right column")
        }
        let vocabulary = Vocabulary(counting: counts, size: resolved.vocabularySize, minimumCount: resolved.minimumCount)
        return try TextPreparation(configuration: resolved, vocabulary: vocabulary)
    }

    /// The tokens of a text after cleaning, stop words and truncation: one for each number of `encode`.
    public func tokens(_ text: String) -> [String] {
        var result: [String] = []
        var scratch = TextPipeline.Scratch()
        pipeline.run(text, &scratch) { result.append(String(decoding: $0, as: UTF8.self)) }
        return truncated(result)
    }

    /// The token numbers of a text, at most `maximumLength`; empty for a text without tokens.
    public func encode(_ text: String) -> [Int32] {
        var scratch = TextPipeline.Scratch()
        return truncated(numbers(text, &scratch))
    }

    /// The token numbers of many texts, in their order, on all cores.
    public func encode(all texts: [String]) -> [[Int32]] {
        Parallel.map(count: texts.count) { range -> [[Int32]] in
            var scratch = TextPipeline.Scratch()
            return range.map { truncated(numbers(texts[$0], &scratch)) }
        }.flatMap { $0 }
    }

    /// Token numbers before truncation; for length and unknown-word figures.
    func encodeUntruncated(all texts: [String]) -> [[Int32]] {
        Parallel.map(count: texts.count) { range -> [[Int32]] in
            var scratch = TextPipeline.Scratch()
            return range.map { numbers(texts[$0], &scratch) }
        }.flatMap { $0 }
    }

    /// Bytes of the tokens of a text, joined; for the report on removed characters.
    func tokenBytes(_ text: String, _ scratch: inout TextPipeline.Scratch, _ emit: (UnsafeBufferPointer<UInt8>) -> Void) {
        pipeline.run(text, &scratch, emit)
    }

    private func numbers(_ text: String, _ scratch: inout TextPipeline.Scratch) -> [Int32] {
        var result: [Int32] = []
        result.reserveCapacity(text.utf8.count / 5 + 4)
        pipeline.run(text, &scratch) { result.append(vocabulary.number(of: $0)) }
        return result
    }

    private func truncated<Element>(_ tokens: [Element]) -> [Element] {
        configuration.truncation.cut(tokens, to: configuration.maximumLength)
    }
}

/// Work on ranges of rows, spread over the cores.
enum Parallel {
    /// The results of `body` on consecutive ranges that cover `0 ..< count`, in order. How the ranges are
    /// cut depends on the machine, so `body` must not let it show in what it computes.
    static func map<Result: Sendable>(count: Int, _ body: @Sendable (Range<Int>) -> Result) -> [Result] {
        // Several ranges per core, because rows differ in length.
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let parts = count < 64 ? min(count, 1) : min(cores * 4, count)
        guard parts > 1 else { return parts == 1 ? [body(0..<count)] : [] }
        var results = [Result?](repeating: nil, count: parts)
        results.withUnsafeMutableBufferPointer { buffer in
            // Each iteration writes its own element only.
            nonisolated(unsafe) let base = buffer.baseAddress
            DispatchQueue.concurrentPerform(iterations: parts) { part in
                base?[part] = body(count * part / parts ..< count * (part + 1) / parts)
            }
        }
        return results.compactMap { $0 }
    }
}
