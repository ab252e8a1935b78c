/// Process exit codes of the program, after BSD's `sysexits.h` where one fits.
public enum ExitStatus: Int32, Sendable, CaseIterable {
    case ok = 0
    case failure = 1
    /// A check ran and did not pass (`carousel check`, a failed audit).
    case checkFailed = 3
    /// Training produced a non-finite loss.
    case diverged = 4
    case usage = 64
    case badData = 65
    case missingInput = 66
    case deviceUnavailable = 69
    /// A kernel that does not build, or a broken invariant of Carousel itself.
    case internalError = 70
    case cannotCreateOutput = 73
    case inputOutput = 74
    case outOfMemory = 75
    case badConfiguration = 78
    case interrupted = 130
    case terminated = 143
}

/// The one error type a user can meet: what happened, where, and what to try.
///
/// Libraries throw it and never print or exit; the program prints it and exits with `status`.
public struct CarouselError: Error, Sendable, CustomStringConvertible {
    public var status: ExitStatus
    /// What is wrong, as a sentence without a full stop.
    public var message: String
    /// `file:line`, a tensor with its shape, a configuration key; nil where it has no place.
    public var location: String?
    /// What the user can try next.
    public var hint: String?

    /// Messages quote what the user gave, which may be a whole file without a line end: the middle of long ones is left
    /// out, except for `internalError`, which may hold a compiler's log.
    public init(_ status: ExitStatus, _ message: String, at location: String? = nil, hint: String? = nil) {
        self.status = status
        self.message = status == .internalError ? message : Self.shortened(message)
        self.location = location.map(Self.shortened)
        self.hint = hint.map(Self.shortened)
    }

    /// The first 800 and the last 200 scalars of a text of more than 1000; a character may be of any length.
    private static func shortened(_ text: String) -> String {
        guard text.utf8.count > 1000 else { return text }
        let scalars = text.unicodeScalars
        guard scalars.count > 1000 else { return text }
        return String(scalars.prefix(800)) + " … " + String(scalars.suffix(200))
    }

    public var description: String {
        let place = location.map { "\($0): " } ?? ""
        let advice = hint.map { "\n  try: \($0)" } ?? ""
        return place + message + advice
    }
}
