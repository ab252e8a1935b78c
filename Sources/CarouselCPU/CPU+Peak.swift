import CVector
import CarouselCore

extension CPUBackend: PeakMeasuring {
    /// On registers alone, all threads at once; what the calling thread did in the time it had a processor, times the threads:
    /// what other programs take meanwhile does not make the peak look lower, and a thread knows its own time exactly, that of
    /// others only to a tick of the system. The best of several rounds.
    public func measurePeak(seconds: Double) throws -> Double {
        guard holdsValues else { return 0 }
        var sums = [Float](repeating: 0, count: threads * Int(cvPeakPieces))
        var rounds = 1 << 10, best = 0.0, spent = 0.0
        // At least one round counts, however short the time.
        while spent < seconds || best == 0 {
            var operations = 0.0
            let before = HostClock.threadNanoseconds
            let time = HostClock.seconds { operations = cvPeak(context, isBfloat16, rounds, &sums) }
            let processor = Double(HostClock.threadNanoseconds - before) * 1e-9
            spent += time
            // Long enough that waking the threads costs little, short enough to fall between what other programs do.
            if time < 0.002 { rounds *= 2 } else { best = max(best, operations / max(processor, 1e-9) * Double(threads)) }
            if rounds > 1 << 40 { break }
        }
        return best
    }

    /// For people.
    public var peakMethod: String {
        "\(isBfloat16 ? "bfloat16 " : "")multiply-adds on \(instructions.name) registers, \(threads) thread\(threads == 1 ? "" : "s"), by processor time"
    }
}
