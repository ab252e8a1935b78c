/// For each lane the number of a command of it, 0 = none.
typealias LaneTimes = SIMD8<UInt64>

/// Which commands of several lanes come after which.
///
/// A lane is a queue that runs its commands in order. Each of its commands has a number, and each lane knows for every lane
/// up to which of its commands everything is done before its own next one starts: a vector clock. So a buffer that
/// remembers its last use in every lane can be told to be free for a lane, or not yet, without asking the device.
final class LaneOrder {
    /// Lanes at most.
    static let count = LaneTimes.scalarCount

    /// What each lane comes after, itself included.
    private var seen = [LaneTimes](repeating: .zero, count: count)

    /// The lane that commands go to now.
    private(set) var current = 0

    /// Of the commands before the current lane's next one.
    var times: LaneTimes { seen[current] }

    /// Sends commands to `lane` while `body` runs.
    func on<Result>(_ lane: Int, _ body: () throws -> Result) rethrows -> Result {
        let outer = current
        current = lane
        defer { current = outer }
        return try body()
    }

    /// The current lane gets a command.
    /// - Returns: the command's number.
    @discardableResult
    func advance() -> UInt64 {
        seen[current][current] += 1
        return seen[current][current]
    }

    /// The current lane's next command starts when those of `times` are done.
    func wait(for times: LaneTimes) { seen[current] = pointwiseMax(seen[current], times) }

    /// Of all commands so far.
    private var last: LaneTimes { LaneTimes(seen.indices.map { seen[$0][$0] }) }

    /// Whether every lane comes after command `number` of `lane`.
    func areAllAfter(_ number: UInt64, of lane: Int) -> Bool { seen.allSatisfy { $0[lane] >= number } }

    /// Whether the current lane comes after all commands with these numbers.
    func isAfter(_ times: LaneTimes) -> Bool { all(times .<= seen[current]) }

    /// Lanes with commands that the current one does not come after.
    var unseen: [Int] { seen.indices.filter { seen[$0][$0] > seen[current][$0] } }

    /// The device has nothing left to do.
    func everythingIsDone() { seen = [LaneTimes](repeating: last, count: Self.count) }
}
