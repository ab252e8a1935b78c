// c [M, N] (= or +=) op(a) · op(b) + bias [N]. Rows of a, b, c are `lda`, `ldb`, `ldc` elements apart.
//
// Family `gpu`: matmul_tiled. A work-group of (TILE_N / WORK_N) x (TILE_M / WORK_M) items makes a tile
// TILE_M x TILE_N; slabs of TILE_K go through local memory; item (x, y) owns rows y + i * group rows and
// columns x + j * group columns, so neighbouring items touch neighbouring addresses. Group z of the third
// dimension sums k in [z * slice, (z + 1) * slice) into its own copy of c; matmul_sum_slices adds the copies.
//
// Family `cpu`: matmul_panels. Work-groups of one item; b is packed in panels of 32 columns, a transposed a
// in panels of 8 rows; see tile_8x32. Transpositions are arguments here, so one program serves all products.
#ifndef TRANSPOSE_A
#define TRANSPOSE_A 0   // family gpu: a is [K, M]
#endif
#ifndef TRANSPOSE_B
#define TRANSPOSE_B 0   // family gpu: b is [N, K]
#endif
#ifndef TILE_M
#define TILE_M 64
#endif
#ifndef TILE_N
#define TILE_N 64
#endif
#ifndef TILE_K
#define TILE_K 16
#endif
#ifndef WORK_M
#define WORK_M 4        // rows per work-item
#endif
#ifndef WORK_N
#define WORK_N 4        // columns per work-item
#endif
#ifndef BLOCK_K
#define BLOCK_K 512     // k per pass over a panel: 64 KB of it stay in the second-level cache
#endif
#define GROUP_M (TILE_M / WORK_M)
#define GROUP_N (TILE_N / WORK_N)

#if FAMILY != CPU_FAMILY
__kernel __attribute__((reqd_work_group_size(GROUP_N, GROUP_M, 1)))
void matmul_tiled(INPUT(float, a), const int lda, INPUT(float, b), const int ldb, INPUT(float, bias),
                  OUTPUT(float, c), const int ldc, const int M, const int N, const int K, const int accumulate,
                  const int slice) {
    // One column more than the tile keeps transposing writes off one memory bank.
    __local float tile_a[TILE_K][TILE_M + 1];
    __local float tile_b[TILE_K][TILE_N + 1];
    BIND(a);
    BIND(b);
    BIND(bias);
    BIND(c);
    const int x = get_local_id(0), y = get_local_id(1), item = y * GROUP_N + x;
    const int m0 = get_group_id(1) * TILE_M, n0 = get_group_id(0) * TILE_N;
    const int k0 = get_group_id(2) * slice, k1 = min(K, k0 + slice);
    c += get_group_id(2) * (size_t)M * ldc;

    float sum[WORK_M][WORK_N];
    for (int i = 0; i < WORK_M; i++)
        for (int j = 0; j < WORK_N; j++) sum[i][j] = 0.0f;

    for (int kb = k0; kb < k1; kb += TILE_K) {
        for (int e = item; e < TILE_M * TILE_K; e += GROUP_M * GROUP_N) {
#if TRANSPOSE_A
            const int i = e % TILE_M, k = e / TILE_M;
            const int inside = m0 + i < M && kb + k < k1;
            tile_a[k][i] = inside ? a[(size_t)(kb + k) * lda + m0 + i] : 0.0f;
#else
            const int k = e % TILE_K, i = e / TILE_K;
            const int inside = m0 + i < M && kb + k < k1;
            tile_a[k][i] = inside ? a[(size_t)(m0 + i) * lda + kb + k] : 0.0f;
#endif
        }
        for (int e = item; e < TILE_N * TILE_K; e += GROUP_M * GROUP_N) {
#if TRANSPOSE_B
            const int k = e % TILE_K, j = e / TILE_K;
            const int inside = n0 + j < N && kb + k < k1;
            tile_b[k][j] = inside ? b[(size_t)(n0 + j) * ldb + kb + k] : 0.0f;
#else
            const int j = e % TILE_N, k = e / TILE_N;
            const int inside = n0 + j < N && kb + k < k1;
            tile_b[k][j] = inside ? b[(size_t)(kb + k) * ldb + n0 + j] : 0.0f;
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        // Unrolled, the small arrays become registers.
        for (int k = 0; k < TILE_K; k++) {
            float left[WORK_M], right[WORK_N];
#pragma unroll
            for (int i = 0; i < WORK_M; i++) left[i] = tile_a[k][y + i * GROUP_M];
#pragma unroll
            for (int j = 0; j < WORK_N; j++) right[j] = tile_b[k][x + j * GROUP_N];
#pragma unroll
            for (int i = 0; i < WORK_M; i++)
#pragma unroll
                for (int j = 0; j < WORK_N; j++) sum[i][j] = fma(left[i], right[j], sum[i][j]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int i = 0; i < WORK_M; i++) {
        const int m = m0 + y + i * GROUP_M;
        for (int j = 0; j < WORK_N; j++) {
            const int n = n0 + x + j * GROUP_N;
            if (m < M && n < N) {
                const size_t at = (size_t)m * ldc + n;
                float value = sum[i][j] + (bias ? bias[n] : 0.0f);
                c[at] = accumulate ? c[at] + value : value;
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
// panels [ceil(N / 32)][K][32] from b [K, N], or [N, K] if `transpose`; zero past column N.
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
            vstore16(vload16(0, b + k * step_k), 0, panel + (size_t)k * 32);
            vstore16(vload16(1, b + k * step_k), 1, panel + (size_t)k * 32);
        } else {
            for (int j = 0; j < 32; j++)
                panel[(size_t)k * 32 + j] = j < columns ? b[k * step_k + j * step_n] : 0.0f;
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
// If `packed`, a is what matmul_pack_rows made and lda is not used. If ldb > 0, `panels` is b as it is, its rows ldb apart,
// and N a multiple of 32.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_panels(INPUT(float, a), const int lda, const int packed, INPUT(float, panels), INPUT(float, bias),
                   OUTPUT(float, c), const int ldc, const int M, const int N, const int K, const int accumulate,
                   const int width, const int ldb, const int height) {
    BIND(a);
    BIND(panels);
    BIND(bias);
    BIND(c);
    const int n0 = (int)get_global_id(0) * width, n1 = min(N, n0 + width);
    const int m0 = (int)get_global_id(1) * height, m1 = min(M, m0 + height);
    for (int k0 = 0; k0 == 0 || k0 < K; k0 += BLOCK_K) {
        const int depth = min(BLOCK_K, K - k0), last = k0 + depth >= K;
        for (int n = n0; n < n1; n += 32) {
            const __global float *panel = panels + (ldb > 0 ? (size_t)k0 * ldb + n : (size_t)n * K + (size_t)k0 * 32);
            for (int m = m0; m < m1; m += 8) {
                const __global float *rows = a + (packed ? (size_t)m * K + (size_t)k0 * 8 : (size_t)m * lda + k0);
                tile_8x32(rows, packed ? 1 : lda, packed ? 8 : 1, panel, ldb > 0 ? ldb : 32, depth, bias && last ? bias + n : 0,
                          c + (size_t)m * ldc + n, ldc, min(8, M - m), min(32, N - n), accumulate || k0 > 0);
            }
        }
    }
}

// c [C, R] (= or +=) the transpose of x [R, C]. Item (p, q): 32 columns and 32 rows of x.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_add_transposed(INPUT(float, x), OUTPUT(float, c), const int ldc, const int R, const int C, const int accumulate) {
    BIND(x);
    BIND(c);
    const int j0 = (int)get_global_id(0) * 32, i0 = (int)get_global_id(1) * 32;
    const int j1 = min(C, j0 + 32), i1 = min(R, i0 + 32);
    for (int j = j0; j < j1; j++)
        for (int i = i0; i < i1; i++) {
            const float v = x[(size_t)i * C + j];
            c[(size_t)j * ldc + i] = accumulate ? c[(size_t)j * ldc + i] + v : v;
        }
}
#endif
