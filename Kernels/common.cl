// Prepended to every kernel file: operands, mathematics, random numbers, the types of operands.
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
// exp: reduced as in expf of the Cephes library (Moshier), with a polynomial of its own (Documentation/Numerics.md); tanh from e^2x - 1.
#define DEFINE_MATH(F, I, S)                                                                         \
    /* x = n ln 2 + r: e^r - 1, and n in the low bits of `shifted` (1.5 * 2^23 makes it an integer). */\
    static F exp_minus_one_##S(F x, F *shifted) {                                                    \
        *shifted = fma(x, (F)(1.44269504088896341f), (F)(12582912.0f));                              \
        F n = *shifted - 12582912.0f;                                                                \
        F r = fma(-n, (F)(0.693359375f), x);                                                         \
        r = fma(-n, (F)(-2.12194440e-4f), r);                                                        \
        F p = (F)(1.3814749e-3f);                                                                    \
        p = fma(p, r, (F)(8.3687361e-3f));                                                           \
        p = fma(p, r, (F)(4.1668385e-2f));                                                           \
        p = fma(p, r, (F)(1.6666521e-1f));                                                           \
        p = fma(p, r, (F)(4.9999994e-1f));                                                           \
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

// Operands as local memory keeps them, and global memory where a tensor holds nothing else: `stored`, four of them `stored4`.
#if PRECISION == FLOAT32
typedef float stored;
typedef float4 stored4;
#define UNITS_PER_FLOAT4 1
#define LOAD_QUAD(p) (*(p))
#define LOAD_GLOBAL_QUAD LOAD_QUAD
#define STORE_QUAD(v, p) (*(p) = (v))
#define STORE_STORED(v, p) (*(p) = (v))
#define operand_bits(x) (x)
#define operand_value(x) (x)
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
static ushort operand_bits(const float x) { return (ushort)(upper_1(x) >> 16); }
static float operand_value(const ushort bits) { return as_float((uint)bits << 16); }
#define LOAD_QUAD(p) as_float4(convert_uint4(*(p)) << 16)
#define LOAD_GLOBAL_QUAD LOAD_QUAD
#define STORE_QUAD(v, p) (*(p) = convert_ushort4(upper_4(v) >> 16))
#define STORE_STORED(v, p) (*(p) = operand_bits(v))
#else
static ushort operand_bits(const float x) {
    ushort half_bits;
    vstore_half_rte(x, 0, (half *)&half_bits);
    return half_bits;
}
static float operand_value(const ushort half_bits) { return vload_half(0, (const half *)&half_bits); }
static float rounded_1(const float x) { return operand_value(operand_bits(x)); }
static float8 rounded_8(const float8 x) {
    ushort8 half_bits;
    vstore_half8_rte(x, 0, (half *)&half_bits);
    return vload_half8(0, (const half *)&half_bits);
}
#define LOAD_QUAD(p) vloada_half4(0, (const __local half *)(p))
#define LOAD_GLOBAL_QUAD(p) vloada_half4(0, (const __global half *)(p))
#define STORE_QUAD(v, p) vstorea_half4_rte(v, 0, (__local half *)(p))
#define STORE_STORED(v, p) vstore_half_rte(v, 0, (__local half *)(p))
#endif
#endif

// What is summed: float32, or with STORED operands.
#ifndef STORED
#define STORED 0
#endif
#if STORED
typedef stored summand;
#define SUMMAND operand_value
#else
typedef float summand;
#define SUMMAND(x) (x)
#endif

// What a pass through a recurrent layer saves for its way back: float32, or with COMPACT (one unit at a time) 16 bits in one of three
// forms. GATE is a result of the sigmoid, in steps of 1/65535, SIGNED one of tanh, in steps of 1/32767: the derivatives near 1 live on
// digits that neither bfloat16 nor float16 has there. OPERAND is what products and their sums read, also in the place of gates, and
// what has no bounds.
#ifndef COMPACT
#define COMPACT 0
#endif
#if COMPACT
typedef ushort saved;
#define SAVE(S, FORM, v, p) SAVE_##FORM(v, p)
#define RESTORE(S, FORM, p) RESTORE_##FORM(p)
// The nearest integer ends up in the low bits; NaN becomes 0.
#define FIXED_POINT(v, scale) ((ushort)as_uint(fma(v, scale, 12582912.0f)))
#define SAVE_GATE(v, p) (*(p) = FIXED_POINT(v, 65535.0f))
#define RESTORE_GATE(p) ((float)*(p) * (1.0f / 65535.0f))
#define SAVE_SIGNED(v, p) (*(p) = FIXED_POINT(v, 32767.0f))
#define RESTORE_SIGNED(p) ((float)as_short(*(p)) * (1.0f / 32767.0f))
#define SAVE_OPERAND(v, p) (*(p) = operand_bits(v))
#define RESTORE_OPERAND(p) operand_value(*(p))
#else
typedef float saved;
#define SAVE(S, FORM, v, p) STORE_##S(v, p)
#define RESTORE(S, FORM, p) LOAD_##S(p)
#endif
