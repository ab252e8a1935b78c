// c [M, N] (= or +=) op(a) · op(b) + bias [N]. Rows of a, b, c are `lda`, `ldb`, `ldc` elements apart.
//
// Family `gpu`: matmul_tiled. A work-group makes a tile TILE_M x TILE_N; each of ITEMS items WORK_M x WORK_N of it, in
// blocks of four rows and four columns, which it keeps in registers. Slabs of TILE_K go through local memory, and while one
// is multiplied the next is on its way from global memory into registers. Edges are zeros in local memory, so that no
// operand is copied to be padded.
//
// The sum over k is cut by the shape alone: PARTS parts within the group (index 2 of an item), which are added in their
// order in local memory, and as many of those as there are groups in dimension 2, whose sums lie one after the other in c and
// are added by matmul_sum_slices. Each part is one chain of fma in the order of k, whatever the tiles are.
//
// Family `cpu`: matmul_panels. Work-groups of one item; b is packed in panels of 32 columns, a transposed a
// in panels of 8 rows; see tile_8x32.
//
// Transpositions are arguments, so one program serves all products: a is [K, M] if `transpose_a`, b [N, K] if `transpose_b`.
#ifndef TILE_M
#define TILE_M 32       // a power of two from 16 on, as TILE_N
#endif
#ifndef TILE_N
#define TILE_N 32
#endif
#ifndef TILE_K
#define TILE_K 16       // 8, 16 or 32
#endif
#ifndef WORK_M
#define WORK_M 4        // 4 or 8 rows per item; TILE_M / WORK_M is a multiple of 4
#endif
#ifndef WORK_N
#define WORK_N 4        // 4 or 8 columns per item; TILE_N / WORK_N is a multiple of 8
#endif
#ifndef PARTS
#define PARTS 1
#endif
#ifndef BUFFERS
#define BUFFERS 2       // slabs in local memory: with two, one barrier per slab is enough
#endif
#ifndef VECTOR
#define VECTOR 4        // floats per read of global memory where addresses allow it: 4 or 1
#endif
#ifndef BLOCK_K
#define BLOCK_K 512     // k per pass over a panel: 64 KB of it stay in the second-level cache
#endif

#if FAMILY != CPU_FAMILY
#define GROUP_M (TILE_M / WORK_M)
#define GROUP_N (TILE_N / WORK_N)
#define ITEMS (GROUP_M * GROUP_N)   // of one part
#define QUADS_A (TILE_M * TILE_K / 4)
#define QUADS_B (TILE_N * TILE_K / 4)
#define READS_A ((QUADS_A + ITEMS - 1) / ITEMS)
#define READS_B ((QUADS_B + ITEMS - 1) / ITEMS)

// A slab in local memory is [TILE_K][edge] in units of four neighbours along the edge. Units change places with k, so that
// items that write four k of one row of the operand, and items that read one k, meet different banks.
#define UNIT(k, column, edge) ((k) * ((edge) / 4) + (((column) / 4) ^ ((k) / 4 * 2 & ((edge) / 4 - 1))))

INLINE void write_slab(__local stored4 *slab, const float4 *quads, const int count, const Reader r, const int along_edge, const int edge) {
    const int lines = along_edge ? TILE_K : edge;
#pragma unroll
    for (int i = 0; i < count; i++) {
        const int line = r.line + i * r.step;
        if (edge * TILE_K / 4 % ITEMS != 0 && line >= lines) break;
        if (along_edge) {
            STORE_QUAD(quads[i], slab + UNIT(line, r.place, edge));
        } else {
            // The four k of a quad go to the same place of four rows.
            __local stored *place = (__local stored *)(slab + UNIT(r.place, line, edge)) + line % 4;
            STORE_STORED(quads[i].x, place);
            STORE_STORED(quads[i].y, place + edge);
            STORE_STORED(quads[i].z, place + 2 * edge);
            STORE_STORED(quads[i].w, place + 3 * edge);
        }
    }
}

#define SLAB_A (TILE_K * TILE_M / 4)
#define SLAB_B (TILE_K * TILE_N / 4)
// Units of local memory: slabs, and afterwards a part's sums, which are floats in any precision.
#define SLABS (PARTS * BUFFERS * (SLAB_A + SLAB_B) / UNITS_PER_FLOAT4)
#define SUMS (PARTS > 1 ? TILE_M * TILE_N / 4 : 0)

// Group (tile, z): tiles are numbered along the rows of c, all in dimension 0, the only one that is long on every device. Part p
// of group z sums k in [(z * PARTS + p) * depth, ... + depth).
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, PARTS)))
void matmul_tiled(INPUT(element_a, a), const int lda, INPUT(element_b, b), const int ldb, INPUT(float, bias),
                  OUTPUT(float, c), const int ldc, const int M, const int N, const int K, const int accumulate,
                  const int depth, const int transpose_a, const int transpose_b) {
    __local float4 memory[SLABS > SUMS ? SLABS : SUMS];
    BIND(a);
    BIND(b);
    BIND(bias);
    BIND(c);
    // 32 neighbours are 8 columns and 4 rows of items: they share most of what they read of a slab.
    const int item = get_local_id(0), part = get_local_id(2);
    const int x = item / 32 % (GROUP_N / 8) * 8 + item % 8, y = item / 32 / (GROUP_N / 8) * 4 + item / 8 % 4;
    const int tile = get_group_id(0), columns = (N + TILE_N - 1) / TILE_N;
    const int m0 = tile / columns * TILE_M, n0 = tile % columns * TILE_N;
    const int k0 = min(K, ((int)get_group_id(2) * PARTS + part) * depth), k1 = min(K, k0 + depth);
    // From the tile's first row or column at the first k on.
    a += transpose_a ? (size_t)k0 * lda + m0 : (size_t)m0 * lda + k0;
    b += transpose_b ? (size_t)n0 * ldb + k0 : (size_t)k0 * ldb + n0;
    const Reader from_a = reader(lda, transpose_a, TILE_M, TILE_K, ITEMS, VECTOR == 4 && is_wide(a, lda, sizeof(element_a)), item);
    const Reader from_b = reader(ldb, !transpose_b, TILE_N, TILE_K, ITEMS, VECTOR == 4 && is_wide(b, ldb, sizeof(element_b)), item);
    // The first quad of the next slab.
    const __global element_a *quads_a = a + (size_t)from_a.line * lda + from_a.place;
    const __global element_b *quads_b = b + (size_t)from_b.line * ldb + from_b.place;
    const size_t step_a = transpose_a ? (size_t)TILE_K * lda : TILE_K, step_b = transpose_b ? TILE_K : (size_t)TILE_K * ldb;
    const int wide_c = VECTOR == 4 && is_wide(c, ldc, 4);
    c += get_group_id(2) * (size_t)M * ldc;

    __local stored4 *slabs = (__local stored4 *)memory + part * BUFFERS * (SLAB_A + SLAB_B);
    float4 next_a[READS_A], next_b[READS_B];
    float4 sum[WORK_M][WORK_N / 4];
#pragma unroll
    for (int i = 0; i < WORK_M; i++)
#pragma unroll
        for (int j = 0; j < WORK_N / 4; j++) sum[i][j] = 0.0f;

    int ks = k1 - k0;
    READ_A(next_a, READS_A, quads_a, from_a, transpose_a ? ks : M - m0, transpose_a ? M - m0 : ks);
    READ_B(next_b, READS_B, quads_b, from_b, transpose_b ? N - n0 : ks, transpose_b ? ks : N - n0);
    write_slab(slabs, next_a, READS_A, from_a, transpose_a, TILE_M);
    write_slab(slabs + SLAB_A, next_b, READS_B, from_b, !transpose_b, TILE_N);
    barrier(CLK_LOCAL_MEM_FENCE);
    int buffer = 0;
    for (int kb = 0; kb < depth; kb += TILE_K) {
        const int more = kb + TILE_K < depth;
        if (more) {
            quads_a += step_a;
            quads_b += step_b;
            ks -= TILE_K;
            READ_A(next_a, READS_A, quads_a, from_a, transpose_a ? ks : M - m0, transpose_a ? M - m0 : ks);
            READ_B(next_b, READS_B, quads_b, from_b, transpose_b ? N - n0 : ks, transpose_b ? ks : N - n0);
        }
        const __local stored4 *slab_a = slabs + buffer * (SLAB_A + SLAB_B), *slab_b = slab_a + SLAB_A;
        for (int k = 0; k < TILE_K; k += 4) {
#pragma unroll
            for (int u = 0; u < 4; u++) {
                float4 left[WORK_M / 4], right[WORK_N / 4];
#pragma unroll
                for (int i = 0; i < WORK_M / 4; i++) left[i] = LOAD_QUAD(slab_a + u * (TILE_M / 4) + UNIT(k, (y + i * GROUP_M) * 4, TILE_M));
#pragma unroll
                for (int j = 0; j < WORK_N / 4; j++) right[j] = LOAD_QUAD(slab_b + u * (TILE_N / 4) + UNIT(k, (x + j * GROUP_N) * 4, TILE_N));
#pragma unroll
                for (int i = 0; i < WORK_M / 4; i++)
#pragma unroll
                    for (int j = 0; j < WORK_N / 4; j++) {
                        sum[4 * i][j] = fma((float4)(left[i].x), right[j], sum[4 * i][j]);
                        sum[4 * i + 1][j] = fma((float4)(left[i].y), right[j], sum[4 * i + 1][j]);
                        sum[4 * i + 2][j] = fma((float4)(left[i].z), right[j], sum[4 * i + 2][j]);
                        sum[4 * i + 3][j] = fma((float4)(left[i].w), right[j], sum[4 * i + 3][j]);
                    }
            }
        }
        if (BUFFERS == 1) barrier(CLK_LOCAL_MEM_FENCE);
        else buffer = 1 - buffer;
        if (more) {
            write_slab(slabs + buffer * (SLAB_A + SLAB_B), next_a, READS_A, from_a, transpose_a, TILE_M);
            write_slab(slabs + buffer * (SLAB_A + SLAB_B) + SLAB_A, next_b, READS_B, from_b, !transpose_b, TILE_N);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#if PARTS > 1
    for (int p = 1; p < PARTS; p++) {
        if (part == p) {
#pragma unroll
            for (int i = 0; i < WORK_M; i++)
#pragma unroll
                for (int j = 0; j < WORK_N / 4; j++) memory[(i * (WORK_N / 4) + j) * ITEMS + item] = sum[i][j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (part == 0) {
#pragma unroll
            for (int i = 0; i < WORK_M; i++)
#pragma unroll
                for (int j = 0; j < WORK_N / 4; j++) sum[i][j] += memory[(i * (WORK_N / 4) + j) * ITEMS + item];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (part > 0) return;
#endif
#pragma unroll
    for (int i = 0; i < WORK_M; i++) {
        const int m = m0 + (y + i / 4 * GROUP_M) * 4 + i % 4;
        if (m >= M) continue;
#pragma unroll
        for (int j = 0; j < WORK_N / 4; j++) {
            const int n = n0 + (x + j * GROUP_N) * 4;
            __global float *place = c + (size_t)m * ldc + n;
            float4 value = sum[i][j];
            if (bias) value += read_quad(bias + n, N - n, 0);
            if (accumulate) value = read_quad(place, N - n, wide_c) + value;
            if (wide_c && n + 4 <= N) {
                *(__global float4 *)place = value;
            } else {
                if (n < N) place[0] = value.x;
                if (n + 1 < N) place[1] = value.y;
                if (n + 2 < N) place[2] = value.z;
                if (n + 3 < N) place[3] = value.w;
            }
        }
    }
}

// c [M, N] (= or +=) the sum of `slices` matrices [M, N] + bias, added in order.
__kernel void matmul_sum_slices(INPUT(float, partial), const int slices, INPUT(float, bias), OUTPUT(float, c),
                                const int ldc, const int M, const int N, const int accumulate) {
    BIND(partial);
    BIND(bias);
    BIND(c);
    const int n = get_global_id(0), m = get_global_id(1);
    if (n >= N || m >= M) return;
    float sum = 0.0f;
    for (int s = 0; s < slices; s++) sum += partial[((size_t)s * M + m) * N + n];
    sum += bias ? bias[n] : 0.0f;
    const size_t at = (size_t)m * ldc + n;
    c[at] = accumulate ? c[at] + sum : sum;
}
#endif

#if FAMILY != GPU_FAMILY
// panels [ceil(N / 32)][K][32] from b [K, N], or [N, K] if `transpose`, rounded to PRECISION; zero past column N.
// Item (p, q): 64 rows k of panel p.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_pack_panels(INPUT(float, b), const int ldb, const int transpose, const int K, const int N,
                        OUTPUT(float, panels)) {
    BIND(b);
    BIND(panels);
    const int n0 = (int)get_global_id(0) * 32, k0 = (int)get_global_id(1) * 64;
    const int columns = min(32, N - n0), k1 = min(K, k0 + 64);
    __global float *panel = panels + (size_t)n0 * K;
    const size_t step_k = transpose ? 1 : ldb, step_n = transpose ? ldb : 1;
    b += n0 * step_n;
    for (int k = k0; k < k1; k++) {
        if (columns == 32 && !transpose) {
            for (int q = 0; q < 4; q++) vstore8(rounded_8(vload8(q, b + k * step_k)), q, panel + (size_t)k * 32);
        } else {
            for (int j = 0; j < 32; j++)
                panel[(size_t)k * 32 + j] = j < columns ? rounded_1(b[k * step_k + j * step_n]) : 0.0f;
        }
    }
}

// panels [ceil(M / 8)][K][8] from a [K, M]; zero past row M.
// Item (p, q): 64 rows k of eight panels, so that a's rows are read in long pieces.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_pack_rows(INPUT(float, a), const int lda, const int K, const int M, OUTPUT(float, panels)) {
    BIND(a);
    BIND(panels);
    const int m0 = (int)get_global_id(0) * 64, k0 = (int)get_global_id(1) * 64;
    const int m1 = min(M, m0 + 64), k1 = min(K, k0 + 64);
    for (int k = k0; k < k1; k++) {
        const __global float *row = a + (size_t)k * lda;
        int m = m0;
        for (; m + 8 <= m1; m += 8) vstore8(vload8(0, row + m), 0, panels + (size_t)m * K + (size_t)k * 8);
        if (m < m1)
            for (int i = 0; i < 8; i++)
                panels[(size_t)m * K + (size_t)k * 8 + i] = m + i < m1 ? row[m + i] : 0.0f;
    }
}

// Item (p, q): columns p * width ..< (p + 1) * width (a multiple of 32), rows q * height ..< (q + 1) * height.
// For BLOCK_K of k at a time, the rows of a stay in cache while several panels pass over them.
// If `packed`, a is what matmul_pack_rows made and lda is not used.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_panels(INPUT(float, a), const int lda, const int packed, INPUT(float, panels), INPUT(float, bias),
                   OUTPUT(float, c), const int ldc, const int M, const int N, const int K, const int accumulate,
                   const int width, const int height) {
    BIND(a);
    BIND(panels);
    BIND(bias);
    BIND(c);
    const int n0 = (int)get_global_id(0) * width, n1 = min(N, n0 + width);
    const int m0 = (int)get_global_id(1) * height, m1 = min(M, m0 + height);
    for (int k0 = 0; k0 == 0 || k0 < K; k0 += BLOCK_K) {
        const int depth = min(BLOCK_K, K - k0), last = k0 + depth >= K;
        for (int n = n0; n < n1; n += 32) {
            const __global float *panel = panels + (size_t)n * K + (size_t)k0 * 32;
            for (int m = m0; m < m1; m += 8) {
                const __global float *rows = a + (packed ? (size_t)m * K + (size_t)k0 * 8 : (size_t)m * lda + k0);
                tile_8x32(rows, packed ? 1 : lda, packed ? 8 : 1, panel, 32, depth, bias && last ? bias + n : 0,
                          c + (size_t)m * ldc + n, ldc, min(8, M - m), min(32, N - n), accumulate || k0 > 0);
            }
        }
    }
}
#endif
