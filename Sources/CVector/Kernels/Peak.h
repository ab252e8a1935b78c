// Multiply-adds on registers alone: what no loop can be faster than.

// As many chains as hide the latency of one and fit into the registers beside the two factors.
#if defined(CV_AVX512) || defined(__aarch64__)
enum { peakChains = 24 };
#else
enum { peakChains = 12 };
#endif

/// `bfloat16`: products of pairs.
SMALL float peakOf(bool bfloat16, long rounds, float factor, float term) {
    V chain[peakChains], a = splat(factor), b = splat(term);
    for (int i = 0; i < peakChains; i++) chain[i] = splat((float)i);
    for (long round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < peakChains; i++) chain[i] = bfloat16 ? dotPairs(a, b, chain[i]) : fma_(chain[i], a, b);
    }
    // The sum keeps the compiler from leaving anything out.
    for (int i = 1; i < peakChains; i++) chain[0] += chain[i];
    float sum = 0;
    for (int i = 0; i < WIDTH; i++) sum += chain[0][i];
    return sum;
}

static float peak(bool bfloat16, long rounds, float factor, float term) {
    return bfloat16 ? peakOf(true, rounds, factor, term) : peakOf(false, rounds, factor, term);
}
