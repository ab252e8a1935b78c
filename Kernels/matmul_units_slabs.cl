// Operands of matmul_units on their way from global memory, where they are float32, through slabs in local memory into the registers of
// warps. Compiled before matmul_units.cl.
//
// STAGES 0: operands go through registers, are rounded on their way into one of two slabs in local memory, and ldmatrix reads them
// from there. STAGES 2 to 4: slabs are copied asynchronously (cp.async), STAGES - 1 of them ahead, as the float32 they are, and
// rounded on the way out. That hides more of the latency of memory and needs no registers for what is on its way, but 16-bit
// operands are then read from local memory in twice the bytes, by every warp that needs them. The bits are the same.
#ifndef TILE_M
#define TILE_M 64       // TILE_M / WARPS_M and TILE_N / WARPS_N are multiples of 16
#endif
#ifndef TILE_N
#define TILE_N 64
#endif
#ifndef WARPS_M
#define WARPS_M 2
#endif
#ifndef WARPS_N
#define WARPS_N 2
#endif
#ifndef STAGES
#define STAGES 0
#endif
#ifndef EMULATED
#define EMULATED 0
#endif

#if FAMILY != CPU_FAMILY
#define WARP_M (TILE_M / WARPS_M)
#define WARP_N (TILE_N / WARPS_N)
#define ITEMS (32 * WARPS_M * WARPS_N)
// k of a slab in local memory, and of one instruction.
#if PRECISION == FLOAT32 || STAGES > 0
#define TILE_K 16
typedef float operand;
#else
#define TILE_K 32
typedef ushort operand;
#endif
#define STEP_K (PRECISION == FLOAT32 ? 8 : 16)
#define READS_A ((TILE_M * TILE_K / 4 + ITEMS - 1) / ITEMS)
#define READS_B ((TILE_N * TILE_K / 4 + ITEMS - 1) / ITEMS)

// A line of a slab is eight values longer than it needs to be: the eight lines that a warp reads at a time then lie in
// different banks. Lines are k where the edge of the tile lies along the operand's rows, else (16-bit operands only) rows or
// columns of c.
#define LINE(width) ((width) + 8)
#if STAGES > 0
#define SLAB(edge) (TILE_K * (edge))
#define SLABS STAGES
#elif PRECISION == FLOAT32
#define SLAB(edge) (TILE_K * LINE(edge))
#else
#define SLAB(edge) (TILE_K * LINE(edge) > (edge) * LINE(TILE_K) ? TILE_K * LINE(edge) : (edge) * LINE(TILE_K))
#endif
#ifndef SLABS
#define SLABS 2
#endif

// NVIDIA's compiler knows the word itself; a compiler that keeps to the standard needs the reserved one.
#ifdef __NV_CL_C_VERSION
#define ASM asm volatile
#else
#define ASM __asm__ volatile
#endif

// Loops over registers are unrolled whole; emulated, they would make programs that take long to build.
#define UNROLLED (EMULATED ? 1 : 64)

// Emulated, parts without barriers stay functions, which build faster.
#if EMULATED
#define PART static __attribute__((noinline))
#else
#define PART INLINE
#endif

#if PRECISION == FLOAT32
INLINE float to_operand(const float x) {
#if EMULATED
    // Nearest, ties away from zero: 10 bits of the fraction stay.
    return as_float((as_uint(x) + 0x1000U) & 0xFFFFE000U);
#else
    uint bits;
    ASM("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return as_float(bits);
#endif
}
#define rounded_operand(bits) as_uint(to_operand(as_float(bits)))
#else
#define rounded_operand(bits) (bits)
// Two neighbours, the first in the lower half.
INLINE uint to_operands(const float first, const float second) {
#if EMULATED && PRECISION == BFLOAT16
    return upper_1(first) >> 16 | (upper_1(second) & 0xFFFF0000U);
#elif EMULATED
    ushort2 bits;
    vstore_half2_rte((float2)(first, second), 0, (half *)&bits);
    return bits.x | (uint)bits.y << 16;
#else
    uint bits;
#if PRECISION == BFLOAT16
    ASM("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
#else
    ASM("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
#endif
    return bits;
#endif
}
#endif

#if STAGES == 0
PART void write_operands(__local operand *slab, const float4 *quads, const int count, const Reader r, const int along_edge, const int edge) {
#pragma unroll UNROLLED
    for (int i = 0; i < count; i++) {
        const int line = r.line + i * r.step;
        const float4 q = quads[i];
        if (edge * TILE_K / 4 % ITEMS != 0 && line >= (along_edge ? TILE_K : edge)) break;
#if PRECISION == FLOAT32
        // Single values are read later, so that either orientation can become lines of k.
        if (along_edge) {
            *(__local float4 *)(slab + line * LINE(edge) + r.place) = (float4)(to_operand(q.x), to_operand(q.y), to_operand(q.z), to_operand(q.w));
        } else {
            __local operand *place = slab + r.place * LINE(edge) + line;
            place[0] = to_operand(q.x);
            place[LINE(edge)] = to_operand(q.y);
            place[2 * LINE(edge)] = to_operand(q.z);
            place[3 * LINE(edge)] = to_operand(q.w);
        }
#else
        const int width = along_edge ? edge : TILE_K;
        *(__local uint2 *)(slab + line * LINE(width) + r.place) = (uint2)(to_operands(q.x, q.y), to_operands(q.z, q.w));
#endif
    }
}
#else
// Where value k of line e lies in a slab: lines of k if the edge of the tile lies along the operand's rows, else lines of the
// edge. Fours of neighbours change places with their line, so that a warp that reads a fragment meets every bank once. (With 16-bit
// operands an item reads k and k + 1; even k come first then. Lines of 16 columns meet every other bank twice.)
INLINE int place_in(const int along_edge, const int edge, const int e, const int k) {
    if (along_edge) {
        const int line = STEP_K == 8 ? k : k / 2 + k % 2 * (TILE_K / 2);
        return line * edge + ((e / 4) ^ (edge >= 32 ? (line & 3) * 2 : line & 2)) * 4 + e % 4;
    }
    return e * TILE_K + ((k / 4) ^ ((e / 2 & 1) * 2 + (e / 4 & 1))) * 4 + k % 4;
}

// `count` floats of four, the first at p; zeros for the others. Done only behind copies_done.
INLINE void copy_quad(__local float *place, const __global float *p, const int count, const int wide) {
#if EMULATED
    *(__local float4 *)place = read_quad(p, count, wide);
#else
    const uint to = (uint)(size_t)place;
    if (wide) {
        const uint bytes = 4 * min(max(count, 0), 4);
        ASM("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(p), "r"(bytes) : "memory");
    } else {
#pragma unroll
        for (uint i = 0; i < 4; i++) {
            const uint bytes = (int)i < count ? 4 : 0;
            ASM("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(to + 4 * i), "l"(bytes ? p + i : p), "r"(bytes) : "memory");
        }
    }
#endif
}

// Begins to copy a slab of which `lines` and `values` of each exist.
PART void copy_slab(__local float *slab, const int count, const __global float *x, const Reader r, const int along_edge, const int edge, const int lines, const int values) {
#pragma unroll UNROLLED
    for (int i = 0; i < count; i++) {
        const int line = r.line + i * r.step;
        if (edge * TILE_K / 4 % ITEMS != 0 && line >= (along_edge ? TILE_K : edge)) break;
        const int exist = line < lines ? values - r.place : 0;
        // Addresses of what does not exist are not formed.
        copy_quad(slab + (along_edge ? place_in(1, edge, r.place, line) : place_in(0, edge, line, r.place)),
                  exist > 0 ? x + (size_t)(i * r.step) * r.stride : x, exist, r.wide);
    }
}

// Ends the list of copies of one slab.
INLINE void copies_begun(void) {
#if !EMULATED
    ASM("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most the last STAGES - 2 lists of this item are still on their way.
INLINE void copies_done(void) {
#if !EMULATED
    ASM("cp.async.wait_group %0;" :: "n"(STAGES - 2) : "memory");
#endif
}

// What one register of a fragment holds: k of line e, with 16-bit operands k + 1 too.
PART uint fragment_at(const __local float *slab, const int along_edge, const int edge, const int e, const int k) {
#if PRECISION == FLOAT32
    return as_uint(to_operand(slab[place_in(along_edge, edge, e, k)]));
#else
    if (along_edge) return to_operands(slab[place_in(1, edge, e, k)], slab[place_in(1, edge, e, k + 1)]);
    const float2 pair = *(const __local float2 *)(slab + place_in(0, edge, e, k));
    return to_operands(pair.x, pair.y);
#endif
}
#endif
#endif
