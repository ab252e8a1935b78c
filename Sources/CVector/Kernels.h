// The functions that exist once per instruction set, and what the drivers share.
#pragma once
#include "CVector.h"
#include "Pool.h"
#include <stddef.h>

/// Scratch areas of one recurrent call; all inside the caller's scratch memory.
typedef struct {
    /// Recurrent weights in panels, and the second matrix of a projected LSTM or a GRU with reset before.
    float *first, *second;
    /// [G][H padded to vectors]: b_ih + b_hh; then one row b_hh of u_n (GRU with resetAfter).
    float *bias;
    /// max(H, R) zeros, stands for an absent initial state.
    float *zeros;
    /// One area of `workStride` floats per worker.
    float *work;
    long workStride, block;
    /// Products of a step in bfloat16: where in a worker's area the left operand's pairs lie; 0: float32.
    long pairs;
} cvRecurrentAreas;

/// Some columns of a row-major matrix.
typedef struct {
    const float *base;
    long ld, columns;
} cvLongOperand;

/// One block of a product over many rows.
typedef struct {
    long rows;
    bool bfloat16;
    /// Rows of the operand are bfloat16 numbers.
    bool narrowStored, wideStored;
    cvLongOperand narrow, wide;
    /// [narrow columns · wide columns rounded up to vectors]
    float *sums;
    /// Sums of the wide operand's columns, rounded up to vectors; NULL: not wanted.
    float *columnSums;
} cvLongBlock;

typedef struct {
    const char *name;
    /// Floats in a vector; vectors in a panel of a packed matrix; rows of a product's register tile for it.
    int width, panel;

    // `rounds` times `peakFlops` operations on registers, twice as many in bfloat16; the result is of no interest.
    float (*peak)(bool bfloat16, long rounds, float factor, float term);
    long peakFlops;

    // A packed matrix [K, N]: panels of up to `panel` vectors of columns, each panel K rows one after the other.
    void (*packPanel)(const cvProduct *, long panel, float *packed);
    void (*productBlock)(const cvProduct *, const float *packed, long row, long rows, long panel, long panels,
                         float *areaA);
    void (*longProductBlock)(const cvLongBlock *, float *area);
    void (*addTransposed)(long rows, long columns, const float *x, long ld, long parts, long stride, float *c, long ldc,
                          bool accumulate);
    void (*addParts)(long columns, const float *x, long parts, long stride, float *c, bool accumulate);
    void (*columnSums)(long rows, long columns, const float *x, long ld, bool stored, float *sums);
    void (*add)(long n, const float *x, float *y);

    /// sum [width] = the sum of `count` rows of values, in order.
    void (*sumRows)(long width, const float *values, long ld, bool stored, const int32_t *index, long count, float *sum);
    void (*scaledCopy)(long n, float scale, const float *x, float *y, bool accumulate);
    void (*multiply)(long n, const float *a, const float *b, float *c, bool accumulate);
    void (*activate)(int activation, long n, const float *x, float *y);
    void (*activateBackward)(int activation, long n, const float *y, const float *dy, float *dx);
    void (*dropout)(long n, uint64_t element, uint32_t key, uint32_t threshold, float scale, const float *x, float *y);

    void (*maximum)(long n, const float *x, float *y, int32_t *argmax, int32_t row);
    void (*softmax)(long n, const float *logits, float *maximum, float *sum);
    void (*softmaxGradient)(long n, const float *logits, float maximum, float sum, float target, float factor,
                            float *dLogits);

    float (*sumOfSquares)(long n, const float *x);
    void (*clip)(long n, float limit, float *x);
    void (*sgd)(const cvSGD *, long n, float *w, const float *g, float *velocity);
    void (*adam)(const cvAdam *, long n, float *w, const float *g, float *m, float *v);
    void (*adamRow)(const cvAdamRows *, long index, long width);
    void (*rmsprop)(const cvRMSprop *, long n, float *w, const float *g, float *v, float *momentum);
    void (*average)(long n, float decay, float complement, const float *w, float *average);

    // Gates of 16-unit groups side by side: one register tile holds all gates of its units.
    void (*packGates)(bool bfloat16, long hidden, long state, int gates, long group, const float *w, float *packed);
    void (*recurrentForward)(const cvRecurrent *, const cvRecurrentAreas *, long row, float *work);
    void (*recurrentBackward)(const cvRecurrent *, const cvRecurrentAreas *, long row, float *work);
} cvKernels;

extern const cvKernels cvKernelsPlain;
#if defined(__x86_64__)
extern const cvKernels cvKernelsAVX2, cvKernelsAVX512, cvKernelsAVX512Bfloat16;
#endif

struct cvContext {
    cvPool *pool;
    const cvKernels *kernels;
    cvTuning tuning;
    void *blas;
    void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                  int ldb, float beta, float *c, int ldc);
    char description[128];
};

/// Elements along k of a packed operand: its numbers, or the pairs of them.
static inline long cvUnits(bool bfloat16, long k) { return bfloat16 ? (k + 1) / 2 : k; }
/// Where column `column` of a row begins, whose numbers are bfloat16 if `stored`.
static inline const float *cvColumn(bool stored, const float *row, long column) {
    return stored ? (const float *)(const void *)((const uint16_t *)(const void *)row + column) : row + column;
}
static inline long cvMin(long a, long b) { return a < b ? a : b; }
static inline long cvMax(long a, long b) { return a > b ? a : b; }
static inline long cvPieces(long n, long size) { return (n + size - 1) / size; }
static inline long cvRound(long n, long size) { return cvPieces(n, size) * size; }
