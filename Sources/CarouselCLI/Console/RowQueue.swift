import Carousel
import Foundation

/// Texts from a file or a pipe in chunks: all that has arrived while the last chunk was being worked on, at least
/// one. So a fast source is worked on in large batches, and a slow one is answered line by line.
final class RowQueue: @unchecked Sendable {
    // Shared between the reading thread and the caller, under `condition`.
    private let condition = NSCondition()
    private var waiting: [String] = []
    private var isFinished = false
    private var failure: (any Error)?
    // Used by the reading thread only.
    private let rows: PredictionInput

    /// The most texts in one chunk, and the most read ahead.
    private static let chunk = 512

    init(_ rows: PredictionInput) {
        self.rows = rows
        let thread = Thread { self.read() }
        thread.start()
    }

    /// The next texts in order; nil at the end.
    /// - Throws: what reading threw, once all texts before it were handed out.
    func next() throws -> [String]? {
        condition.lock()
        defer { condition.unlock() }
        while waiting.isEmpty && !isFinished { condition.wait() }
        guard !waiting.isEmpty else {
            if let failure { throw failure }
            return nil
        }
        defer {
            waiting = []
            condition.signal()
        }
        return waiting
    }

    private func read() {
        do {
            while let row = try rows.next() {
                condition.lock()
                while waiting.count >= Self.chunk { condition.wait() }
                waiting.append(row.text)
                condition.signal()
                condition.unlock()
            }
        } catch {
            condition.lock()
            failure = error
            condition.unlock()
        }
        condition.lock()
        isFinished = true
        condition.signal()
        condition.unlock()
    }
}
