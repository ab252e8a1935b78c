import CarouselCore

/// What it costs to hand work over, to hear back, and to move memory.
extension DeviceProbe {
    static let launches = [
        DeviceProbe(name: "launch", purpose: "kernels per time step: what each costs") { try $0.measureLaunches() },
        DeviceProbe(name: "transfer", purpose: "reading a loss, uploading a batch, streaming weights") { try $0.measureTransfers() },
    ]
}

extension ProbeMachine {
    private static let text = """
        __kernel void empty(__global float *y) {}
        __kernel void copy(__global const float4 *x, __global float4 *y, const uint count) {
            for (uint i = get_global_id(0); i < count; i += get_global_size(0)) y[i] = x[i];
        }
        """

    /// Seconds of one of `count` runs, the fastest of three rounds.
    private func time(_ count: Int, _ body: () throws -> Void) throws -> Double {
        var best = Double.infinity
        for _ in 0..<3 { best = min(best, try HostClock.seconds { for _ in 0..<count { try body() } } / Double(count)) }
        return best
    }

    fileprivate func measureLaunches() throws -> DeviceProbe.Finding {
        let kernel = try kernel("empty", of: Self.text), items = groupSize, y = try buffer(64)
        defer { withExtendedLifetime(y) {} }
        try set([.buffer(y)], of: kernel)
        try launch(kernel, groups: 1, of: items)
        try queue.finish()
        let batch = 500, units = max(1, description.computeUnits)
        func pipelined(groups: Int) throws -> (whole: Double, queued: Double) {
            var queued = Double.infinity
            let whole = try time(1) {
                queued = min(queued, try HostClock.seconds { for _ in 0..<batch { try launch(kernel, groups: groups, of: items) } })
                try queue.finish()
            }
            return (whole / Double(batch) * 1e6, queued / Double(batch) * 1e6)
        }
        let one = try pipelined(groups: 1), all = try pipelined(groups: units)
        let waiting = try time(100) {
            try launch(kernel, groups: 1, of: items)
            try queue.finish()
        }
        return DeviceProbe.Finding(outcome: .works, facts: [
            .init(name: "pipelined, 1 work-group", value: one.whole, unit: "µs"),
            .init(name: "pipelined, \(units) work-groups", value: all.whole, unit: "µs"),
            .init(name: "of that queuing on the host", value: one.queued, unit: "µs"),
            .init(name: "with a wait", value: waiting * 1e6, unit: "µs"),
        ])
    }

    fileprivate func measureTransfers() throws -> DeviceProbe.Finding {
        let x = try buffer(1 << 22)
        var one: [Float] = [0]
        let reading = try time(100) { try one.withUnsafeMutableBytes { try queue.read(x, at: 0, into: $0) } }
        var host = [Float](repeating: 1, count: 1 << 16)
        let small = try time(50) {
            try host.withUnsafeBytes { try queue.write($0, to: x, at: 0) }
            try queue.finish()
        }
        host = [Float](repeating: 1, count: 1 << 22)
        let writing = try time(3) {
            try host.withUnsafeBytes { try queue.write($0, to: x, at: 0) }
            try queue.finish()
        }
        var facts = [ProbeAnswer.Fact(name: "reading 4 bytes", value: reading * 1e6, unit: "µs"),
                     ProbeAnswer.Fact(name: "writing 256 KiB and waiting", value: small * 1e6, unit: "µs"),
                     ProbeAnswer.Fact(name: "writing 16 MiB", value: Double(host.count * 4) / writing * 1e-9, unit: "GB/s")]
        // Work-items that stand side by side read side by side: right for a GPU, not for a CPU's cores.
        if description.type != .cpu { facts.append(.init(name: "device memory, read and written", value: try measureMemory() * 1e-9, unit: "GB/s")) }
        return DeviceProbe.Finding(outcome: .works, facts: facts)
    }

    /// Bytes per second of a copy larger than the caches.
    private func measureMemory() throws -> Double {
        let count = min(1 << 26, max(1 << 20, description.memory / 256)), groups = description.computeUnits * 8
        let x = try buffer(count), y = try buffer(count), kernel = try kernel("copy", of: Self.text)
        defer { withExtendedLifetime((x, y)) {} }
        try set([.buffer(x), .buffer(y), .unsigned(UInt32(count / 4))], of: kernel)
        try launch(kernel, groups: groups, of: groupSize)
        try queue.finish()
        let seconds = try time(1) {
            for _ in 0..<5 { try launch(kernel, groups: groups, of: groupSize) }
            try queue.finish()
        } / 5
        return 2 * Double(count * 4) / seconds
    }
}
