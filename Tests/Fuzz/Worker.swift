import Carousel
import Foundation

/// The limits one input is held to.
enum Limits {
    /// Processor seconds, so that a busy machine does not count.
    static let seconds = 2
    /// Seconds by the clock, for a reader that waits for something that never comes.
    static let patience: UInt32 = 60
    /// Growth of the process over all its inputs.
    static let memory = 256 << 20
    /// Growth of the address space; an allocation beyond it fails.
    static let addressSpace = 4 << 30
    /// Bytes of an error: message, place and hint of 1000 scalars each.
    static let message = 12_288
}

/// What a worker knows when it dies: numbers in a file that both processes have mapped.
struct Progress {
    private let base: UnsafeMutablePointer<UInt64>

    /// - Throws: `inputOutput` when the file cannot be made.
    init(_ path: String) throws {
        let bytes = 4096
        let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        guard descriptor >= 0 else { throw CarouselError(.inputOutput, "cannot be opened", at: path) }
        defer { close(descriptor) }
        guard ftruncate(descriptor, off_t(bytes)) == 0,
              let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), memory != MAP_FAILED else {
            throw CarouselError(.inputOutput, "cannot be mapped", at: path)
        }
        base = memory.assumingMemoryBound(to: UInt64.self)
    }

    private subscript(_ index: Int) -> Int {
        get { Int(base[index]) }
        nonmutating set { base[index] = UInt64(newValue) }
    }

    /// The input being read.
    var number: Int { get { self[0] } nonmutating set { self[0] = newValue } }
    var accepted: Int { get { self[1] } nonmutating set { self[1] = newValue } }
    var refused: Int { get { self[2] } nonmutating set { self[2] = newValue } }
    /// Processor time of the slowest input, in nanoseconds, and its number.
    var slowest: Int { get { self[3] } nonmutating set { self[3] = newValue } }
    var slowestNumber: Int { get { self[4] } nonmutating set { self[4] = newValue } }
    /// Growth of the process in KiB.
    var growth: Int { get { self[5] } nonmutating set { self[5] = newValue } }
    /// 1 once inputs are being read, so that a reader that cannot be made is not taken for a crash.
    var hasBegun: Int { get { self[6] } nonmutating set { self[6] = newValue } }
}

/// Reads a range of inputs in a process of its own. What it finds goes to its standard output, one finding per line:
/// number, tab, description. When it dies, the parent takes the number from `Progress`.
struct Worker {
    let reader: FuzzReader
    let seed: UInt64
    let progress: Progress

    func run(_ numbers: Range<Int>) {
        limitAddressSpace()
        let start = Self.peakMemory
        var reported = start
        progress.hasBegun = 1
        for number in numbers {
            progress.number = number
            var (input, generator) = reader.input(number, seed: seed)
            Self.setTimer(seconds: Limits.seconds)
            alarm(Limits.patience)
            let before = Self.processorTime
            let finding = read(input, &generator, number)
            let time = Self.processorTime - before
            alarm(0)
            Self.setTimer(seconds: 0)
            if let finding { report(number, finding) }
            if time > progress.slowest {
                progress.slowest = time
                progress.slowestNumber = number
            }
            let peak = Self.peakMemory
            progress.growth = (peak - start) >> 10
            if peak - reported > Limits.memory {
                report(number, "memory grew by \((peak - reported) >> 20) MiB")
                reported = peak
            }
        }
    }

    /// What is wrong with how the reader took the input; nil when nothing is.
    private func read(_ input: [UInt8], _ generator: inout SeededGenerator, _ number: Int) -> String? {
        do {
            try reader.run(input, &generator)
            progress.accepted += 1
            return reader.mustBeAccepted(number) == false ? "a harmful input was accepted" : nil
        } catch let error as CarouselError {
            progress.refused += 1
            if reader.mustBeAccepted(number) == true { return "a valid input was refused: \(error)" }
            guard reader.refusals.contains(error.status) else { return "refused with status \(error.status.rawValue): \(error)" }
            if error.message.isEmpty || error.hint?.isEmpty == true || error.location?.isEmpty == true { return "an empty message" }
            let length = error.description.utf8.count
            return length > Limits.message ? "a message of \(length) bytes" : nil
        } catch let violation as Violation {
            return violation.description
        } catch {
            return "an error that is not Carousel's: \(error)"
        }
    }

    private func report(_ number: Int, _ finding: String) {
        let line = finding.split(whereSeparator: \.isNewline).joined(separator: " ")
        FileHandle.standardOutput.write(Data("\(number)\t\(line.prefix(500))\n".utf8))
    }

    /// A header that claims 10¹² bytes must not get them. Relative to what is mapped, since checkers map a lot.
    private func limitAddressSpace() {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
              let pages = text.split(separator: " ").first.flatMap({ UInt($0) }) else { return }
        let limit = pages * UInt(sysconf(Int32(_SC_PAGESIZE))) + UInt(Limits.addressSpace)
        var value = rlimit(rlim_cur: limit, rlim_max: limit)
        setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &value)
    }

    /// Ends the process with SIGPROF after so much processor time; 0 = never.
    private static func setTimer(seconds: Int) {
        var value = itimerval(it_interval: timeval(), it_value: timeval(tv_sec: seconds, tv_usec: 0))
        setitimer(__itimer_which_t(ITIMER_PROF.rawValue), &value, nil)
    }

    /// Nanoseconds of all threads.
    private static var processorTime: Int {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// Bytes of memory the process ever held at once.
    private static var peakMemory: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss << 10
    }
}
