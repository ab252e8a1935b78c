import CarouselCore

/// The command queues of a device, one for each lane of `LaneOrder`, and the waits between them.
///
/// All commands of a backend pass here. A planner has the same lanes without queues: it only keeps the order, which decides
/// what buffers can be used again.
final class Lanes {
    let order = LaneOrder()
    private let context: OpenCLContext
    /// Made when they are first needed.
    private var queues: [Int: CommandQueue] = [:]
    private var record: (([DeviceCommand]) -> Void)?

    /// What everything goes to that was not said to be independent.
    static let main = 0
    /// What pieces that overlap go to: `main` is the first of them.
    static let pieces = 4
    /// What work aside goes to.
    static let aside = pieces
    /// What writes ahead of the work before them go to.
    static let ahead = pieces + 1

    init(_ context: OpenCLContext) { self.context = context }

    /// The queue of a lane.
    func queue(_ lane: Int) throws -> CommandQueue {
        if let queue = queues[lane] { return queue }
        let queue = try CommandQueue(context, number: lane)
        if let record { try queue.recordCommands(record) }
        queues[lane] = queue
        return queue
    }

    private var current: CommandQueue { get throws { try queue(order.current) } }

    // MARK: Order

    /// A place in the order of a lane, that other lanes can wait for.
    struct Mark {
        fileprivate let times: LaneTimes
        /// nil where nothing is queued.
        fileprivate let place: QueueMark?
    }

    /// Behind the commands of the current lane so far.
    /// - Parameter queues: false where nothing is queued.
    func mark(queues isQueued: Bool) throws -> Mark {
        Mark(times: order.times, place: isQueued ? try current.mark() : nil)
    }

    /// Commands of the current lane start from now on when `mark` is reached.
    func wait(for mark: Mark) throws {
        guard !order.isAfter(mark.times) else { return }
        order.wait(for: mark.times)
        if let place = mark.place { try current.wait(for: place) }
    }

    /// Commands of the current lane start from now on when all of `lanes` are done.
    func join(_ lanes: some Sequence<Int>, queues isQueued: Bool) throws {
        for lane in lanes where lane != order.current && order.unseen.contains(lane) {
            try wait(for: order.on(lane) { try mark(queues: isQueued) })
        }
    }

    // MARK: Commands

    /// Call before the number of a command is taken: waits for everything where the current queue is full.
    func makeRoom() throws {
        if try current.isFull { try finish() }
    }

    /// As `CommandQueue.write`, in the current lane.
    func write(_ bytes: UnsafeRawBufferPointer, to buffer: OpenCLBuffer, at offset: Int) throws {
        try current.write(bytes, to: buffer, at: offset)
    }

    /// As `CommandQueue.launch`, in the current lane.
    func launch(_ kernel: OpenCLKernel, global: (Int, Int, Int), local: (Int, Int, Int), offset: (Int, Int, Int)) throws {
        try current.launch(kernel, global: global, local: local, offset: offset)
    }

    /// Copies to the host after everything queued in any lane. // sync point
    func read(_ buffer: OpenCLBuffer, at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
        try join(order.unseen, queues: true)
        try current.read(buffer, at: offset, into: bytes)  // sync point
        try settle()
    }

    /// Waits for everything queued in any lane.
    func finish() throws {
        for queue in queues.values { try queue.finish() }  // sync point
        try settle()
    }

    private func settle() throws {
        for queue in queues.values { try queue.settle() }
        order.everythingIsDone()
    }

    /// Times the commands of all lanes from now on, or none. A sync point.
    func recordCommands(_ record: (([DeviceCommand]) -> Void)?) throws {
        try finish()
        for (_, queue) in queues.sorted(by: { $0.key < $1.key }) { try queue.recordCommands(record) }
        self.record = record
    }
}
