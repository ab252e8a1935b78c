// c [M, N] (= or +=) op(a) · op(b) + bias [N] on the matrix units of NVIDIA GPUs (compute capability 8.0 and up), by inline PTX:
// mma.sync m16n8k16 on bfloat16 or float16 operands, m16n8k8 on tf32 ones (PRECISION FLOAT32), with sums in float32. How operands
// reach the registers: matmul_units_slabs.cl. Used only where it builds and agrees with matmul_tiled (`MatrixUnits` on the host).
//
// A group makes a tile TILE_M x TILE_N with WARPS_M x WARPS_N warps of 32 items; groups are numbered and sum `depth` k each as
// in matmul_tiled. Fragments are named as in the PTX manual (matrix fragments of mma.m16n8k8 and m16n8k16).
//
// EMULATED replaces the PTX by loops through local memory, so that everything else can be tested on any device.
#if FAMILY != CPU_FAMILY
#if EMULATED
// What warps exchange: places of matrices, fragments.
typedef struct { uint at[ITEMS]; uint a[ITEMS][4]; uint b[ITEMS][2]; } Exchange;
#define EXCHANGE(x) , __local Exchange *x
#define EXCHANGED(x) , x
#else
#define EXCHANGE(x)
#define EXCHANGED(x)
#endif

#if PRECISION != FLOAT32 || STAGES > 0
// Four matrices of 8 x 8 values into four registers; item 8 j + i of a warp names row i of matrix j. Each item gets two
// neighbours of row item / 4 of every matrix, or of its transpose. A row of 16 bytes can as well be four floats, of which each
// item gets one; those are not transposed.
INLINE void load_matrices(uint *r, const __local operand *row, const int transposed, const int item
                          EXCHANGE(exchange), const __local operand *base) {
#if EMULATED
    exchange->at[item] = row - base;
    barrier(CLK_LOCAL_MEM_FENCE);
    const int warp = item / 32 * 32, lane = item % 32;
    for (int j = 0; j < 4; j++) {
        const __local uint *rows = exchange->at + warp + 8 * j;
        const int low = lane % 4 * 2, line = lane / 4;
#if STAGES > 0
        r[j] = as_uint(base[rows[line] + lane % 4]);
#else
        r[j] = transposed ? base[rows[low] + line] | (uint)base[rows[low + 1] + line] << 16
                          : base[rows[line] + low] | (uint)base[rows[line] + low + 1] << 16;
#endif
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#else
    const uint place = (uint)(size_t)row;
    if (transposed)
        ASM("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(place) : "memory");
    else
        ASM("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(place) : "memory");
#endif
}
#endif

#if EMULATED
INLINE float operand_of(const uint bits, const int half_of) {
#if PRECISION == FLOAT32
    return as_float(bits);
#elif PRECISION == BFLOAT16
    return as_float(half_of ? bits & 0xFFFF0000U : bits << 16);
#else
    const ushort value = (ushort)(bits >> 16 * half_of);
    return vload_half(0, (const half *)&value);
#endif
}
#endif

// c [16 x 8] += a [16 x STEP_K] · b [STEP_K x 8] of one warp.
INLINE void multiply_add(float *c, const uint *a, const uint *b, const int item EXCHANGE(exchange)) {
#if EMULATED
    for (int i = 0; i < 4; i++) exchange->a[item][i] = a[i];
    for (int i = 0; i < 2; i++) exchange->b[item][i] = b[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    const int warp = item / 32 * 32, lane = item % 32;
    for (int e = 0; e < 4; e++) {
        const int row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
        for (int k = 0; k < STEP_K; k++) {
            // Registers go through rows, then through the halves of k; an item holds one or two neighbouring k of a half.
            const int upper = k >= STEP_K / 2, inner = k % (STEP_K / 2), holder = STEP_K == 8 ? inner : inner / 2;
            c[e] = fma(operand_of(exchange->a[warp + row % 8 * 4 + holder][row / 8 + 2 * upper], inner % 2),
                       operand_of(exchange->b[warp + column * 4 + holder][upper], inner % 2), c[e]);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#elif PRECISION == FLOAT32
    ASM("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif PRECISION == BFLOAT16
    ASM("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    ASM("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void matmul_units(INPUT(element_a, a), const int lda, INPUT(element_b, b), const int ldb, INPUT(float, bias),
                  OUTPUT(float, c), const int ldc, const int M, const int N, const int K, const int accumulate,
                  const int depth, const int transpose_a, const int transpose_b) {
    // Aligned for 16 bytes per lane.
    __local float4 memory[SLABS * (SLAB(TILE_M) + SLAB(TILE_N)) * sizeof(operand) / 16];
#if EMULATED
    __local Exchange exchanged;
    __local Exchange *exchange = &exchanged;
#endif
    BIND(a);
    BIND(b);
    BIND(bias);
    BIND(c);
    const int item = get_local_id(0), lane = item % 32, warp = item / 32;
    const int tile = get_group_id(0), columns = (N + TILE_N - 1) / TILE_N;
    const int m0 = tile / columns * TILE_M, n0 = tile % columns * TILE_N;
    // This warp's part of the tile.
    const int wm = warp / WARPS_N * WARP_M, wn = warp % WARPS_N * WARP_N;
    const int k0 = min(K, (int)get_group_id(2) * depth), k1 = min(K, k0 + depth);
    // From the tile's first row or column at the first k on.
    a += transpose_a ? (size_t)k0 * lda + m0 : (size_t)m0 * lda + k0;
    b += transpose_b ? (size_t)n0 * ldb + k0 : (size_t)k0 * ldb + n0;
    const Reader from_a = reader(lda, transpose_a, TILE_M, TILE_K, ITEMS, is_wide(a, lda, sizeof(element_a)), item);
    const Reader from_b = reader(ldb, !transpose_b, TILE_N, TILE_K, ITEMS, is_wide(b, ldb, sizeof(element_b)), item);
    // The first quad of the next slab.
    const __global element_a *quads_a = a + (size_t)from_a.line * lda + from_a.place;
    const __global element_b *quads_b = b + (size_t)from_b.line * ldb + from_b.place;
    const size_t step_a = transpose_a ? (size_t)TILE_K * lda : TILE_K, step_b = transpose_b ? TILE_K : (size_t)TILE_K * ldb;
    c += get_group_id(2) * (size_t)M * ldc;

    __local operand *slabs = (__local operand *)memory;
    float sum[WARP_M / 16][WARP_N / 8][4];
#pragma unroll UNROLLED
    for (int i = 0; i < WARP_M / 16; i++)
#pragma unroll UNROLLED
        for (int j = 0; j < WARP_N / 8; j++)
#pragma unroll UNROLLED
            for (int e = 0; e < 4; e++) sum[i][j][e] = 0.0f;

    int ks = k1 - k0, buffer = 0;
#if STAGES > 0
    // k of the slab that is copied next.
    int kc = 0;
#define COPY_NEXT()                                                                                                                           \
    if (kc < depth) {                                                                                                                         \
        __local float *slab = slabs + kc / TILE_K % STAGES * (SLAB(TILE_M) + SLAB(TILE_N));                                                   \
        copy_slab(slab, READS_A, quads_a, from_a, transpose_a, TILE_M, transpose_a ? ks : M - m0, transpose_a ? M - m0 : ks);                 \
        copy_slab(slab + SLAB(TILE_M), READS_B, quads_b, from_b, !transpose_b, TILE_N, transpose_b ? N - n0 : ks, transpose_b ? ks : N - n0); \
        quads_a += step_a;                                                                                                                    \
        quads_b += step_b;                                                                                                                    \
        ks -= TILE_K;                                                                                                                         \
        kc += TILE_K;                                                                                                                         \
    }                                                                                                                                         \
    copies_begun();
    for (int s = 0; s < STAGES - 1; s++) { COPY_NEXT() }
    for (int kb = 0; kb < depth; kb += TILE_K) {
        copies_done();
        // Everybody has this slab now, and nobody still reads the one before, whose place is the next to be written.
        barrier(CLK_LOCAL_MEM_FENCE);
        COPY_NEXT()
#else
    float4 next_a[READS_A], next_b[READS_B];
    READ_A(next_a, READS_A, quads_a, from_a, transpose_a ? ks : M - m0, transpose_a ? M - m0 : ks);
    READ_B(next_b, READS_B, quads_b, from_b, transpose_b ? N - n0 : ks, transpose_b ? ks : N - n0);
    write_operands(slabs, next_a, READS_A, from_a, transpose_a, TILE_M);
    write_operands(slabs + SLAB(TILE_M), next_b, READS_B, from_b, !transpose_b, TILE_N);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int kb = 0; kb < depth; kb += TILE_K) {
        const int more = kb + TILE_K < depth;
        if (more) {
            quads_a += step_a;
            quads_b += step_b;
            ks -= TILE_K;
            READ_A(next_a, READS_A, quads_a, from_a, transpose_a ? ks : M - m0, transpose_a ? M - m0 : ks);
            READ_B(next_b, READS_B, quads_b, from_b, transpose_b ? N - n0 : ks, transpose_b ? ks : N - n0);
        }
#endif
        const __local operand *slab_a = slabs + buffer * (SLAB(TILE_M) + SLAB(TILE_N)), *slab_b = slab_a + SLAB(TILE_M);
#pragma unroll UNROLLED
        for (int k = 0; k < TILE_K; k += STEP_K) {
            uint left[WARP_M / 16][4];
#pragma unroll UNROLLED
            for (int i = 0; i < WARP_M / 16; i++) {
                const int m = wm + i * 16;
#if STAGES > 0
                // Registers go through rows, then through the halves of k.
                if (STEP_K == 8 && !transpose_a) {
                    load_matrices(left[i], slab_a + place_in(0, TILE_M, m + lane % 16, k + lane / 16 * 4), 0, item EXCHANGED(exchange), slabs);
#pragma unroll UNROLLED
                    for (int r = 0; r < 4; r++) left[i][r] = rounded_operand(left[i][r]);
                } else {
#pragma unroll UNROLLED
                    for (int r = 0; r < 4; r++)
                        left[i][r] = fragment_at(slab_a, transpose_a, TILE_M, m + lane / 4 + r % 2 * 8, k + lane % 4 * (STEP_K / 8) + r / 2 * (STEP_K / 2));
                }
#elif PRECISION == FLOAT32
                const __local float *place = slab_a + (k + lane % 4) * LINE(TILE_M) + m + lane / 4;
                left[i][0] = as_uint(place[0]);
                left[i][1] = as_uint(place[8]);
                left[i][2] = as_uint(place[4 * LINE(TILE_M)]);
                left[i][3] = as_uint(place[4 * LINE(TILE_M) + 8]);
#else
                // Matrices: the upper and the lower eight rows, then the same of the second eight k.
                const int row = m + lane / 8 % 2 * 8, column = k + lane / 16 * 8;
                const __local operand *place = transpose_a ? slab_a + (column + lane % 8) * LINE(TILE_M) + row
                                                           : slab_a + (row + lane % 8) * LINE(TILE_K) + column;
                load_matrices(left[i], place, transpose_a, item EXCHANGED(exchange), slabs);
#endif
            }
#pragma unroll UNROLLED
            for (int j = 0; j < WARP_N / 16; j++) {
                const int n = wn + j * 16;
                uint right[4];
#if STAGES > 0
                // Both halves of k of the first eight columns, then of the second.
                if (STEP_K == 8 && transpose_b) {
                    load_matrices(right, slab_b + place_in(0, TILE_N, n + lane % 8 + lane / 16 * 8, k + lane / 8 % 2 * 4), 0, item EXCHANGED(exchange), slabs);
#pragma unroll UNROLLED
                    for (int r = 0; r < 4; r++) right[r] = rounded_operand(right[r]);
                } else {
#pragma unroll UNROLLED
                    for (int r = 0; r < 4; r++)
                        right[r] = fragment_at(slab_b, !transpose_b, TILE_N, n + lane / 4 + r / 2 * 8, k + lane % 4 * (STEP_K / 8) + r % 2 * (STEP_K / 2));
                }
#elif PRECISION == FLOAT32
                const __local float *place = slab_b + (k + lane % 4) * LINE(TILE_N) + n + lane / 4;
                right[0] = as_uint(place[0]);
                right[1] = as_uint(place[4 * LINE(TILE_N)]);
                right[2] = as_uint(place[8]);
                right[3] = as_uint(place[4 * LINE(TILE_N) + 8]);
#else
                // Matrices: both eights of k of the first eight columns, then of the second.
                const int row = k + lane / 8 % 2 * 8, column = n + lane / 16 * 8;
                const __local operand *place = transpose_b ? slab_b + (column + lane % 8) * LINE(TILE_K) + row
                                                           : slab_b + (row + lane % 8) * LINE(TILE_N) + column;
                load_matrices(right, place, !transpose_b, item EXCHANGED(exchange), slabs);
#endif
#pragma unroll UNROLLED
                for (int i = 0; i < WARP_M / 16; i++) {
                    multiply_add(sum[i][2 * j], left[i], right, item EXCHANGED(exchange));
                    multiply_add(sum[i][2 * j + 1], left[i], right + 2, item EXCHANGED(exchange));
                }
            }
        }
#if STAGES > 0
        buffer = (buffer + 1) % STAGES;
#else
        buffer = 1 - buffer;
        if (more) {
            write_operands(slabs + buffer * (SLAB(TILE_M) + SLAB(TILE_N)), next_a, READS_A, from_a, transpose_a, TILE_M);
            write_operands(slabs + buffer * (SLAB(TILE_M) + SLAB(TILE_N)) + SLAB(TILE_M), next_b, READS_B, from_b, !transpose_b, TILE_N);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#endif
    }
#pragma unroll UNROLLED
    for (int i = 0; i < WARP_M / 16; i++)
#pragma unroll UNROLLED
        for (int j = 0; j < WARP_N / 8; j++)
#pragma unroll UNROLLED
            for (int e = 0; e < 4; e++) {
                const int m = m0 + wm + i * 16 + lane / 4 + e / 2 * 8, n = n0 + wn + j * 8 + lane % 4 * 2 + e % 2;
                if (m < M && n < N) {
                    const size_t at = (size_t)m * ldc + n;
                    const float value = sum[i][j][e] + (bias ? bias[n] : 0.0f);
                    c[at] = accumulate ? c[at] + value : value;
                }
            }
}
#endif
