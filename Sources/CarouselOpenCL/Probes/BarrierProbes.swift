import CarouselCore

/// What it costs when all work-groups of a launch meet, and whether what one wrote before is seen by the others after.
///
/// OpenCL promises no progress between work-groups: those that are not on the device together never meet. So nobody waits
/// longer than a number of looks, and the first to give up sends everybody home.
extension DeviceProbe {
    static let barriers: [DeviceProbe] = BarrierForm.allCases.flatMap { form in
        [1, 2, 4].map { share in
            DeviceProbe(name: "barrier \(share)x\(form.suffix)", purpose: form.purpose(share)) { try $0.measureBarrier(form, share: share) }
        }
    }
}

/// How work-groups tell each other that they have arrived.
enum BarrierForm: CaseIterable {
    /// OpenCL C 1.2: atomics and fences.
    case atomics
    /// NVIDIA's PTX: `red.release`, `ld.acquire`.
    case acquireRelease

    var suffix: String { self == .atomics ? "" : " ptx" }

    func purpose(_ share: Int) -> String {
        "one launch per sequence: \(share) work-group\(share == 1 ? "" : "s") per compute unit meet at every step, "
            + (self == .atomics ? "by OpenCL's atomics" : "by release and acquire in PTX")
    }

    /// `arrive(counter)` adds one, `arrived(counter)` reads.
    fileprivate var text: String {
        switch self {
        case .atomics: """
            inline void arrive(volatile __global uint *counter) {
                mem_fence(CLK_GLOBAL_MEM_FENCE);
                atomic_inc(counter);
            }
            inline uint arrived(volatile __global uint *counter) {
                const uint count = atomic_add(counter, 0u);
                mem_fence(CLK_GLOBAL_MEM_FENCE);
                return count;
            }
            """
        case .acquireRelease: DeviceProbe.ptxOnly + """
            inline void arrive(volatile __global uint *counter) {
                asm volatile("red.release.gpu.global.add.u32 [%0], 1;" :: "l"(counter) : "memory");
            }
            inline uint arrived(volatile __global uint *counter) {
                uint count;
                asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(count) : "l"(counter) : "memory");
                return count;
            }
            """
        }
    }
}

extension ProbeMachine {
    /// state: arrivals, groups that gave up, values of other groups that were not seen; then a value of each group, in
    /// cache lines of its own.
    private static func text(_ form: BarrierForm) -> String {
        form.text + """

        #define LINE 32
        __kernel void meet(volatile __global uint *state, const uint count, const uint patience) {
            const uint groups = get_num_groups(0), group = get_group_id(0), item = get_local_id(0);
            volatile __global uint *values = state + LINE;
            __local int left;
            if (item == 0) left = 0;
            barrier(CLK_LOCAL_MEM_FENCE);
            for (uint round = 1; round <= count; round++) {
                if (item == 0) values[group * LINE] = round;
                barrier(CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE);
                if (item == 0) {
                    arrive(state);
                    for (uint look = 0; arrived(state) < round * groups; look++) {
                        // Somebody else's despair is looked at now and then.
                        if (look >= patience || (look % 256 == 255 && atomic_add(state + 1, 0u) != 0)) {
                            atomic_inc(state + 1);
                            left = 1;
                            break;
                        }
                    }
                }
                barrier(CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE);
                if (left) return;
                if (item == 0 && values[(group + 1) % groups * LINE] < round) atomic_inc(state + 2);
            }
        }
        """
    }

    fileprivate func measureBarrier(_ form: BarrierForm, share: Int) throws -> DeviceProbe.Finding {
        let units = max(1, description.computeUnits), isCPU = description.type == .cpu
        guard share == 1 || !isCPU else {
            return DeviceProbe.Finding(outcome: .notTried, message: "a CPU runs as many work-groups together as it has compute units")
        }
        // About a second of looks on a GPU; on a CPU long enough for another program's turn on the core.
        return try measureBarrier(form, groups: units * share, patience: isCPU ? 20_000_000 : 1_000_000)
    }

    /// - Parameter patience: looks before a work-group gives up.
    func measureBarrier(_ form: BarrierForm, groups: Int, patience: UInt32) throws -> DeviceProbe.Finding {
        let kernel = try kernel("meet", of: Self.text(form)), zeros = [Float](repeating: 0, count: (groups + 1) * 32), state = try buffer(zeros.count)
        func run(_ rounds: Int) throws -> (seconds: Double, left: UInt32, unseen: UInt32) {
            try zeros.withUnsafeBytes { try queue.write($0, to: state, at: 0) }
            try set([.buffer(state), .unsigned(UInt32(rounds)), .unsigned(patience)], of: kernel)
            try queue.finish()
            let seconds = try HostClock.seconds {
                try launch(kernel, groups: groups, of: groupSize)
                try queue.finish()
            }
            let found = try read(state, as: UInt32.self, 3)
            return (seconds, found[1], found[2])
        }
        _ = try run(0)
        let empty = try run(0).seconds, first = try run(8)
        var last = first, rounds = 8
        if first.left == 0 {
            rounds = max(8, min(5000, Int(0.2 / max(first.seconds / 8, 1e-7))))
            last = try run(rounds)
        }
        guard last.left == 0 else {
            return DeviceProbe.Finding(outcome: .timedOut, message: "\(last.left) of \(groups) work-groups gave up after \(patience) looks",
                                       facts: [.init(name: "until all had left", value: last.seconds * 1e3, unit: "ms")])
        }
        let facts = [ProbeAnswer.Fact(name: "a barrier of \(groups) work-groups", value: max(0, last.seconds - empty) / Double(rounds) * 1e6, unit: "µs"),
                     ProbeAnswer.Fact(name: "barriers", value: Double(rounds), unit: "")]
        guard first.unseen + last.unseen == 0 else {
            return DeviceProbe.Finding(outcome: .wrong, message: "\(first.unseen + last.unseen) values written before a barrier were not seen after it", facts: facts)
        }
        return DeviceProbe.Finding(outcome: .works, facts: facts)
    }
}
