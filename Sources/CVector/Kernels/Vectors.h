// Vectors of WIDTH floats with loads and stores of the first n, and the transcendental functions.
// Included once per instruction set inside a target region; everything is static.
//
// Products and sums are never contracted except where fma() is written, so that the OpenCL kernels, which
// follow the same recipe, compute the same bits.

#define SMALL static inline __attribute__((always_inline, unused))

typedef float V __attribute__((ext_vector_type(WIDTH)));
typedef int32_t VI __attribute__((ext_vector_type(WIDTH)));
typedef float VLoose __attribute__((ext_vector_type(WIDTH), aligned(4), may_alias));
typedef int32_t VILoose __attribute__((ext_vector_type(WIDTH), aligned(4), may_alias));

SMALL V splat(float x) { return (V)(x); }
SMALL V load(const float *p) { return *(const VLoose *)p; }
SMALL void store(float *p, V v) { *(VLoose *)p = v; }

#if defined(CV_AVX512)
SMALL V loadN(const float *p, long n) {
    return n >= WIDTH ? load(p) : (V)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
SMALL void storeN(float *p, V v, long n) {
    if (n >= WIDTH) store(p, v); else _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
#elif defined(CV_AVX2)
SMALL __m256i firstLanes(long n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SMALL V loadN(const float *p, long n) {
    return n >= WIDTH ? load(p) : (V)_mm256_maskload_ps(p, firstLanes(n));
}
SMALL void storeN(float *p, V v, long n) {
    if (n >= WIDTH) store(p, v); else _mm256_maskstore_ps(p, firstLanes(n), (__m256)v);
}
#else
SMALL V loadN(const float *p, long n) {
    if (n >= WIDTH) return load(p);
    V v = 0;
    for (long i = 0; i < n; i++) v[i] = p[i];
    return v;
}
SMALL void storeN(float *p, V v, long n) {
    if (n >= WIDTH) { store(p, v); return; }
    for (long i = 0; i < n; i++) p[i] = v[i];
}
#endif

#if defined(CV_AVX512) || defined(CV_AVX2) || defined(__aarch64__)
SMALL V fma_(V a, V b, V c) { return __builtin_elementwise_fma(a, b, c); }
#else
// Without the instruction fma() is a slow library call per element: round twice instead.
SMALL V fma_(V a, V b, V c) { return a * b + c; }
#endif

SMALL V bitsToFloat(VI i) { return (V)i; }
SMALL VI floatToBits(V x) { return (VI)x; }
SMALL V minimum_(V a, V b) { return b < a ? b : a; }
SMALL V maximum_(V a, V b) { return b > a ? b : a; }
SMALL V absolute(V x) { return bitsToFloat(floatToBits(x) & (VI)(0x7FFFFFFF)); }

/// x = n ln 2 + r with |r| ≤ ln 2 / 2; gives e^r − 1 and n in the low bits of a float: the reduction of Cephes' expf (Moshier 1992),
/// and r + r² p(r) with p of degree 4, fitted for the smallest largest error of e^r: 3.1e-9 relative, 0.84 units in the last place
/// with all roundings. (Cephes has degree 5 and 0.83 units.)
SMALL V expMinusOne(V x, V *shifted) {
    // Adding 1.5 · 2^23 rounds to the nearest integer, ties to even, and leaves it in the low bits: converting it would be
    // undefined for NaN.
    *shifted = fma_(x, splat(1.44269504088896341f), splat(12582912.0f));
    V n = *shifted - splat(12582912.0f);
    V r = fma_(-n, splat(0.693359375f), x);
    r = fma_(-n, splat(-2.12194440e-4f), r);
    V p = splat(1.3814749e-3f);
    p = fma_(p, r, splat(8.3687361e-3f));
    p = fma_(p, r, splat(4.1668385e-2f));
    p = fma_(p, r, splat(1.6666521e-1f));
    p = fma_(p, r, splat(4.9999994e-1f));
    return fma_(p, r * r, r);
}

/// 2^n of the n that `expMinusOne` found.
SMALL V powerOfTwo(V shifted) { return bitsToFloat((floatToBits(shifted) << 23) + floatToBits(splat(1.0f))); }

/// e^x; inputs are clamped to finite, normal results, NaN stays NaN.
SMALL V exp_(V x) {
    x = maximum_(x, splat(-87.33f));
    x = minimum_(x, splat(88.37f));
    V n, p = expMinusOne(x, &n);
    return (p + splat(1.0f)) * powerOfTwo(n);
}

SMALL V sigmoid_(V x) { return splat(1.0f) / (splat(1.0f) + exp_(-x)); }

/// tanh x = e / (e + 2) with e = e^2x − 1, which keeps its digits near 0.
SMALL V tanh_(V x) {
    // Beyond, the result is 1 in float32.
    x = maximum_(x, splat(-10.0f));
    x = minimum_(x, splat(10.0f));
    V n, p = expMinusOne(x + x, &n), power = powerOfTwo(n);
    V e = fma_(power, p, power - splat(1.0f));
    return e / (e + splat(2.0f));
}

SMALL V activated(int activation, V x) {
    switch (activation) {
    case cvTanh: return tanh_(x);
    case cvSigmoid: return sigmoid_(x);
    case cvReLU: return maximum_(x, splat(0.0f));
    case cvHardSigmoid:
        return minimum_(maximum_(x + splat(3.0f), splat(0.0f)), splat(6.0f)) * splat(1.0f / 6.0f);
    default: return x;
    }
}

/// The derivative where the result is y.
SMALL V derivative(int activation, V y) {
    switch (activation) {
    // As a product: 1 - y is exact near y = 1, where 1 - y * y would cancel.
    case cvTanh: return (splat(1.0f) - y) * (splat(1.0f) + y);
    case cvSigmoid: return y * (splat(1.0f) - y);
    case cvReLU: return y > splat(0.0f) ? splat(1.0f) : splat(0.0f);
    case cvHardSigmoid: return (y > splat(0.0f) & y < splat(1.0f)) ? splat(1.0f / 6.0f) : splat(0.0f);
    default: return splat(1.0f);
    }
}

SMALL float sumOfLanes(V v) {
    float lanes[WIDTH];
    store(lanes, v);
    for (int half = WIDTH / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    }
    return lanes[0];
}

/// Runs BODY for the vectors of n elements at `i`, each with `w` valid lanes; `w` is a constant except in the last.
#define FOR_VECTORS(n, BODY) do { \
    long i = 0; \
    for (; i + WIDTH <= (n); i += WIDTH) { enum { w = WIDTH }; BODY } \
    if (i < (n)) { long w = (n) - i; BODY } } while (0)
