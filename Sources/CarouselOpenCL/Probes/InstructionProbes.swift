import CarouselCore

/// Which instructions and how much local memory a device's compiler takes, and whether they compute what they should.
extension DeviceProbe {
    /// 32 work-items that leave numbers in `y`, which are known beforehand.
    private init(_ name: String, _ purpose: String, _ source: String, local bytes: Int? = nil, count: Int = 32,
                 expecting expected: @escaping @Sendable (Int) -> UInt32) {
        self.init(name: name, purpose: purpose) { machine in
            try machine.check(try machine.kernel("probe", of: source), bytes.map { [.local($0)] } ?? [], groups: 1, count, expected)
        }
    }

    static let instructions: [DeviceProbe] = halves + localMemory + matrixUnits + ptx + ptxPrograms

    // MARK: OpenCL C

    private static let halves = [
        DeviceProbe("half", "half precision in kernels (cl_khr_fp16)", """
            #pragma OPENCL EXTENSION cl_khr_fp16 : enable
            __kernel void probe(__global uint *y) {
                const half x = (half)get_local_id(0);
                y[get_local_id(0)] = (uint)(x * (half)2 + (half)1);
            }
            """) { UInt32(2 * $0 + 1) },
        DeviceProbe("half storage", "half precision in memory alone (vload_half, vstore_half)", """
            __kernel void probe(__global uint *y) {
                ushort bits[2];
                vstore_half((float)get_local_id(0), 0, (half *)bits);
                y[get_local_id(0)] = (uint)(vload_half(0, (half *)bits) * 2.0f);
            }
            """) { UInt32(2 * $0) },
        DeviceProbe("sub-groups", "sums without local memory (cl_khr_subgroups, cl_intel_subgroups)", """
            #if defined(cl_khr_subgroups)
            #pragma OPENCL EXTENSION cl_khr_subgroups : enable
            #elif !defined(cl_intel_subgroups)
            #error "neither cl_khr_subgroups nor cl_intel_subgroups"
            #endif
            __kernel void probe(__global uint *y) { y[get_local_id(0)] = sub_group_reduce_add(1u) == get_sub_group_size(); }
            """) { _ in 1 },
    ]

    private static let localMemory: [DeviceProbe] = [48, 64, 96, 160, 224].flatMap { size -> [DeviceProbe] in
        let purpose = "recurrent weights beside registers: \(size) KiB of local memory in a work-group"
        let body = """
                for (uint i = get_local_id(0); i < COUNT; i += 32) tile[i] = i;
                barrier(CLK_LOCAL_MEM_FENCE);
                y[get_local_id(0)] = tile[COUNT - 1 - get_local_id(0)];
            }
            """
        let count = size * 256, define = "#define COUNT \(count)\n"
        return [
            DeviceProbe("local \(size)K", purpose + ", declared", define + """
                __kernel void probe(__global uint *y) {
                    __local uint tile[COUNT];
                """ + "\n" + body) { UInt32(count - 1 - $0) },
            DeviceProbe("local \(size)K argument", purpose + ", as an argument",
                        define + "__kernel void probe(__global uint *y, __local uint *tile) {\n" + body,
                        local: size << 10) { UInt32(count - 1 - $0) },
        ]
    }

    // MARK: NVIDIA's PTX inside OpenCL C

    /// A compiler of another maker may end the whole program over instructions it does not know.
    static let ptxOnly = """
        #if !defined(__NV_CL_C_VERSION) && !defined(__NVPTX__)
        #error "this compiler does not write PTX"
        #endif

        """

    /// d[r, n] = Σ over k of (r + 1)(n + 1), in the fragments of mma.sync: item i holds rows i / 4 and i / 4 + 8 of a and d,
    /// column i / 4 of b, columns 2 (i % 4) and the next of d.
    private static func product(_ shape: String, _ type: String, k: Int, pack: String) -> String {
        ptxOnly + """
            __kernel void probe(__global uint *y) {
                const uint item = get_local_id(0), row = item / 4;
                uint upper, lower, right;
                const float high = row + 1, low = row + 9;
                asm("\(pack)" : "=r"(upper) : "f"(high));
                asm("\(pack)" : "=r"(lower) : "f"(low));
                asm("\(pack)" : "=r"(right) : "f"(high));
                float d0 = 0.0f, d1 = 0.0f, d2 = 0.0f, d3 = 0.0f;
                asm volatile("mma.sync.aligned.\(shape).row.col.f32.\(type).\(type).f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                             : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
                             : "r"(upper), "r"(lower), "r"(upper), "r"(lower), "r"(right), "r"(right));
                const uint column = 2 * (item % 4);
                y[row * 8 + column] = (uint)d0;
                y[row * 8 + column + 1] = (uint)d1;
                y[(row + 8) * 8 + column] = (uint)d2;
                y[(row + 8) * 8 + column + 1] = (uint)d3;
            }
            """
    }

    private static let matrixUnits = [
        ("mma tf32", "m16n8k8", "tf32", 8, "cvt.rna.tf32.f32 %0, %1;"),
        ("mma bf16", "m16n8k16", "bf16", 16, "cvt.rn.bf16x2.f32 %0, %1, %1;"),
        ("mma fp16", "m16n8k16", "f16", 16, "cvt.rn.f16x2.f32 %0, %1, %1;"),
    ].map { name, shape, type, k, pack in
        DeviceProbe(name, "matrix units: \(shape) with float32 sums", product(shape, type, k: k, pack: pack), count: 128) {
            UInt32(k * ($0 / 8 + 1) * ($0 % 8 + 1))
        }
    }

    private static let ptx = [
        DeviceProbe("ldmatrix", "operands of matrix units from local memory", ptxOnly + """
            __kernel void probe(__global uint *y) {
                __local ushort tile[64] __attribute__((aligned(16)));
                const uint item = get_local_id(0);
                tile[2 * item] = 2 * item;
                tile[2 * item + 1] = 2 * item + 1;
                barrier(CLK_LOCAL_MEM_FENCE);
                const uint from = (uint)(size_t)(tile + item % 8 * 8);
                uint pair;
                asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(pair) : "r"(from) : "memory");
                y[item] = pair;
            }
            """) { item in
                let first = UInt32(item / 4 * 8 + item % 4 * 2)
                return first | (first + 1) << 16
            },
        DeviceProbe("cp.async", "copies to local memory while computing", ptxOnly + """
            __kernel void probe(__global uint *y) {
                __local uint tile[128] __attribute__((aligned(16)));
                const uint item = get_local_id(0);
                __global uint *source = y + 32;
                for (uint i = 0; i < 4; i++) source[4 * item + i] = 4 * item + i;
                barrier(CLK_GLOBAL_MEM_FENCE);
                const uint to = (uint)(size_t)(tile + 4 * item);
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(to), "l"(source + 4 * item) : "memory");
                asm volatile("cp.async.commit_group;" ::: "memory");
                asm volatile("cp.async.wait_group 0;" ::: "memory");
                barrier(CLK_LOCAL_MEM_FENCE);
                y[item] = tile[127 - item];
            }
            """, count: 160) { $0 < 32 ? UInt32(127 - $0) : UInt32($0 - 32) },
        DeviceProbe("release acquire", "barriers between work-groups without full fences", ptxOnly + """
            __kernel void probe(__global uint *y) {
                __global uint *counter = y + 32;
                asm volatile("red.release.gpu.global.add.u32 [%0], 1;" :: "l"(counter) : "memory");
                barrier(CLK_GLOBAL_MEM_FENCE);
                uint count;
                asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(count) : "l"(counter) : "memory");
                y[get_local_id(0)] = count;
            }
            """, count: 33) { _ in 32 },
        DeviceProbe("shuffle", "sums across 32 work-items without local memory", ptxOnly + """
            __kernel void probe(__global uint *y) {
                uint sum = get_local_id(0);
                for (uint step = 16; step > 0; step /= 2) {
                    uint other;
                    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(other) : "r"(sum), "r"(step));
                    sum += other;
                }
                y[get_local_id(0)] = sum;
            }
            """) { _ in 496 },
        DeviceProbe("f16x2", "two half precision multiply-adds at once", ptxOnly + """
            __kernel void probe(__global uint *y) {
                const float x = get_local_id(0);
                uint pair, result;
                asm("cvt.rn.f16x2.f32 %0, %1, %1;" : "=r"(pair) : "f"(x));
                asm("fma.rn.f16x2 %0, %1, %2, %1;" : "=r"(result) : "r"(pair), "r"(0x3c003c00));
                y[get_local_id(0)] = (uint)vload_half(1, (half *)&result);
            }
            """) { UInt32(2 * $0) },
        DeviceProbe("tanh.approx", "gates by the special function units", ptxOnly + """
            __kernel void probe(__global uint *y) {
                const float x = 0.1f * get_local_id(0);
                float fast;
                asm("tanh.approx.f32 %0, %1;" : "=f"(fast) : "f"(x));
                y[get_local_id(0)] = fabs(fast - tanh(x)) < 2e-3f;
            }
            """) { _ in 1 },
    ]

    // MARK: Whole programs in PTX

    private static func program(target: String, directives: String = "", body: String = "") -> String {
        """
        .version 8.0
        .target \(target)
        .address_size 64
        .visible .entry probe(.param .u64 .ptr .global .align 4 probe_y)
        \(directives)
        {
            .reg .b32 %r<6>;
            .reg .b64 %rd<4>;
            ld.param.u64 %rd1, [probe_y];
            \(body)
            mov.u32 %r1, %tid.x;
            mov.u32 %r2, %ctaid.x;
            mad.lo.u32 %r3, %r2, 32, %r1;
            mul.wide.u32 %rd2, %r3, 4;
            add.u64 %rd3, %rd1, %rd2;
            st.global.u32 [%rd3], %r3;
            ret;
        }
        """
    }

    private static let ptxPrograms = [
        ("ptx program", "kernels handed over as PTX", program(target: "sm_70")),
        ("ptx program sm_90a", "what Hopper has beyond mma.sync", program(target: "sm_90a", body: "wgmma.fence.sync.aligned;")),
        ("ptx cluster", "work-groups that share local memory and a barrier in hardware",
         program(target: "sm_90", directives: ".explicitcluster .reqnctapercluster 2, 1, 1",
                 body: "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;")),
    ].map { name, purpose, text in
        DeviceProbe(name: name, purpose: purpose) { machine in
            // What is no PTX machine might take the text for a damaged program of its own.
            guard machine.description.vendor.contains("NVIDIA") else {
                return Finding(outcome: .notTried, message: "PTX is for devices of NVIDIA")
            }
            return try machine.check(try machine.kernel("probe", ofBinary: text), groups: 2, 64) { UInt32($0) }
        }
    }
}

extension ProbeMachine {
    /// Runs `kernel` in groups of 32 work-items and compares the first numbers it leaves.
    func check(_ kernel: OpenCLKernel, _ arguments: [Argument] = [], groups: Int, _ count: Int,
                           _ expected: (Int) -> UInt32) throws -> DeviceProbe.Finding {
        let y = try buffer(256)
        try set([.buffer(y)] + arguments, of: kernel)
        try launch(kernel, groups: groups, of: 32)
        let found = try read(y, as: UInt32.self, count)
        guard let place = found.indices.first(where: { found[$0] != expected($0) }) else { return DeviceProbe.Finding(outcome: .works) }
        return DeviceProbe.Finding(outcome: .wrong, message: "place \(place) holds \(found[place]) instead of \(expected(place))")
    }
}
