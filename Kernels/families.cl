// Follows common.cl in every kernel file: what one family alone has. For `gpu` sums over a work-group and slabs of products in local
// memory, for `cpu` the register tile.

#if FAMILY != CPU_FAMILY
// Inlined before anything else is optimised, loops have constant bounds and small arrays become registers. Functions with barriers
// must be: in the process that compiles them, PoCL 3.1 lets work-groups that run side by side disturb each other otherwise.
#define INLINE static inline __attribute__((always_inline))

// A sum or a maximum over the TREE_ITEMS items of a group: in each round the lower half of the items takes what the upper half has. The
// order is the same with sub-groups, which spare local memory and barriers in the rounds that one of them holds all items of.
#define TREE_ITEMS 128
#ifndef SUB_GROUPS
#define SUB_GROUPS 0            // 1: cl_intel_subgroups, whose items follow each other; the host tries it first
#endif
#if SUB_GROUPS
#pragma OPENCL EXTENSION cl_intel_subgroups : enable
#define SHARED_ROUND(step) ((step) >= (int)get_max_sub_group_size())
#else
#define SHARED_ROUND(step) 1
#endif
static float greater(const float a, const float b) { return b > a ? b : a; }
static float sum_of(const float a, const float b) { return a + b; }

// The result for every item; `shared` holds TREE_ITEMS floats. Every item of the group calls it.
#define DEFINE_TREE(name, combine)                                                    \
    INLINE float name(float x, __local float *shared) {                               \
        const int item = get_local_id(0);                                             \
        int step = TREE_ITEMS / 2;                                                    \
        for (; step > 0 && SHARED_ROUND(step); step /= 2) {                           \
            shared[item] = x;                                                         \
            barrier(CLK_LOCAL_MEM_FENCE);                                             \
            if (item < step) x = combine(x, shared[item + step]);                     \
            barrier(CLK_LOCAL_MEM_FENCE);                                             \
        }                                                                             \
        for (; step > 0; step /= 2) x = combine(x, FROM_ITEM(x, step));               \
        if (item == 0) shared[0] = x;                                                 \
        barrier(CLK_LOCAL_MEM_FENCE);                                                 \
        x = shared[0];                                                                \
        barrier(CLK_LOCAL_MEM_FENCE);                                                 \
        return x;                                                                     \
    }
#if SUB_GROUPS
#define FROM_ITEM(x, step) intel_sub_group_shuffle_xor(x, (uint)(step))
#else
#define FROM_ITEM(x, step) (x)
#endif

// Products of the `gpu` family go through slabs of both operands in local memory.

// Four values from p on of which `count` exist; zeros for the others.
INLINE float4 read_quad(const __global float *p, const int count, const int wide) {
    if (wide && count >= 4) return *(const __global float4 *)p;
    return (float4)(count > 0 ? p[0] : 0.0f, count > 1 ? p[1] : 0.0f, count > 2 ? p[2] : 0.0f, count > 3 ? p[3] : 0.0f);
}

// The same of what is stored as an operand.
INLINE float4 read_stored_quad(const __global stored *p, const int count, const int wide) {
    if (wide && count >= 4) return LOAD_GLOBAL_QUAD((const __global stored4 *)p);
    return (float4)(count > 0 ? operand_value(p[0]) : 0.0f, count > 1 ? operand_value(p[1]) : 0.0f,
                    count > 2 ? operand_value(p[2]) : 0.0f, count > 3 ? operand_value(p[3]) : 0.0f);
}

// Whether a row's fourth, eighth, ... elements of `bytes` lie where four of them may be read at once.
INLINE int is_wide(const __global void *p, const int stride, const int bytes) {
    return (((size_t)p | (size_t)stride * bytes) & (4 * bytes - 1)) == 0;
}

// Which quads of an operand's slabs an item brings: the lines of a slab are its k if the edge of the tile lies along the
// operand's rows, else its rows or columns of c, and reads of one item are `step` lines apart.
typedef struct {
    int line, step, place;      // of the first quad, place counted in values
    int stride, wide;
} Reader;

// For an operand [K, edge] if `along_edge`, else [edge, K]. A slab has `depth` k, and `items` read it. `wide`: quads may be read at once.
INLINE Reader reader(const int stride, const int along_edge, const int edge, const int depth, const int items, const int wide,
                     const int item) {
    const int quads = along_edge ? edge / 4 : depth / 4;
    Reader r;
    r.line = item / quads;
    r.place = item % quads * 4;
    r.step = items / quads;
    r.stride = stride;
    r.wide = wide;
    return r;
}

// From x, the first quad of the item's, on. Of the slab, `lines` exist and `values` of each.
#define DEFINE_READ_SLAB(name, element, read)                                                                                        \
    INLINE void name(float4 *quads, const int count, const __global element *x, const Reader r, const int lines, const int values) { \
        _Pragma("unroll")                                                                                                            \
        for (int i = 0; i < count; i++)                                                                                              \
            quads[i] = read(x + (size_t)(i * r.step) * r.stride, r.line + i * r.step < lines ? values - r.place : 0, r.wide);        \
    }
DEFINE_READ_SLAB(read_slab, float, read_quad)
DEFINE_READ_SLAB(read_stored_slab, stored, read_stored_quad)

// Operands of products lie in global memory as float32, or as they are rounded to.
#ifndef STORED_A
#define STORED_A 0
#endif
#ifndef STORED_B
#define STORED_B 0
#endif
#if STORED_A
typedef stored element_a;
#define READ_A read_stored_slab
#else
typedef float element_a;
#define READ_A read_slab
#endif
#if STORED_B
typedef stored element_b;
#define READ_B read_stored_slab
#else
typedef float element_b;
#define READ_B read_slab
#endif

#endif

#if FAMILY != GPU_FAMILY
static float add_lanes(float16 v) {
    const float8 a = v.lo + v.hi;
    const float4 b = a.lo + a.hi;
    const float2 c = b.lo + b.hi;
    return c.x + c.y;
}

// Asks for the cache line at p, where the processor cannot guess it. PoCL's prefetch() does nothing, its compiler's does.
#ifdef POCL_DEVICE_ADDRESS_BITS
#define FETCH(p) __builtin_prefetch((const void *)(size_t)(p), 0, 2)
#else
#define FETCH(p) prefetch(p, 16)
#endif

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

// The register tile of the `cpu` family: c[i, j] = (c[i, j] if `load`) + sum over k of a[i, k] * panel[k, j]
// + bias[j], for i < rows <= 8 and j < columns <= 32. a[i, k] lies at i * a_row + k * a_step; the panel's rows of 32
// lie panel_step apart (32 if it was packed), zero past the last column. Sixteen accumulators of 16 floats stay in
// registers; rows past `rows` repeat the last one and are not stored. a is rounded to PRECISION, as the panel is already. Each element is one chain of fma in the order
// of k.
static void tile_8x32(const __global float *a, size_t a_row, size_t a_step, const __global float *panel,
                      size_t panel_step, int K, const __global float *bias, __global float *c, size_t c_row, int rows,
                      int columns, int load) {
    const int whole = rows == 8 && columns == 32;
    float edge[8 * 32];
#define DECLARE_ROW(i)                                                         \
    const __global float *a##i = a + (size_t)min(i, rows - 1) * a_row;         \
    float16 c##i##0 = 0, c##i##1 = 0;
    EACH_ROW(DECLARE_ROW)
    if (load && whole) {
#define LOAD_ROW(i) c##i##0 = vload16(0, c + i * c_row), c##i##1 = vload16(1, c + i * c_row);
        EACH_ROW(LOAD_ROW)
    } else if (load) {
        // What lies past the edge otherwise could be denormal numbers, on which arithmetic is slow.
#define CLEAR_EDGE(i) vstore16((float16)(0.0f), 0, edge + i * 32), vstore16((float16)(0.0f), 1, edge + i * 32);
        EACH_ROW(CLEAR_EDGE)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) edge[i * 32 + j] = c[i * c_row + j];
#define LOAD_EDGE(i) c##i##0 = vload16(0, edge + i * 32), c##i##1 = vload16(1, edge + i * 32);
        EACH_ROW(LOAD_EDGE)
    }
#if PRECISION == FLOAT32
#define READ_LEFT
#define LEFT(i) a##i[at]
#else
#define READ_LEFT const float8 left = rounded_8((float8)(a0[at], a1[at], a2[at], a3[at], a4[at], a5[at], a6[at], a7[at]));
#define LEFT(i) left.s##i
#endif
#define MULTIPLY_HALF(i) c##i##0 = fma((float16)(LEFT(i)), b0, c##i##0);
#define MULTIPLY_ROW(i) MULTIPLY_HALF(i) c##i##1 = fma((float16)(LEFT(i)), b1, c##i##1);
    size_t at = 0;
    if (columns > 16) {
        for (int k = 0; k < K; k++, panel += panel_step, at += a_step) {
            const float16 b0 = vload16(0, panel), b1 = vload16(1, panel);
            READ_LEFT
            EACH_ROW(MULTIPLY_ROW)
        }
    } else {
        for (int k = 0; k < K; k++, panel += panel_step, at += a_step) {
            const float16 b0 = vload16(0, panel);
            READ_LEFT
            EACH_ROW(MULTIPLY_HALF)
        }
    }
    if (whole) {
        float16 bias0 = 0, bias1 = 0;
        if (bias) {
            bias0 = vload16(0, bias);
            bias1 = vload16(1, bias);
        }
#define STORE_ROW(i) vstore16(c##i##0 + bias0, 0, c + i * c_row), vstore16(c##i##1 + bias1, 1, c + i * c_row);
        EACH_ROW(STORE_ROW)
    } else {
#define STORE_EDGE(i) vstore16(c##i##0, 0, edge + i * 32), vstore16(c##i##1, 1, edge + i * 32);
        EACH_ROW(STORE_EDGE)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) c[i * c_row + j] = edge[i * 32 + j] + (bias ? bias[j] : 0.0f);
    }
}

// c [rows, N] (= or +=) a [rows, K] · B, with B packed in panels [ceil(N / 32)][panel_rows][32] of which the
// rows `first` ..< `first + K` are used. A panel stays in cache while all rows pass over it.
static void panel_product(const __global float *a, size_t a_row, int rows, const __global float *panels,
                          int panel_rows, int first, int K, int N, __global float *c, size_t c_row, int load) {
    for (int n = 0; n < N; n += 32) {
        const __global float *panel = panels + ((size_t)(n / 32) * panel_rows + first) * 32;
        for (int m = 0; m < rows; m += 8)
            tile_8x32(a + m * a_row, a_row, 1, panel, 32, K, 0, c + m * c_row + n, c_row, min(8, rows - m),
                      min(32, N - n), load);
    }
}

// Masked rows lie one after the other, so `count` values are rows of them.
#define DEFINE_MASKED(S)                                                                                            \
    static void masked_at_##S(const __global float *mask, const __global float *x, __global float *y) {             \
        STORE_##S(LOAD_##S(mask) * LOAD_##S(x), y);                                                                 \
    }                                                                                                               \
    static void masked_add_at_##S(const __global float *mask, const __global float *x, __global float *y) {         \
        STORE_##S(fma(LOAD_##S(mask), LOAD_##S(x), LOAD_##S(y)), y);                                                \
    }
DEFINE_MASKED(1)
DEFINE_MASKED(16)

static void masked(const __global float *mask, const __global float *x, __global float *y, const int count) {
    EACH_UNIT(count, masked_at, (mask + j, x + j, y + j))
}

static void masked_add(const __global float *mask, const __global float *x, __global float *y, const int count) {
    EACH_UNIT(count, masked_add_at, (mask + j, x + j, y + j))
}

// The block of batch rows group `group` of `groups` works on. Rows are sorted longest first: taking turns
// from both ends evens out the work of neighbouring groups, which a device tends to hand out together.
static int row_block(int group, int groups) { return group & 1 ? groups - 1 - group / 2 : group / 2; }
#endif
