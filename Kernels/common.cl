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
// exp and tanh: polynomials of the Cephes library (Moshier), expf and tanhf.
#define DEFINE_MATH(F, I, S)                                                                         \
    static F exp_##S(F x) {                                                                          \
        x = x < (F)(-87.33f) ? (F)(-87.33f) : x;                                                     \
        x = x > (F)(88.37f) ? (F)(88.37f) : x;                                                       \
        F n = rint(x * 1.44269504088896341f);                                                        \
        F r = fma(-n, (F)(0.693359375f), x);                                                         \
        r = fma(-n, (F)(-2.12194440e-4f), r);                                                        \
        F p = (F)(1.9875691500e-4f);                                                                 \
        p = fma(p, r, (F)(1.3981999507e-3f));                                                        \
        p = fma(p, r, (F)(8.3334519073e-3f));                                                        \
        p = fma(p, r, (F)(4.1665795894e-2f));                                                        \
        p = fma(p, r, (F)(1.6666665459e-1f));                                                        \
        p = fma(p, r, (F)(5.0000001201e-1f));                                                        \
        F y = fma(p, r * r, r) + 1.0f;                                                               \
        return y * AS_FLOAT_##S((CONVERT_INT_##S(n) + 127) << 23);                                   \
    }                                                                                                \
    static F sigmoid_##S(F x) { return 1.0f / (1.0f + exp_##S(-x)); }                                \
    static F tanh_##S(F x) {                                                                         \
        F a = fabs(x);                                                                               \
        F z = x * x;                                                                                 \
        F p = (F)(-5.70498872745e-3f);                                                               \
        p = fma(p, z, (F)(2.06390887954e-2f));                                                       \
        p = fma(p, z, (F)(-5.37397155531e-2f));                                                      \
        p = fma(p, z, (F)(1.33314422036e-1f));                                                       \
        p = fma(p, z, (F)(-3.33332819422e-1f));                                                      \
        F small = fma(x * z, p, x);                                                                  \
        F large = copysign(1.0f - 2.0f / (exp_##S(2.0f * a) + 1.0f), x);                             \
        return a < (F)(0.625f) ? small : large;                                                      \
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
#define CONVERT_INT_1 convert_int
#define CONVERT_INT_16 convert_int16
DEFINE_MATH(float, int, 1)
DEFINE_MATH(float16, int16, 16)

// Philox-2x32 with 10 rounds: the first word of `RandomGenerator.bits`.
static uint random_bits(uint key, ulong counter) {
    uint x = (uint)counter;
    uint y = (uint)(counter >> 32);
    for (int round = 0; round < 10; round++) {
        uint high = mul_hi(x, 0xD256D193u);
        uint low = x * 0xD256D193u;
        x = high ^ key ^ y;
        y = low;
        key += 0x9E3779B9u;
    }
    return x;
}

// Up to 16 values from p; the rest is zero.
static float16 load16(const __global float *p, int count) {
    if (count >= 16) return vload16(0, p);
    float values[16];
    for (int i = 0; i < 16; i++) values[i] = i < count ? p[i] : 0.0f;
    return vload16(0, values);
}

static void store16(float16 v, __global float *p, int count) {
    if (count >= 16) {
        vstore16(v, 0, p);
        return;
    }
    float values[16];
    vstore16(v, 0, values);
    for (int i = 0; i < count; i++) p[i] = values[i];
}

// The register tile of the `cpu` family: c[i, j] = (c[i, j] if `load`) + sum over k of a[i, k] * panel[k, j]
// + bias[j], for i < rows <= 8 and j < columns <= 32. a[i, k] lies at i * a_row + k * a_step; the panel is
// [K, 32], zero past the last column. Sixteen accumulators of 16 floats stay in registers; rows past `rows`
// repeat the last one and are not stored. Each element is one chain of fma in the order of k.
static void tile_8x32(const __global float *a, size_t a_row, size_t a_step, const __global float *panel, int K,
                      const __global float *bias, __global float *c, size_t c_row, int rows, int columns, int load) {
    const __global float *a0 = a;
    const __global float *a1 = a + (size_t)min(1, rows - 1) * a_row;
    const __global float *a2 = a + (size_t)min(2, rows - 1) * a_row;
    const __global float *a3 = a + (size_t)min(3, rows - 1) * a_row;
    const __global float *a4 = a + (size_t)min(4, rows - 1) * a_row;
    const __global float *a5 = a + (size_t)min(5, rows - 1) * a_row;
    const __global float *a6 = a + (size_t)min(6, rows - 1) * a_row;
    const __global float *a7 = a + (size_t)min(7, rows - 1) * a_row;
    float16 c00 = 0, c01 = 0, c10 = 0, c11 = 0, c20 = 0, c21 = 0, c30 = 0, c31 = 0;
    float16 c40 = 0, c41 = 0, c50 = 0, c51 = 0, c60 = 0, c61 = 0, c70 = 0, c71 = 0;
    int left = min(columns, 16), right = columns - 16;
#define LOAD_ROW(i)                                                         \
    if (i < rows) {                                                         \
        c##i##0 = load16(c + i * c_row, left);                              \
        if (right > 0) c##i##1 = load16(c + i * c_row + 16, right);         \
    }
    if (load) {
        LOAD_ROW(0) LOAD_ROW(1) LOAD_ROW(2) LOAD_ROW(3) LOAD_ROW(4) LOAD_ROW(5) LOAD_ROW(6) LOAD_ROW(7)
    }
#undef LOAD_ROW
    size_t at = 0;
    for (int k = 0; k < K; k++) {
        float16 b0 = vload16(0, panel);
        float16 b1 = vload16(1, panel);
        panel += 32;
#define MULTIPLY_ROW(i)                          \
    {                                            \
        float16 x = (float16)(a##i[at]);         \
        c##i##0 = fma(x, b0, c##i##0);           \
        c##i##1 = fma(x, b1, c##i##1);           \
    }
        MULTIPLY_ROW(0) MULTIPLY_ROW(1) MULTIPLY_ROW(2) MULTIPLY_ROW(3)
        MULTIPLY_ROW(4) MULTIPLY_ROW(5) MULTIPLY_ROW(6) MULTIPLY_ROW(7)
#undef MULTIPLY_ROW
        at += a_step;
    }
    float16 bias0 = 0, bias1 = 0;
    if (bias) {
        bias0 = load16(bias, left);
        if (right > 0) bias1 = load16(bias + 16, right);
    }
#define STORE_ROW(i)                                                                  \
    if (i < rows) {                                                                   \
        store16(c##i##0 + bias0, c + i * c_row, left);                                \
        if (right > 0) store16(c##i##1 + bias1, c + i * c_row + 16, right);           \
    }
    STORE_ROW(0) STORE_ROW(1) STORE_ROW(2) STORE_ROW(3) STORE_ROW(4) STORE_ROW(5) STORE_ROW(6) STORE_ROW(7)
#undef STORE_ROW
}

// c [rows, N] (= or +=) a [rows, K] · B, with B packed in panels [ceil(N / 32)][panel_rows][32] of which the
// rows `first` ..< `first + K` are used. A panel stays in cache while all rows pass over it.
static void panel_product(const __global float *a, size_t a_row, int rows, const __global float *panels,
                          int panel_rows, int first, int K, int N, __global float *c, size_t c_row, int load) {
    for (int n = 0; n < N; n += 32) {
        const __global float *panel = panels + ((size_t)(n / 32) * panel_rows + first) * 32;
        for (int m = 0; m < rows; m += 8)
            tile_8x32(a + m * a_row, a_row, 1, panel, K, 0, c + m * c_row + n, c_row, min(8, rows - m),
                      min(32, N - n), load);
    }
}

// The block of batch rows group `group` of `groups` works on. Rows are sorted longest first: taking turns
// from both ends evens out the work of neighbouring groups, which a device tends to hand out together.
static int row_block(int group, int groups) { return group & 1 ? groups - 1 - group / 2 : group / 2; }
