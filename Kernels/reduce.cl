// Sums in a fixed tree: each pass adds `chunk` rows in order, passes repeat until one row is left.

// partial[q, n] (= or +=) the sum of rows q * chunk ..< (q + 1) * chunk of x [M, N] in column n;
// rows of x are `stride` elements apart. Item (n, q).
__kernel void reduce_rows(INPUT(float, x), const ulong M, const int N, const int stride, const int chunk,
                          OUTPUT(float, partial), const int accumulate) {
    BIND(x);
    BIND(partial);
    const int n = get_global_id(0);
    const size_t q = get_global_id(1), first = q * chunk;
    if (n >= N || first >= M) return;
    const size_t last = min((ulong)(first + chunk), M);
    float sum = 0.0f;
    for (size_t m = first; m < last; m++) sum += x[m * stride + n];
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
