// Numbers of 16 bits in memory, two in the place of a float: what a training in bfloat16 keeps for its way back.
//
// Gates lie in fixed point: their derivative y (1 − y) near y = 1 depends on digits that bfloat16 and float16 do not have
// there. Numbers without bounds, and all that becomes an operand of a product, are bfloat16.

typedef uint16_t VHLoose __attribute__((ext_vector_type(WIDTH), aligned(2), may_alias));
typedef uint16_t Half __attribute__((may_alias));

#if defined(CV_AVX512)
SMALL VH loadHalves(const Half *p, long n) {
    return n >= WIDTH ? *(const VHLoose *)p : (VH)_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p);
}
SMALL void storeHalves(Half *p, VH v, long n) {
    if (n >= WIDTH) *(VHLoose *)p = v; else _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)v);
}
#else
SMALL VH loadHalves(const Half *p, long n) {
    if (n >= WIDTH) return *(const VHLoose *)p;
    VH v = 0;
    for (long i = 0; i < n; i++) v[i] = p[i];
    return v;
}
SMALL void storeHalves(Half *p, VH v, long n) {
    if (n >= WIDTH) { *(VHLoose *)p = v; return; }
    for (long i = 0; i < n; i++) p[i] = v[i];
}
#endif

SMALL V loadBfloat16(const Half *p, long n) { return (V)(__builtin_convertvector(loadHalves(p, n), VU) << 16); }
SMALL void storeBfloat16(Half *p, V x, long n) { storeHalves(p, bfloat16Of(x), n); }

/// The integer nearest to x, in the low bits: |x| < 2^22. NaN becomes 0.
SMALL VH nearestInteger(V x, float scale) {
    return __builtin_convertvector((VU)fma_(x, splat(scale), splat(12582912.0f)), VH);
}

/// Results of a sigmoid, 0 ... 1 in steps of 1/65535.
SMALL void storeSigmoid(Half *p, V x, long n) { storeHalves(p, nearestInteger(x, 65535.0f), n); }
SMALL V loadSigmoid(const Half *p, long n) {
    return __builtin_convertvector(__builtin_convertvector(loadHalves(p, n), VI), V) * splat(1.0f / 65535.0f);
}

/// Results of tanh, −1 ... 1 in steps of 1/32767.
SMALL void storeTanh(Half *p, V x, long n) { storeHalves(p, nearestInteger(x, 32767.0f), n); }
SMALL V loadTanh(const Half *p, long n) {
    VI bits = __builtin_convertvector(loadHalves(p, n), VI);
    return __builtin_convertvector(bits << 16 >> 16, V) * splat(1.0f / 32767.0f);
}

/// `pairRows` of rows that are bfloat16 already, `ld` floats apart; `x` is the first number wanted.
static void pairStoredRows(long rows, long columns, const float *x, long ld, float *out, long ldo) {
    for (long k = 0; k < rows; k += 2, out += ldo) {
        const Half *low = (const Half *)(x + k * ld), *high = (const Half *)(x + (k + 1) * ld);
        bool single = k + 1 == rows;
        FOR_VECTORS(columns, {
            VU pair = __builtin_convertvector(loadHalves(low + i, w), VU);
            if (!single) pair |= __builtin_convertvector(loadHalves(high + i, w), VU) << 16;
            storeN(out + i, (V)pair, w);
        });
    }
}

/// Pairs of two rows each, of rows stored as float32 or as bfloat16.
SMALL void pairRowsOf(bool stored, long rows, long columns, const float *x, long ld, float *out, long ldo) {
    if (stored) pairStoredRows(rows, columns, x, ld, out, ldo); else pairRows(rows, columns, x, ld, out, ldo);
}

/// The numbers i ..< i + n of a row stored as float32 or as bfloat16.
SMALL V loadOf(bool stored, const float *row, long i, long n) {
    return stored ? loadBfloat16((const Half *)row + i, n) : loadN(row + i, n);
}
SMALL void storeOf(bool stored, float *row, long i, V x, long n) {
    if (stored) storeBfloat16((Half *)row + i, x, n); else storeN(row + i, x, n);
}

/// The same of results of a sigmoid and of tanh, as float32 or in fixed point. A cell's formulas are written with these once and
/// compiled for either form.
SMALL V sigmoidOf(bool compact, const float *row, long i, long n) {
    return compact ? loadSigmoid((const Half *)row + i, n) : loadN(row + i, n);
}
SMALL void storeSigmoidOf(bool compact, float *row, long i, V x, long n) {
    if (compact) storeSigmoid((Half *)row + i, x, n); else storeN(row + i, x, n);
}
SMALL V tanhOf(bool compact, const float *row, long i, long n) {
    return compact ? loadTanh((const Half *)row + i, n) : loadN(row + i, n);
}
SMALL void storeTanhOf(bool compact, float *row, long i, V x, long n) {
    if (compact) storeTanh((Half *)row + i, x, n); else storeN(row + i, x, n);
}
