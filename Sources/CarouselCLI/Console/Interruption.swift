import Glibc
import Synchronization

/// Ctrl-C and `kill`: the first asks the training to end after its step, the second ends the program at once.
enum Interruption {
    private static let received = Atomic<Int32>(0)

    /// The signal that came; 0 = none yet.
    static var signal: Int32 { received.load(ordering: .relaxed) }

    /// Takes over SIGINT and SIGTERM; a reader that left or a limit on file sizes shows as an error of the write.
    static func install() {
        // Touched here, so that the handler never is the first to reach it.
        received.store(0, ordering: .relaxed)
        for number in [SIGINT, SIGTERM] { Glibc.signal(number, handler) }
        Glibc.signal(SIGPIPE, SIG_IGN)
        Glibc.signal(SIGXFSZ, SIG_IGN)
        // A parent that starts programs from a worker thread may hand over a mask that blocks everything.
        var wanted = sigset_t()
        sigemptyset(&wanted)
        sigaddset(&wanted, SIGINT)
        sigaddset(&wanted, SIGTERM)
        pthread_sigmask(SIG_UNBLOCK, &wanted, nil)
    }

    // Only an atomic exchange and `_exit`: both are allowed inside a signal handler.
    private static let handler: @convention(c) (Int32) -> Void = { number in
        if received.exchange(number, ordering: .relaxed) != 0 { _exit(128 + number) }
    }
}
