import CVector
import CarouselCore

extension CPUBackend: PeakMeasuring {
    /// On registers alone, all threads at once; the best of several rounds, since others may use the machine.
    public func measurePeak(seconds: Double) throws -> Double {
        guard holdsValues else { return 0 }
        var sums = [Float](repeating: 0, count: threads)
        var rounds = 1 << 14, best = 0.0, spent = 0.0
        while spent < seconds {
            var operations = 0.0
            let time = HostClock.seconds { operations = cvPeak(context, rounds, &sums) }
            spent += time
            // The first rounds wake the threads and find a length of some milliseconds.
            if time < 0.004 { rounds *= 2 } else { best = max(best, operations / time) }
            if rounds > 1 << 40 { break }
        }
        return best
    }

    /// For people.
    public var peakMethod: String {
        "multiply-adds on \(instructions.name) registers, \(threads) thread\(threads == 1 ? "" : "s")"
    }
}
