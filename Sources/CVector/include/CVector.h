// Hot loops of the CPU backend: plain C, three instruction sets in one binary, one pool of worker threads.
//
// Every function takes a context (threads, instruction set, BLAS) and row-major float32 arrays. No function
// allocates: scratch memory comes from the caller, who asks for its size first. Work is cut into pieces by
// shape alone and the threads draw pieces from a counter, so results do not depend on the number of threads.
#pragma once
#include <stdint.h>
#include <stdbool.h>

typedef struct cvContext cvContext;

enum { cvPlain = 0, cvAVX2 = 1, cvAVX512 = 2, cvAVX512Bfloat16 = 3 };
enum { cvLinear = 0, cvTanh = 1, cvSigmoid = 2, cvReLU = 3, cvHardSigmoid = 4 };
enum { cvRNN = 0, cvLSTM = 1, cvGRU = 2 };

/// How work is cut; results do not depend on it. Rows and columns of a block of a product; sequences a worker takes
/// through a recurrent layer, and through one whose weights exceed the second-level cache.
typedef struct {
    long productRows, productColumns, blockRows, largeBlockRows;
} cvTuning;

/// The best instruction set of this processor.
int cvBestInstructionSet(void);
/// Cores this process may run on.
int cvUsableCores(void);
/// NULL if memory runs out. Starts `threads` - 1 workers (fewer if the system refuses them).
cvContext *cvContextCreate(int threads, int instructionSet, cvTuning tuning);
/// A context that needs the same scratch memory as this one but touches no array and computes nothing. NULL if memory
/// runs out.
cvContext *cvContextCreatePlanner(const cvContext *);
void cvContextDestroy(cvContext *);
int cvContextThreads(const cvContext *);
/// Opens OpenBLAS at run time and uses it for large products; false if there is none.
bool cvContextUseBLAS(cvContext *);
/// What OpenBLAS says of itself; NULL without it.
const char *cvContextBLASDescription(const cvContext *);

// MARK: Measuring

/// Runs rounds of multiply-adds on registers on every thread; the floating-point operations that the caller's did.
/// `sums` holds `cvPeakPieces` floats per thread.
enum { cvPeakPieces = 8 };
double cvPeak(cvContext *, bool bfloat16, long rounds, float *sums);

// MARK: Matrix products

/// c [m, n] (= or +=) op(a) op(b) + bias; `lda`, `ldb`, `ldc` are the distances of stored rows.
typedef struct {
    long m, n, k;
    const float *a;
    long lda;
    bool transposeA;
    const float *b;
    long ldb;
    bool transposeB;
    const float *bias;
    float *c;
    long ldc;
    bool accumulate;
    /// [m] += the sums over k of op(a), not rounded here; only for a transposed `a`. NULL: not wanted.
    float *sumsOfA;
    /// Operands are rounded to bfloat16, to the same bits with AVX2 and AVX-512.
    bool bfloat16;
    /// Rows of the operand are bfloat16 numbers already, two in the place of a float, of which `lda` or `ldb` still counts:
    /// see `cvRecurrent.compact`. Only with `bfloat16` and without `transposeB`.
    bool storedA, storedB;
} cvProduct;

/// Floats of scratch memory `cvMultiply` needs.
long cvMultiplyScratch(const cvContext *, const cvProduct *);
void cvMultiply(cvContext *, const cvProduct *, float *scratch);
/// Floats of scratch memory `cvColumnSums` needs.
long cvColumnSumsScratch(long rows, long columns);
/// sums [columns] (= or +=) the sums over the rows of x, whose rows lie `ld` floats apart and are bfloat16 if `stored`.
void cvColumnSums(cvContext *, long rows, long columns, const float *x, long ld, bool stored, float *sums, bool accumulate,
                  float *scratch);

// MARK: Element-wise

void cvFill(cvContext *, long n, float value, float *x);
/// target (= or +=) scale * source for `rows` rows of `width` elements.
void cvCopyColumns(cvContext *, long rows, long width, float scale, const float *source, long lds, float *target,
                   long ldt, bool accumulate);
void cvMultiplyElements(cvContext *, long n, const float *a, const float *b, float *c, bool accumulate);
void cvActivate(cvContext *, int activation, long n, const float *x, float *y);
void cvActivateBackward(cvContext *, int activation, long n, const float *y, const float *dy, float *dx);
/// `maskRows` NULL: row m has mask row m.
void cvDropout(cvContext *, long rows, long width, const float *x, float *y, const int32_t *maskRows, uint32_t key,
               uint32_t threshold, float scale);

// MARK: Tables

void cvGather(cvContext *, long rows, long width, const float *table, const int32_t *index, float *y);
/// `values` have rows `ld` floats apart, of bfloat16 if `stored`.
void cvSegmentSums(cvContext *, long segments, long width, const float *values, long ld, bool stored, const int32_t *order,
                   const int32_t *bounds, float *sums);
void cvScatterAdd(cvContext *, long rows, long width, const float *values, const int32_t *index, float *table);

// MARK: Pooling and loss

/// `argmax` NULL: mean, else maximum. `offsets` [T + 1], `lengths` [B].
void cvPoolSequences(cvContext *, long batch, long width, const long *offsets, const long *lengths, const float *x, float *y,
                     int32_t *argmax);
void cvPoolSequencesBackward(cvContext *, long batch, long width, const long *offsets, const long *lengths, const float *dy,
                             const int32_t *argmax, float *dx);
/// `weights` and `dLogits` may be NULL.
void cvSoftmaxCrossEntropy(cvContext *, long batch, long classes, const float *logits, const int32_t *labels,
                           const float *weights, float smoothing, float scale, float *losses, float *dLogits);
void cvSigmoidCrossEntropy(cvContext *, long batch, const float *logits, const int32_t *labels, const float *weights,
                           float smoothing, float scale, float *losses, float *dLogits);

// MARK: Optimizers

/// Floats of scratch memory `cvSquaredNorm` needs.
long cvSquaredNormScratch(long n);
float cvSquaredNorm(cvContext *, long n, const float *x, float *scratch);
/// x *= factor
void cvScale(cvContext *, long n, float factor, float *x);
void cvClip(cvContext *, long n, float limit, float *x);

typedef struct {
    float rate, momentum, weightDecay;
    bool nesterov, keras, first;
} cvSGD;
/// `velocity` NULL: no momentum.
void cvSGDStep(cvContext *, const cvSGD *, long n, float *w, const float *g, float *velocity);

/// w -= decay * w; m, v averaged; w -= rate * m / (sqrt(v) * rootScale + epsilon)
typedef struct {
    float rate, beta1, oneMinusBeta1, beta2, oneMinusBeta2, epsilon, decay, rootScale;
} cvAdam;
void cvAdamStep(cvContext *, const cvAdam *, long n, float *w, const float *g, float *m, float *v);

/// What a row that gets no gradient takes: a step of Adam, or average = averageDecay * average + complement * w.
typedef struct {
    float rate, decay, rootScale, averageDecay, complement, isAverage, unused[2];
} cvAdamEvent;

/// Rows of a table that take the events after their marks, and with gradients one more step; see `AdamRowsPass`.
typedef struct {
    cvAdam step;
    const cvAdamEvent *events;
    /// The last event that has happened; the one that the step with gradients is; from which on updates only shrink.
    int32_t last, number, calmFrom;
    /// Whether weights decay in any step.
    bool decays;
    /// [V]
    int32_t *marks;
    /// [n] and [n, width]; NULL: all rows in order; no gradients.
    const int32_t *rows;
    const float *gradients;
    /// [V, width]; `average` may be NULL.
    float *w, *m, *v, *average;
} cvAdamRows;
void cvAdamRowsStep(cvContext *, const cvAdamRows *, long n, long width);

typedef struct {
    float rate, rho, oneMinusRho, momentum, epsilon;
    bool keras;
} cvRMSprop;
/// `momentum` NULL: none.
void cvRMSpropStep(cvContext *, const cvRMSprop *, long n, float *w, const float *g, float *v, float *momentum);
/// average = decay * average + complement * w
void cvAverage(cvContext *, long n, float decay, float complement, const float *w, float *average);

// MARK: Recurrent layers

/// The time loop of one layer over one packed batch, forward and backward. Shapes as in `RecurrentPass`; absent
/// operands are NULL. The products over all rows (input projection, weight gradients) are the caller's.
typedef struct {
    int kind, activation, recurrentActivation;
    bool resetAfter;
    /// Operands of products are rounded to bfloat16.
    bool bfloat16;
    /// What training keeps takes 16 bits a number, for half the way to memory and back: gates in fixed point, `c`,
    /// `candidate` and `previousH` as the bfloat16 of the products; the gradients of the gates as well. Rows stay row-major,
    /// `gatesLd` floats apart in `gates`, without a gap elsewhere (`previousH`: an even number to a row). Only with bfloat16,
    /// tanh and sigmoid, and not for a GRU with reset before.
    bool compact;
    /// Floats from a row of `gates` to the next.
    long gatesLd;
    long batch, steps, hidden, state;
    /// [B], [T], [T + 1]
    const long *lengths, *active, *offsets;
    /// [H·G, R], [R, H], biases [H·G]
    const float *wHH, *wHR, *bIH, *bHH;
    const float *h0, *c0;
    /// [B, R] factors of h(t - 1) in products with W_hh, in training; NULL: none.
    const float *mask;
    float *y, *hT, *cT;
    /// W_ih x without biases: [N, G·H], or [U, G·H] with `positions` [N]. May be `gates` itself.
    const float *projection;
    const int32_t *positions;
    /// What training keeps; all NULL in inference. `previousH`: what W_hh multiplied, h(t - 1) times the mask.
    float *gates, *previousH, *c, *candidate, *projected;
    /// Backward only. Afterwards `gates` holds the gradients of a + u (for a GRU with `resetAfter` that of a), and
    /// `candidate` of such a GRU that of u_n. `dhAll` [N, R] receives the gradient of h, projection only.
    const float *dy, *dhT, *dcT;
    float *dh0, *dc0, *dhAll;
} cvRecurrent;

/// Rows of the batch one worker takes through the whole sequence.
long cvRecurrentBlock(const cvContext *, int kind, long hidden, long state, long batch);
/// Floats of scratch memory the two functions below need.
long cvRecurrentScratch(const cvContext *, const cvRecurrent *);
void cvRecurrentForward(cvContext *, const cvRecurrent *, float *scratch);
void cvRecurrentBackward(cvContext *, const cvRecurrent *, float *scratch);
