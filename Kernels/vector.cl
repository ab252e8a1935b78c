// Element-wise operations and moves: one work-item per element, unless a kernel says otherwise.
#ifndef CHUNK
#define CHUNK 1024      // elements per work-item of the cpu family
#endif

__kernel void vector_fill(OUTPUT(float, x), const ulong count, const float value) {
    BIND(x);
    const size_t i = get_global_id(0);
    if (i < count) x[i] = value;
}

// target[m, target_column + j] (= or +=) scale * source[m, source_column + j]. Item (columns, m).
__kernel void vector_copy_columns(INPUT(float, source), const int source_width, const int source_column,
                                  OUTPUT(float, target), const int target_width, const int target_column,
                                  const int rows, const int width, const float scale, const int accumulate) {
    BIND(source);
    BIND(target);
    const int m = get_global_id(1);
    if (m >= rows) return;
    source += (size_t)m * source_width + source_column;
    target += (size_t)m * target_width + target_column;
    EACH_COLUMN(j, width) target[j] = accumulate ? target[j] + scale * source[j] : scale * source[j];
}

__kernel void vector_multiply(INPUT(float, a), INPUT(float, b), OUTPUT(float, c), const ulong count,
                              const int accumulate) {
    BIND(a);
    BIND(b);
    BIND(c);
    const size_t i = get_global_id(0);
    if (i < count) c[i] = accumulate ? fma(a[i], b[i], c[i]) : a[i] * b[i];
}

#define DEFINE_ACTIVATIONS(S)                                                                              \
    static void activate_at_##S(int kind, const __global float *x, __global float *y) {                    \
        STORE_##S(activate_##S(kind, LOAD_##S(x)), y);                                                     \
    }                                                                                                      \
    static void activate_backward_at_##S(int kind, const __global float *y, const __global float *dy,      \
                                         __global float *dx) {                                             \
        STORE_##S(activate_backward_##S(kind, LOAD_##S(y), LOAD_##S(dy)), dx);                             \
    }                                                                                                      \
    /* Kept if the bits of the element reach the threshold. */                                             \
    static void dropout_at_##S(uint key, ulong element, uint threshold, float scale,                       \
                               const __global float *x, __global float *y) {                               \
        STORE_##S(random_bits_##S(key, element) >= threshold ? LOAD_##S(x) * scale : 0.0f, y);             \
    }
DEFINE_ACTIVATIONS(1)
DEFINE_ACTIVATIONS(16)

#if FAMILY != CPU_FAMILY
// y = x, or 0 if that is null, times `mask` if there is one, as products read it.
__kernel void vector_store_operands(INPUT(float, x), INPUT(float, mask), OUTPUT(stored, y), const ulong count) {
    BIND(x);
    BIND(mask);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i >= count) return;
    const float v = x ? x[i] : 0.0f;
    y[i] = operand_bits(mask ? mask[i] * v : v);
}

__kernel void vector_activate(const int kind, INPUT(float, x), OUTPUT(float, y), const ulong count) {
    BIND(x);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i < count) activate_at_1(kind, x + i, y + i);
}

__kernel void vector_activate_backward(const int kind, INPUT(float, y), INPUT(float, dy), OUTPUT(float, dx),
                                       const ulong count) {
    BIND(y);
    BIND(dy);
    BIND(dx);
    const size_t i = get_global_id(0);
    if (i < count) activate_backward_at_1(kind, y + i, dy + i, dx + i);
}

// Element (m, j) of x [height, width] is mask element rows[m] * width + j. Item (j, m).
__kernel void vector_dropout(INPUT(float, x), OUTPUT(float, y), INPUT(int, rows), const int height, const int width,
                             const uint key, const uint threshold, const float scale) {
    BIND(x);
    BIND(y);
    BIND(rows);
    const int j = get_global_id(0), m = get_global_id(1);
    if (j >= width || m >= height) return;
    const size_t at = (size_t)m * width + j;
    dropout_at_1(key, (ulong)(rows ? rows[m] : m) * width + j, threshold, scale, x + at, y + at);
}
#endif

#if FAMILY != GPU_FAMILY
// One work-item per CHUNK elements.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void vector_activate_chunks(const int kind, INPUT(float, x), OUTPUT(float, y), const ulong count) {
    BIND(x);
    BIND(y);
    const size_t first = get_global_id(0) * (size_t)CHUNK;
    const int size = (int)min((ulong)CHUNK, count - first);
    EACH_UNIT(size, activate_at, (kind, x + first + j, y + first + j))
}

// One work-item per CHUNK elements.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void vector_activate_backward_chunks(const int kind, INPUT(float, y), INPUT(float, dy), OUTPUT(float, dx),
                                     const ulong count) {
    BIND(y);
    BIND(dy);
    BIND(dx);
    const size_t first = get_global_id(0) * (size_t)CHUNK;
    const int size = (int)min((ulong)CHUNK, count - first);
    EACH_UNIT(size, activate_backward_at, (kind, y + first + j, dy + first + j, dx + first + j))
}

// One work-item per row.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void vector_dropout_rows(INPUT(float, x), OUTPUT(float, y), INPUT(int, rows), const int height, const int width,
                         const uint key, const uint threshold, const float scale) {
    BIND(x);
    BIND(y);
    BIND(rows);
    const int m = get_global_id(0);
    const size_t at = (size_t)m * width;
    const ulong element = (ulong)(rows ? rows[m] : m) * width;
    EACH_UNIT(width, dropout_at, (key, element + j, threshold, scale, x + at + j, y + at + j))
}
#endif

// One bias per gate column: combined[j] = b_ih[j] + (j < shared ? b_hh[j] : 0) for j < width, then the part
// of b_hh past `shared` (a GRU keeps the candidate's apart). Missing biases count as zero.
__kernel void vector_combine_biases(INPUT(float, b_ih), INPUT(float, b_hh), OUTPUT(float, combined),
                                    const int width, const int shared) {
    BIND(b_ih);
    BIND(b_hh);
    BIND(combined);
    const int j = get_global_id(0);
    if (j >= width + width - shared) return;
    if (j < width)
        combined[j] = (b_ih ? b_ih[j] : 0.0f) + (b_hh && j < shared ? b_hh[j] : 0.0f);
    else
        combined[j] = b_hh ? b_hh[j - (width - shared)] : 0.0f;
}
