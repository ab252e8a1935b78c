import CarouselCore

/// How long a piece of work took, again and again.
public struct Timing: Sendable {
    /// Seconds of one run, one value per sample, in their order.
    public var samples: [Double]
    /// Seconds that all threads together used a processor for one run, on average; nil = not measured.
    public var processor: Double?

    /// The middle sample; the mean of the two in the middle.
    public var median: Double { Self.median(samples) }
    /// The fastest sample: what the work takes when nothing else uses the machine.
    public var minimum: Double { samples.min() ?? 0 }

    /// Cores of the host that were in use, on average.
    public var cores: Double? {
        processor.map { $0 * Double(samples.count) / max(samples.reduce(0, +), 1e-12) }
    }

    /// 0 of nothing.
    static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted(), middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}

/// Times work on one device.
struct Stopwatch {
    let backend: any Backend
    /// About how long one piece of work is sampled, beside its warm-up.
    let seconds: Double

    /// Short work is repeated inside a sample until the sample is this long: the clock and the last wait for the device
    /// then cost less than a thousandth.
    private static let shortestSample = 0.003
    private static let mostSamples = 200

    /// Runs each work once to warm up, then all of them in turns (A, B, A, B, …) until the time is up: what slows the
    /// machine down for a while slows all of them. At least one sample of each.
    func time(_ works: [() throws -> Void]) throws -> [Timing] {
        let repeats = try works.map { work -> Int in
            _ = try sample(work, repeats: 1)
            return max(1, Int((Self.shortestSample / max(try sample(work, repeats: 1), 1e-9)).rounded(.up)))
        }
        var timings = works.map { _ in Timing(samples: []) }, processor = works.map { _ in 0.0 }
        let budget = seconds * Double(works.count)
        var spent = 0.0, rounds = 0
        repeat {
            let before = spent
            for (place, work) in works.enumerated() {
                let processorBefore = HostClock.processorNanoseconds
                let time = try sample(work, repeats: repeats[place])
                processor[place] += Double(HostClock.processorNanoseconds - processorBefore) * 1e-9 / Double(repeats[place])
                timings[place].samples.append(time)
                spent += time * Double(repeats[place])
            }
            rounds += 1
            // Not another round that would end far beyond the limit.
            if spent + (spent - before) / 2 > budget { break }
        } while rounds < Self.mostSamples
        for place in timings.indices { timings[place].processor = processor[place] / Double(timings[place].samples.count) }
        return timings
    }

    /// Seconds of one run, with the device's part of it.
    private func sample(_ work: () throws -> Void, repeats: Int) throws -> Double {
        try HostClock.seconds {
            for _ in 0..<repeats { try work() }
            try backend.finish()
        } / Double(repeats)
    }
}
