// narrow^T wide over many rows, the shape of every weight gradient, for the `cpu` family.
//
// K is cut into slices of the same length everywhere, one item each; inside, blocks of LONG_K rows are brought into the cache in the
// order the tiles read them: the narrower operand transposed, the wider one panel by panel.
#if FAMILY != GPU_FAMILY
#ifndef LONG_K
#define LONG_K 256
#endif
#define LONG_ROWS 128           // columns of the narrow operand that one item keeps transposed

// Item (p, q, s): columns p * width ..< (p + 1) * width (a multiple of 32) of wide [K, N], columns q * LONG_ROWS ..< of narrow [K, M], rows
// s * slice ..< (s + 1) * slice of both. sums [slices, M, N]; `area` holds LONG_K * (LONG_ROWS + 32) floats per item, or fewer for
// fewer than LONG_ROWS columns.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_long(INPUT(float, narrow), const int ldn, INPUT(float, wide), const int ldw, OUTPUT(float, area), OUTPUT(float, sums),
                 const int M, const int N, const int K, const int slice, const int width) {
    BIND(narrow);
    BIND(wide);
    BIND(area);
    BIND(sums);
    const int p = get_global_id(0), q = get_global_id(1), s = get_global_id(2);
    const int n0 = p * width, n1 = min(N, n0 + width), m0 = q * LONG_ROWS, rows = min(LONG_ROWS, M - m0);
    const int first = s * slice, end = min(K, first + slice);
    const int kept = min(LONG_ROWS, (M + 7) / 8 * 8);
    area += (((size_t)s * get_global_size(1) + q) * get_global_size(0) + p) * (LONG_K * (kept + 32));
    __global float *across = area, *panel = area + LONG_K * kept;
    sums += ((size_t)s * M + m0) * N;
    for (int k0 = first; k0 < end; k0 += LONG_K) {
        const int depth = min(LONG_K, end - k0);
        for (int k = 0; k < depth; k++) {
            const __global float *row = narrow + (size_t)(k0 + k) * ldn + m0;
            for (int m = 0; m < rows; m += 8) {
                __global float *to = across + m * LONG_K + k * 8;
                if (m + 8 <= rows) vstore8(rounded_8(vload8(0, row + m)), 0, to);
                else for (int i = 0; i < 8; i++) to[i] = m + i < rows ? rounded_1(row[m + i]) : 0.0f;
            }
        }
        for (int n = n0; n < n1; n += 32) {
            const int columns = min(32, N - n);
            for (int k = 0; k < depth; k++) {
                const __global float *row = wide + (size_t)(k0 + k) * ldw + n;
                if (columns == 32) for (int j = 0; j < 4; j++) vstore8(rounded_8(vload8(j, row)), j, panel + k * 32);
                else if (columns == 16) for (int j = 0; j < 2; j++) vstore8(rounded_8(vload8(j, row)), j, panel + k * 32);
                else for (int j = 0; j < 32; j++) panel[k * 32 + j] = j < columns ? rounded_1(row[j]) : 0.0f;
            }
            // The next panel comes while the tiles of this one are at work.
            const int is_last = n + 32 >= n1, next_k = is_last ? k0 + LONG_K : k0, next_n = is_last ? n0 : n + 32;
            const int coming = min(LONG_K, end - next_k);
            int fetched = 0;
            for (int m = 0; m < rows; m += 8) {
                for (const int until = coming * min(m + 8, rows) / rows; fetched < until; fetched++) {
                    const __global float *row = wide + (size_t)(next_k + fetched) * ldw + next_n;
                    FETCH(row);
                    if (next_n + 16 < N) FETCH(row + 16);
                }
                tile_8x32(across + m * LONG_K, 1, 8, panel, 32, depth, 0, sums + (size_t)m * N + n, N, min(8, rows - m), columns, k0 > first);
            }
        }
    }
}

// c (= or +=) the sum of `slices` matrices x [M, N], or its transpose, added in order. Item (p, q): 32 columns and 32 rows of x.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_add_long(INPUT(float, x), const int slices, OUTPUT(float, c), const int ldc, const int M, const int N, const int transpose,
                     const int accumulate) {
    BIND(x);
    BIND(c);
    const int j0 = (int)get_global_id(0) * 32, i0 = (int)get_global_id(1) * 32;
    const int columns = min(32, N - j0), i1 = min(M, i0 + 32);
    for (int i = i0; i < i1; i++) {
        float sums[32];
        for (int j = 0; j < 32; j++) sums[j] = 0.0f;
        for (int s = 0; s < slices; s++) {
            const __global float *row = x + ((size_t)s * M + i) * N + j0;
            if (columns == 32) for (int j = 0; j < 32; j++) sums[j] += row[j];
            else for (int j = 0; j < columns; j++) sums[j] += row[j];
        }
        for (int j = 0; j < columns; j++) {
            __global float *to = c + (transpose ? (size_t)(j0 + j) * ldc + i : (size_t)i * ldc + j0 + j);
            *to = accumulate ? *to + sums[j] : sums[j];
        }
    }
}
#endif
