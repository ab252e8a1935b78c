#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The clock of all measurements: it never jumps, and all threads and devices share its zero.
public enum HostClock {
    /// Nanoseconds since some moment before the program began.
    public static var nanoseconds: Int { now(CLOCK_MONOTONIC) }

    /// Nanoseconds that all threads of this process together have used a processor.
    public static var processorNanoseconds: Int { now(CLOCK_PROCESS_CPUTIME_ID) }
    /// The same of the calling thread alone.
    public static var threadNanoseconds: Int { now(CLOCK_THREAD_CPUTIME_ID) }

    private static func now(_ clock: clockid_t) -> Int {
        var time = timespec()
        clock_gettime(clock, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// Seconds that `body` takes.
    public static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = nanoseconds
        try body()
        return Double(nanoseconds - start) * 1e-9
    }
}
