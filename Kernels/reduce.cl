// Sums in a fixed tree: each pass adds `chunk` rows in order, passes repeat until one row is left.

#if FAMILY != CPU_FAMILY
// partial[q, n] (= or +=) the sum of rows q * chunk ..< (q + 1) * chunk of x [M, N] in column n;
// rows of x are `stride` elements apart. Item (n, q).
__kernel void reduce_rows(INPUT(summand, x), const ulong M, const int N, const int stride, const int chunk,
                          OUTPUT(float, partial), const int accumulate) {
    BIND(x);
    BIND(partial);
    const int n = get_global_id(0);
    const size_t q = get_global_id(1), first = q * chunk;
    if (n >= N || first >= M) return;
    const size_t last = min((ulong)(first + chunk), M);
    float sum = 0.0f;
    for (size_t m = first; m < last; m++) sum += SUMMAND(x[m * stride + n]);
    const size_t at = q * N + n;
    partial[at] = accumulate ? partial[at] + sum : sum;
}

// partial[j] = the sum of x[j], x[j + width], ... over count elements; squares them first if `square`.
__kernel void reduce_strided(INPUT(float, x), const ulong count, const int width, const int square,
                             OUTPUT(float, partial), const int accumulate) {
    BIND(x);
    BIND(partial);
    const int j = get_global_id(0);
    if (j >= width) return;
    float sum = 0.0f;
    for (ulong i = j; i < count; i += width) sum = square ? fma(x[i], x[i], sum) : sum + x[i];
    partial[j] = accumulate ? partial[j] + sum : sum;
}

DEFINE_TREE(tree_sum, sum_of)

// sum[0] (= or +=) the sum of `count` elements of x by one group, whose items have a chain each; squares them first if `square`.
__kernel __attribute__((reqd_work_group_size(TREE_ITEMS, 1, 1)))
void reduce_tree(INPUT(float, x), const ulong count, const int square, OUTPUT(float, sum), const int accumulate) {
    __local float shared[TREE_ITEMS];
    BIND(x);
    BIND(sum);
    float own = 0.0f;
    for (ulong i = get_local_id(0); i < count; i += TREE_ITEMS) own = square ? fma(x[i], x[i], own) : own + x[i];
    const float total = tree_sum(own, shared);
    if (get_local_id(0) == 0) sum[0] = accumulate ? sum[0] + total : total;
}
#endif

#if FAMILY != GPU_FAMILY
// As reduce_rows, for the columns 64 p ..< 64 (p + 1). Item (p, q), groups of one item.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void reduce_row_panels(INPUT(float, x), const ulong M, const int N, const int stride, const int chunk,
                       OUTPUT(float, partial), const int accumulate) {
    BIND(x);
    BIND(partial);
    const int n0 = (int)get_global_id(0) * 64, columns = min(64, N - n0);
    const size_t q = get_global_id(1), first = q * chunk;
    const size_t last = min((ulong)(first + chunk), M);
    __global float *target = partial + q * N + n0;
    x += n0;
    if (columns == 64) {
        float16 s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (size_t m = first; m < last; m++) {
            const __global float *row = x + m * stride;
            s0 += vload16(0, row);
            s1 += vload16(1, row);
            s2 += vload16(2, row);
            s3 += vload16(3, row);
        }
        if (accumulate) {
            s0 += vload16(0, target);
            s1 += vload16(1, target);
            s2 += vload16(2, target);
            s3 += vload16(3, target);
        }
        vstore16(s0, 0, target);
        vstore16(s1, 1, target);
        vstore16(s2, 2, target);
        vstore16(s3, 3, target);
    } else {
        for (int j = 0; j < columns; j++) {
            float sum = 0.0f;
            for (size_t m = first; m < last; m++) sum += x[m * stride + j];
            target[j] = accumulate ? target[j] + sum : sum;
        }
    }
}

// partial[q] (= or +=) the sum of x[q * chunk] ..< x[(q + 1) * chunk] in 64 interleaved chains; squares them first
// if `square`. Item q, groups of one item.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void reduce_chunks(INPUT(float, x), const ulong count, const int chunk, const int square, OUTPUT(float, partial),
                   const int accumulate) {
    BIND(x);
    BIND(partial);
    const size_t q = get_global_id(0), first = q * chunk;
    const int size = (int)min((ulong)chunk, count - first);
    x += first;
    float16 s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int i = 0;
    for (; i + 64 <= size; i += 64) {
        const float16 v0 = vload16(0, x + i), v1 = vload16(1, x + i), v2 = vload16(2, x + i), v3 = vload16(3, x + i);
        s0 = square ? fma(v0, v0, s0) : s0 + v0;
        s1 = square ? fma(v1, v1, s1) : s1 + v1;
        s2 = square ? fma(v2, v2, s2) : s2 + v2;
        s3 = square ? fma(v3, v3, s3) : s3 + v3;
    }
    float sum = add_lanes((s0 + s1) + (s2 + s3));
    for (; i < size; i++) sum = square ? fma(x[i], x[i], sum) : sum + x[i];
    partial[q] = accumulate ? partial[q] + sum : sum;
}
#endif
