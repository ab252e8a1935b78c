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

    public init(_ status: ExitStatus, _ message: String, at location: String? = nil, hint: String? = nil) {
        self.status = status
        self.message = message
        self.location = location
        self.hint = hint
    }

    public var description: String {
        let place = location.map { "\($0): " } ?? ""
        let advice = hint.map { "\n  try: \($0)" } ?? ""
        return place + message + advice
    }
}
