// Prepended to every kernel file: operands, mathematics, random numbers, the register tile of the `cpu` family.
//
// An operand is a buffer with the index of its first element (views are never sub-buffers). A missing
// optional operand is a null pointer at 0.
#pragma OPENCL FP_CONTRACT OFF

#define INPUT(type, x) __global const type *x, const ulong x##_at
#define OUTPUT(type, x) __global type *x, const ulong x##_at
#define BIND(x) x += x##_at

// Values of `Activation` on the host.
#define LINEAR 0
#define TANH 1
#define SIGMOID 2
#define RELU 3
#define HARD_SIGMOID 4

// The same mathematics for one value (suffix 1) and for sixteen (suffix 16). Every product-sum is an
// explicit fma, so devices that round each operation correctly agree to the bit. NaN passes through:
// comparisons with it are false, and each choice keeps x then.
//
// exp: the polynomial of the Cephes library (Moshier), expf; tanh from e^2x - 1.
#define DEFINE_MATH(F, I, S)                                                                         \
    /* x = n ln 2 + r: e^r - 1, and n in the low bits of `shifted` (1.5 * 2^23 makes it an integer). */\
    static F exp_minus_one_##S(F x, F *shifted) {                                                    \
        *shifted = fma(x, (F)(1.44269504088896341f), (F)(12582912.0f));                              \
        F n = *shifted - 12582912.0f;                                                                \
        F r = fma(-n, (F)(0.693359375f), x);                                                         \
        r = fma(-n, (F)(-2.12194440e-4f), r);                                                        \
        F p = (F)(1.9875691500e-4f);                                                                 \
        p = fma(p, r, (F)(1.3981999507e-3f));                                                        \
        p = fma(p, r, (F)(8.3334519073e-3f));                                                        \
        p = fma(p, r, (F)(4.1665795894e-2f));                                                        \
        p = fma(p, r, (F)(1.6666665459e-1f));                                                        \
        p = fma(p, r, (F)(5.0000001201e-1f));                                                        \
        return fma(p, r * r, r);                                                                     \
    }                                                                                                \
    static F power_of_two_##S(F n) { return AS_FLOAT_##S((AS_INT_##S(n) << 23) + 0x3F800000); }      \
    static F exp_##S(F x) {                                                                          \
        x = x < (F)(-87.33f) ? (F)(-87.33f) : x;                                                     \
        x = x > (F)(88.37f) ? (F)(88.37f) : x;                                                       \
        F n, p = exp_minus_one_##S(x, &n);                                                           \
        return (p + 1.0f) * power_of_two_##S(n);                                                     \
    }                                                                                                \
    static F sigmoid_##S(F x) { return 1.0f / (1.0f + exp_##S(-x)); }                                \
    /* e / (e + 2) with e = e^2x - 1, which keeps its digits near 0. */                              \
    static F tanh_##S(F x) {                                                                         \
        x = x < (F)(-10.0f) ? (F)(-10.0f) : x;                                                       \
        x = x > (F)(10.0f) ? (F)(10.0f) : x;                                                         \
        F n, p = exp_minus_one_##S(x + x, &n), power = power_of_two_##S(n);                          \
        F e = fma(power, p, power - 1.0f);                                                           \
        return e / (e + 2.0f);                                                                       \
    }                                                                                                \
    static F activate_##S(int kind, F x) {                                                           \
        if (kind == TANH) return tanh_##S(x);                                                        \
        if (kind == SIGMOID) return sigmoid_##S(x);                                                  \
        if (kind == RELU) return x < (F)(0.0f) ? (F)(0.0f) : x;                                      \
        if (kind == HARD_SIGMOID) {                                                                  \
            F y = x + 3.0f;                                                                          \
            y = y < (F)(0.0f) ? (F)(0.0f) : y;                                                       \
            y = y > (F)(6.0f) ? (F)(6.0f) : y;                                                       \
            return y * (1.0f / 6.0f);                                                                \
        }                                                                                            \
        return x;                                                                                    \
    }                                                                                                \
    /* dy times the derivative, as a function of the result y. */                                    \
    static F activate_backward_##S(int kind, F y, F dy) {                                            \
        if (kind == TANH) return dy * fma(-y, y, (F)(1.0f));                                         \
        if (kind == SIGMOID) return dy * (y * (1.0f - y));                                           \
        if (kind == RELU) return y > (F)(0.0f) ? dy : (F)(0.0f);                                     \
        if (kind == HARD_SIGMOID) {                                                                  \
            F inside = y > (F)(0.0f) ? dy * (1.0f / 6.0f) : (F)(0.0f);                               \
            return y < (F)(1.0f) ? inside : (F)(0.0f);                                               \
        }                                                                                            \
        return dy;                                                                                   \
    }

#define AS_FLOAT_1 as_float
#define AS_FLOAT_16 as_float16
#define AS_INT_1 as_int
#define AS_INT_16 as_int16
DEFINE_MATH(float, int, 1)
DEFINE_MATH(float16, int16, 16)

// Philox-2x32 with 10 rounds: the first word of `RandomGenerator.bits` for one counter, or for sixteen that
// follow each other.
#define DEFINE_RANDOM(U, L, S)                                          \
    static U random_bits_##S(uint key, ulong counter) {                 \
        L counters = counter + LANES_##S;                               \
        U x = CONVERT_UINT_##S(counters);                               \
        U y = CONVERT_UINT_##S(counters >> 32);                         \
        for (int round = 0; round < 10; round++) {                      \
            L product = CONVERT_ULONG_##S(x) * 0xD256D193UL;            \
            x = CONVERT_UINT_##S(product >> 32) ^ key ^ y;              \
            y = CONVERT_UINT_##S(product);                              \
            key += 0x9E3779B9u;                                         \
        }                                                               \
        return x;                                                       \
    }
#define LANES_1 0UL
#define LANES_16 (ulong16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define CONVERT_UINT_1 convert_uint
#define CONVERT_UINT_16 convert_uint16
#define CONVERT_ULONG_1 convert_ulong
#define CONVERT_ULONG_16 convert_ulong16
DEFINE_RANDOM(uint, ulong, 1)
DEFINE_RANDOM(uint16, ulong16, 16)

// One value or sixteen at p: lets one text serve both widths.
#define LOAD_1(p) (*(p))
#define LOAD_16(p) vload16(0, p)
#define STORE_1(v, p) (*(p) = (v))
#define STORE_16(v, p) vstore16(v, 0, p)

// The last sixteen of a row of H units, p at the first unit past the last whole sixteen: what whole sixteens have already
// written is read along and written back as it is.
#define TAIL_SHIFT (16 - (H & 15))
#define LOAD_T(p) vload16(0, (p) - TAIL_SHIFT)
#define STORE_T(v, p) store_tail(v, TAIL_SHIFT, (p) - TAIL_SHIFT)
#define activate_T activate_16
#define activate_backward_T activate_backward_16

static void store_tail(const float16 v, const int first, __global float *p) {
    const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    vstore16(select(vload16(0, p), v, lanes >= first), 0, p);
}

// Calls function_16 for whole sixteens of units and function_1 for the rest; `arguments`, in parentheses,
// name the unit j.
#define EACH_UNIT(H, function, arguments)                       \
    {                                                           \
        int j = 0;                                              \
        for (; j + 16 <= H; j += 16) function##_16 arguments;   \
        for (; j < H; j++) function##_1 arguments;              \
    }

// The same for a whole row and functions that take H: what is left after whole sixteens is one call of function_T.
#define EACH_UNIT_OF_ROW(H, function, arguments)                \
    {                                                           \
        int j = 0;                                              \
        for (; j + 16 <= H; j += 16) function##_16 arguments;   \
        if (H < 16)                                             \
            for (; j < H; j++) function##_1 arguments;          \
        else if (j < H)                                         \
            function##_T arguments;                             \
    }

// p + i, or null if p is.
#define AT(p, i) ((p) ? (p) + (i) : 0)

static void copy_row(const __global float *from, __global float *to, int count) {
    for (int j = 0; j < count; j++) to[j] = from[j];
}

// Which kernels of a file are compiled: all, or those of one family.
#define ALL_FAMILIES 0
#define GPU_FAMILY 1
#define CPU_FAMILY 2
#ifndef FAMILY
#define FAMILY ALL_FAMILIES
#endif

// The columns an item handles in kernels over rows and columns: one of them, or all on a CPU, where a loop over
// neighbours becomes vector instructions. The host launches accordingly.
#if FAMILY == CPU_FAMILY
#define EACH_COLUMN(j, count) for (int j = 0; j < count; j++)
#else
#define EACH_COLUMN(j, count) for (int j = get_global_id(0); j < count; j += get_global_size(0))
#endif

// The type to which operands of products are rounded, to nearest and ties to even: values of `Precision` on the host.
// Sums are float32 in any. Neither type needs an extension: bfloat16 is the upper half of a float32, and OpenCL converts
// float16 on the way into and out of memory.
#define FLOAT32 0
#define BFLOAT16 1
#define FLOAT16 2
#ifndef PRECISION
#define PRECISION FLOAT32
#endif

// Operands as local memory keeps them: `stored`, four of them `stored4`.
#if PRECISION == FLOAT32
typedef float stored;
typedef float4 stored4;
#define UNITS_PER_FLOAT4 1
#define LOAD_QUAD(p) (*(p))
#define STORE_QUAD(v, p) (*(p) = (v))
#define STORE_STORED(v, p) (*(p) = (v))
#define rounded_1(x) (x)
#define rounded_8(x) (x)
#else
typedef ushort stored;
typedef ushort4 stored4;
#define UNITS_PER_FLOAT4 2
#if PRECISION == BFLOAT16
// Half of the last kept bit, less where that bit is 0, carries into what is kept. A NaN would become an infinity so.
#define DEFINE_ROUNDED(F, U, S)                                                                         \
    static U upper_##S(const F x) {                                                                     \
        const U bits = as_##U(x);                                                                       \
        return isnan(x) ? bits | 0x400000U : bits + 0x7FFFU + (bits >> 16 & 1U);                        \
    }                                                                                                   \
    static F rounded_##S(const F x) { return as_##F(upper_##S(x) & 0xFFFF0000U); }
DEFINE_ROUNDED(float, uint, 1)
DEFINE_ROUNDED(float4, uint4, 4)
DEFINE_ROUNDED(float8, uint8, 8)
#define LOAD_QUAD(p) as_float4(convert_uint4(*(p)) << 16)
#define STORE_QUAD(v, p) (*(p) = convert_ushort4(upper_4(v) >> 16))
#define STORE_STORED(v, p) (*(p) = (ushort)(upper_1(v) >> 16))
#else
static float rounded_1(const float x) {
    ushort half_bits;
    vstore_half_rte(x, 0, (half *)&half_bits);
    return vload_half(0, (const half *)&half_bits);
}
static float8 rounded_8(const float8 x) {
    ushort8 half_bits;
    vstore_half8_rte(x, 0, (half *)&half_bits);
    return vload_half8(0, (const half *)&half_bits);
}
#define LOAD_QUAD(p) vloada_half4(0, (const __local half *)(p))
#define STORE_QUAD(v, p) vstorea_half4_rte(v, 0, (__local half *)(p))
#define STORE_STORED(v, p) vstore_half_rte(v, 0, (__local half *)(p))
#endif
#endif

#if FAMILY != CPU_FAMILY
// Products of the `gpu` family go through slabs of both operands in local memory.
//
// Inlined before anything else is optimised, the loops below have constant bounds and the small arrays become registers.
#define INLINE static inline __attribute__((always_inline))

// Four values from p on of which `count` exist; zeros for the others.
INLINE float4 read_quad(const __global float *p, const int count, const int wide) {
    if (wide && count >= 4) return *(const __global float4 *)p;
    return (float4)(count > 0 ? p[0] : 0.0f, count > 1 ? p[1] : 0.0f, count > 2 ? p[2] : 0.0f, count > 3 ? p[3] : 0.0f);
}

// Whether a row's fourth, eighth, ... elements lie where a float4 may.
INLINE int is_wide(const __global float *p, const int stride) { return (((size_t)p | (size_t)stride * 4) & 15) == 0; }

// Which quads of an operand's slabs an item brings: the lines of a slab are its k if the edge of the tile lies along the
// operand's rows, else its rows or columns of c, and reads of one item are `step` lines apart.
typedef struct {
    const __global float *p;    // the first quad
    int line, step, place;      // of the first quad, place counted in values
    int stride, wide;
} Reader;

// x: the tile's first row or column at the slab's first k, of an operand [K, edge] if `along_edge`, else [edge, K]. A slab has
// `depth` k, and `items` read it.
INLINE Reader reader(const __global float *x, const int stride, const int along_edge, const int edge, const int depth, const int items,
                     const int wide, const int item) {
    const int quads = along_edge ? edge / 4 : depth / 4;
    Reader r;
    r.line = item / quads;
    r.place = item % quads * 4;
    r.step = items / quads;
    r.stride = stride;
    r.wide = wide && is_wide(x, stride);
    r.p = x + (size_t)r.line * stride + r.place;
    return r;
}

// Of the slab, `lines` exist and `values` of each.
INLINE void read_slab(float4 *quads, const int count, const Reader r, const int lines, const int values) {
#pragma unroll
    for (int i = 0; i < count; i++)
        quads[i] = read_quad(r.p + (size_t)(i * r.step) * r.stride, r.line + i * r.step < lines ? values - r.place : 0, r.wide);
}

#endif

#if FAMILY != GPU_FAMILY
static float add_lanes(float16 v) {
    const float8 a = v.lo + v.hi;
    const float4 b = a.lo + a.hi;
    const float2 c = b.lo + b.hi;
    return c.x + c.y;
}

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
    size_t at = 0;
    for (int k = 0; k < K; k++) {
        const float16 b0 = vload16(0, panel), b1 = vload16(1, panel);
        panel += panel_step;
#if PRECISION == FLOAT32
#define LEFT(i) a##i[at]
#else
        const float8 left = rounded_8((float8)(a0[at], a1[at], a2[at], a3[at], a4[at], a5[at], a6[at], a7[at]));
#define LEFT(i) left.s##i
#endif
#define MULTIPLY_ROW(i)                                 \
    {                                                   \
        const float16 x = (float16)(LEFT(i));           \
        c##i##0 = fma(x, b0, c##i##0);                  \
        c##i##1 = fma(x, b1, c##i##1);                  \
    }
        EACH_ROW(MULTIPLY_ROW)
        at += a_step;
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
