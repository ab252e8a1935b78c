/// A piece of work that may run beside others: a branch of an `overlap`.
public struct LaneWork {
    /// Where it runs: pieces of one lane run in the order of their list.
    public var lane: Int
    /// Earlier pieces it needs the results of, by their places in the list; those of its own lane go before it anyway.
    public var after: [Int]
    /// Asks for the operations.
    public var body: () throws -> Void

    public init(lane: Int, after: [Int] = [], _ body: @escaping () throws -> Void) {
        self.lane = lane
        self.after = after
        self.body = body
    }
}

/// Work that a device may run at the same time. Whoever asks says what is independent; a device without lanes runs all of it
/// in the order in which it was asked for, to the same bits.
///
/// Bodies run on the caller's thread, in their order, before the call returns; only what they queue overlaps. Tensors made in
/// a body belong to whoever keeps them, as everywhere.
public protocol OverlapOperations {
    /// Whether work overlaps here at all. Where it does not, `overlap` and `aside` run their bodies in order.
    var overlaps: Bool { get }

    /// Runs pieces that do not touch each other's results, except as `after` says. All of them see what was asked for before,
    /// and what is asked for after sees the results of all. Inside a piece it runs its pieces in order.
    ///
    /// After an error the pieces behind it are left out, and nothing is said about the results of the others.
    func overlap(_ pieces: [LaneWork]) throws

    /// Runs work that nobody needs before the next `join`. It sees what was asked for before. Until then nobody reads what it
    /// writes, and nobody writes what it reads or writes.
    func aside(_ body: () throws -> Void) throws

    /// Steps that layers on top of each other take at a time, where they are to run as a wavefront over layers and time; nil =
    /// one layer after the other. The same for the same shapes.
    func wavefrontSteps(of stack: [RecurrentPass]) -> Int?

    /// What is asked for from now on sees all results, those of work aside too. `read` and `finish` do it as well.
    func join() throws
}

extension Backend {
    /// Nothing overlaps.
    public var overlaps: Bool { false }

    /// In order: pieces only name earlier ones.
    public func overlap(_ pieces: [LaneWork]) throws {
        for piece in pieces { try piece.body() }
    }

    /// At once.
    public func aside(_ body: () throws -> Void) throws { try body() }

    /// One layer after the other.
    public func wavefrontSteps(of stack: [RecurrentPass]) -> Int? { nil }

    /// Everything is done already.
    public func join() throws {}
}
