// bfloat16 operands of products: the upper half of a float32, rounded to nearest, ties to even.
//
// A pair is one 32-bit element with the numbers of k (lower half) and k + 1 (upper half); the last pair of an odd sum ends
// with a zero. Pairs lie where single floats lie in float32, so packed matrices and tiles have the same form with half as
// many elements along k.

typedef uint32_t VU __attribute__((ext_vector_type(WIDTH)));
typedef uint16_t VH __attribute__((ext_vector_type(WIDTH)));

#if defined(CV_BFLOAT16)
/// sum + a(k) b(k) + a(k + 1) b(k + 1), two fused multiply-adds, the upper one first.
SMALL V dotPairs(V a, V b, V sum) { return (V)_mm512_dpbf16_ps((__m512)sum, (__m512bh)(__m512i)a, (__m512bh)(__m512i)b); }

/// Pairs of the numbers of two rows.
SMALL V pairsOf(V low, V high) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                                           19, 3, 18, 2, 17, 1, 16, 0);
    return (V)_mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
}

SMALL VH bfloat16Of(V x) { return (VH)_mm512_cvtneps_pbh((__m512)x); }
#else
/// Rounded to bfloat16, as the float32 of the same value.
SMALL VU roundedBits(V x) {
    VU bits = (VU)x;
    VU rounded = bits + (VU)(0x7FFF) + (bits >> 16 & (VU)(1));
    // A NaN could round to infinity: it becomes a quiet one instead.
    rounded = x == x ? rounded : bits | (VU)(0x400000);
    return rounded & (VU)(0xFFFF0000);
}

SMALL V pairsOf(V low, V high) { return (V)(roundedBits(low) >> 16 | roundedBits(high)); }

SMALL VH bfloat16Of(V x) { return __builtin_convertvector(roundedBits(x) >> 16, VH); }

SMALL V dotPairs(V a, V b, V sum) {
    sum = fma_((V)((VU)a & (VU)(0xFFFF0000)), (V)((VU)b & (VU)(0xFFFF0000)), sum);
    return fma_((V)((VU)a << 16), (V)((VU)b << 16), sum);
}
#endif

SMALL long pairsIn(long k) { return (k + 1) / 2; }

/// out [pairs of rows, columns] from rows of x; out's rows lie `ldo` apart.
static void pairRows(long rows, long columns, const float *x, long ld, float *out, long ldo) {
    for (long k = 0; k < rows; k += 2, x += 2 * ld, out += ldo) {
        const float *next = k + 1 < rows ? x + ld : NULL;
        FOR_VECTORS(columns, storeN(out + i, pairsOf(loadN(x + i, w), next ? loadN(next + i, w) : splat(0.0f)), w););
    }
}

#if defined(CV_BFLOAT16)
SMALL void pairRow(long k, const float *x, float *out) {
    uint16_t *to = (uint16_t *)out;
    for (long i = 0; i < k; i += 16) {
        long w = k - i < 16 ? k - i : 16;
        __m256i v = (__m256i)_mm512_cvtneps_pbh((__m512)loadN(x + i, w));
        _mm256_mask_storeu_epi16(to + i, (__mmask16)((1u << 2 * pairsIn(w)) - 1), v);
    }
}
#else
SMALL void pairRow(long k, const float *x, float *out) {
    long i = 0;
    for (; i + 2 * WIDTH <= k; i += 2 * WIDTH) {
        V even, odd;
        for (long j = 0; j < WIDTH; j++) even[j] = x[i + 2 * j], odd[j] = x[i + 2 * j + 1];
        store(out + i / 2, pairsOf(even, odd));
    }
    for (; i < k; i += 2) storeN(out + i / 2, pairsOf(loadN(x + i, 1), i + 1 < k ? loadN(x + i + 1, 1) : splat(0.0f)), 1);
}
#endif

/// out [rows, pairs of k] from rows of x [rows, k], one after the other.
static void pairColumns(long rows, long k, const float *x, long ld, float *out) {
    for (long i = 0; i < rows; i++) pairRow(k, x + i * ld, out + i * pairsIn(k));
}
