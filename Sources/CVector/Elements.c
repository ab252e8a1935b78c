#include "Kernels.h"
#include <math.h>
#include <string.h>

// Arrays are cut into pieces of 16,384 elements, tables into groups of rows; short ones stay on the caller's thread.

enum { span = 16384 };

typedef struct {
    const cvKernels *kernels;
    long n, width, lds, ldt;
    const float *a, *b;
    float *c, *d, *e;
    const int32_t *index, *bounds;
    const long *offsets, *lengths;
    int32_t *argmax;
    const void *step;
    float value, other;
    uint32_t key, threshold;
    int activation;
    bool accumulate, stored;
} Job;

static void overElements(cvContext *context, Job *job, cvPiece piece) {
    job->kernels = context->kernels;
    cvPoolRun(context->pool, cvPieces(job->n, span), job->n >= 2 * span, piece, job);
}

/// Rows of one piece: about `span` elements.
static long rowsPerPiece(const Job *job) { return cvMax(1, span / cvMax(1, job->width)); }

static void overRows(cvContext *context, Job *job, cvPiece piece) {
    job->kernels = context->kernels;
    cvPoolRun(context->pool, cvPieces(job->n, rowsPerPiece(job)), job->n * job->width >= 2 * span, piece, job);
}

#define ELEMENTS(name, CALL) \
    static void name(const void *argument, long piece, int worker) { \
        (void)worker; \
        const Job *j = argument; \
        const long i = piece * span, n = cvMin(span, j->n - i); \
        CALL; \
    }
#define ROWS(name, BODY) \
    static void name(const void *argument, long piece, int worker) { \
        (void)worker; \
        const Job *j = argument; \
        const long first = piece * rowsPerPiece(j), last = cvMin(first + rowsPerPiece(j), j->n); \
        for (long r = first; r < last; r++) BODY \
    }
#define OFFSET(p) ((p) ? (p) + i : NULL)

ELEMENTS(fillPiece, for (long k = 0; k < n; k++) j->c[i + k] = j->value)
ELEMENTS(multiplyPiece, j->kernels->multiply(n, j->a + i, j->b + i, j->c + i, j->accumulate))
ELEMENTS(activatePiece, j->kernels->activate(j->activation, n, j->a + i, j->c + i))
ELEMENTS(activateBackwardPiece, j->kernels->activateBackward(j->activation, n, j->a + i, j->b + i, j->c + i))
ELEMENTS(scalePiece, j->kernels->scaledCopy(n, j->value, j->c + i, j->c + i, false))
ELEMENTS(clipPiece, j->kernels->clip(n, j->value, j->c + i))
ELEMENTS(sgdPiece, j->kernels->sgd(j->step, n, j->c + i, j->a + i, OFFSET(j->d)))
ELEMENTS(adamPiece, j->kernels->adam(j->step, n, j->c + i, j->a + i, j->d + i, j->e + i))
ELEMENTS(rmspropPiece, j->kernels->rmsprop(j->step, n, j->c + i, j->a + i, j->d + i, OFFSET(j->e)))
ELEMENTS(averagePiece, j->kernels->average(n, j->value, j->other, j->a + i, j->c + i))
ELEMENTS(squaresPiece, j->c[piece] = j->kernels->sumOfSquares(n, j->a + i))

ROWS(copyPiece, {
    const float *x = j->a + r * j->lds;
    float *y = j->c + r * j->ldt;
    if (j->value == 1.0f && !j->accumulate) memcpy(y, x, sizeof(float) * (size_t)j->width);
    else j->kernels->scaledCopy(j->width, j->value, x, y, j->accumulate);
})
ROWS(dropoutPiece, {
    uint64_t row = (uint64_t)(j->index ? j->index[r] : r);
    j->kernels->dropout(j->width, row * (uint64_t)j->width, j->key, j->threshold, j->value, j->a + r * j->width,
                        j->c + r * j->width);
})
ROWS(gatherPiece, memcpy(j->c + r * j->width, j->a + j->index[r] * j->width, sizeof(float) * (size_t)j->width);)
ROWS(scatterPiece, j->kernels->add(j->width, j->a + r * j->width, j->c + j->index[r] * j->width);)
ROWS(segmentPiece, j->kernels->sumRows(j->width, j->a, j->lds, j->stored, j->index + j->bounds[r], j->bounds[r + 1] - j->bounds[r], j->c + r * j->width);)

void cvFill(cvContext *context, long n, float value, float *x) {
    Job job = {.n = n, .value = value, .c = x};
    overElements(context, &job, fillPiece);
}

void cvCopyColumns(cvContext *context, long rows, long width, float scale, const float *source, long lds, float *target,
                   long ldt, bool accumulate) {
    Job job = {.n = rows, .width = width, .value = scale, .a = source, .lds = lds, .c = target, .ldt = ldt,
               .accumulate = accumulate};
    overRows(context, &job, copyPiece);
}

void cvMultiplyElements(cvContext *context, long n, const float *a, const float *b, float *c, bool accumulate) {
    Job job = {.n = n, .a = a, .b = b, .c = c, .accumulate = accumulate};
    overElements(context, &job, multiplyPiece);
}

void cvActivate(cvContext *context, int activation, long n, const float *x, float *y) {
    Job job = {.n = n, .a = x, .c = y, .activation = activation};
    overElements(context, &job, activatePiece);
}

void cvActivateBackward(cvContext *context, int activation, long n, const float *y, const float *dy, float *dx) {
    Job job = {.n = n, .a = y, .b = dy, .c = dx, .activation = activation};
    overElements(context, &job, activateBackwardPiece);
}

void cvDropout(cvContext *context, long rows, long width, const float *x, float *y, const int32_t *maskRows, uint32_t key,
               uint32_t threshold, float scale) {
    Job job = {.n = rows, .width = width, .a = x, .c = y, .index = maskRows, .key = key, .threshold = threshold,
               .value = scale};
    overRows(context, &job, dropoutPiece);
}

void cvGather(cvContext *context, long rows, long width, const float *table, const int32_t *index, float *y) {
    Job job = {.n = rows, .width = width, .a = table, .index = index, .c = y};
    overRows(context, &job, gatherPiece);
}

void cvSegmentSums(cvContext *context, long segments, long width, const float *values, long ld, bool stored,
                   const int32_t *order, const int32_t *bounds, float *sums) {
    Job job = {.n = segments, .width = width, .a = values, .lds = ld, .stored = stored, .index = order, .bounds = bounds, .c = sums};
    overRows(context, &job, segmentPiece);
}

void cvScatterAdd(cvContext *context, long rows, long width, const float *values, const int32_t *index, float *table) {
    Job job = {.n = rows, .width = width, .a = values, .index = index, .c = table};
    overRows(context, &job, scatterPiece);
}

// Pooling: one sequence is one piece.

static void poolPiece(const void *argument, long b, int worker) {
    (void)worker;
    const Job *j = argument;
    float *y = j->c + b * j->width;
    long length = j->lengths[b];
    memset(y, 0, sizeof(float) * (size_t)j->width);
    if (!j->argmax) {
        for (long t = 0; t < length; t++) j->kernels->add(j->width, j->a + (j->offsets[t] + b) * j->width, y);
        if (length > 0) j->kernels->scaledCopy(j->width, 1.0f / (float)length, y, y, false);
        return;
    }
    int32_t *argmax = j->argmax + b * j->width;
    for (long i = 0; i < j->width; i++) {
        argmax[i] = length > 0 ? (int32_t)(j->offsets[0] + b) : -1;
        if (length > 0) y[i] = j->a[(j->offsets[0] + b) * j->width + i];
    }
    for (long t = 1; t < length; t++) {
        long n = j->offsets[t] + b;
        j->kernels->maximum(j->width, j->a + n * j->width, y, argmax, (int32_t)n);
    }
}

static void poolBackwardPiece(const void *argument, long b, int worker) {
    (void)worker;
    const Job *j = argument;
    const float *dy = j->a + b * j->width;
    if (!j->index) {
        for (long t = 0; t < j->lengths[b]; t++) {
            j->kernels->scaledCopy(j->width, 1.0f / (float)j->lengths[b], dy, j->c + (j->offsets[t] + b) * j->width, true);
        }
        return;
    }
    const int32_t *argmax = j->index + b * j->width;
    for (long i = 0; i < j->width; i++) {
        if (argmax[i] >= 0) j->c[argmax[i] * j->width + i] += dy[i];
    }
}

void cvPoolSequences(cvContext *context, long batch, long width, const long *offsets, const long *lengths,
                     const float *x, float *y, int32_t *argmax) {
    Job job = {.kernels = context->kernels, .width = width, .offsets = offsets, .lengths = lengths, .a = x, .c = y,
               .argmax = argmax};
    cvPoolRun(context->pool, batch, batch > 0 && batch * lengths[0] * width >= 2 * span, poolPiece, &job);
}

void cvPoolSequencesBackward(cvContext *context, long batch, long width, const long *offsets, const long *lengths,
                             const float *dy, const int32_t *argmax, float *dx) {
    Job job = {.kernels = context->kernels, .width = width, .offsets = offsets, .lengths = lengths, .a = dy,
               .index = argmax, .c = dx};
    cvPoolRun(context->pool, batch, batch > 0 && batch * lengths[0] * width >= 2 * span, poolBackwardPiece, &job);
}

// Cross entropy: target_c = (1 − ε)·[c = label] + ε/C.

typedef struct {
    const cvKernels *kernels;
    long batch, classes, group;
    const float *logits, *weights;
    const int32_t *labels;
    float smoothing, scale, *losses, *dLogits;
} LossJob;

static void softmaxRow(const LossJob *j, long b) {
    const float *x = j->logits + b * j->classes;
    float weight = j->weights ? j->weights[b] : 1.0f, off = j->smoothing / (float)j->classes;
    float highest, sum;
    j->kernels->softmax(j->classes, x, &highest, &sum);
    // loss = log Σ exp − Σ target · x; the smoothed share is the mean logit.
    float mixed = (1.0f - j->smoothing) * (x[j->labels[b]] - highest);
    if (j->smoothing != 0.0f) {
        float total = 0;
        for (long c = 0; c < j->classes; c++) total += x[c] - highest;
        mixed += off * total;
    }
    j->losses[b] = weight * (logf(sum) - mixed);
    if (!j->dLogits) return;
    float factor = j->scale * weight;
    float *dx = j->dLogits + b * j->classes;
    j->kernels->softmaxGradient(j->classes, x, highest, sum, off, factor, dx);
    // The label's own target, rounded once: of a single class it is exactly 1.
    double target = 1.0 - (double)j->smoothing + (double)j->smoothing / (double)j->classes;
    j->kernels->softmaxGradient(1, x + j->labels[b], highest, sum, (float)target, factor, dx + j->labels[b]);
}

static void softmaxPiece(const void *argument, long piece, int worker) {
    (void)worker;
    const LossJob *j = argument;
    for (long b = piece * j->group; b < cvMin((piece + 1) * j->group, j->batch); b++) softmaxRow(j, b);
}

void cvSoftmaxCrossEntropy(cvContext *context, long batch, long classes, const float *logits, const int32_t *labels,
                           const float *weights, float smoothing, float scale, float *losses, float *dLogits) {
    LossJob job = {context->kernels, batch, classes, cvMax(1, span / cvMax(1, classes)), logits, weights, labels,
                   smoothing, scale, losses, dLogits};
    cvPoolRun(context->pool, cvPieces(batch, job.group), batch * classes >= 2 * span, softmaxPiece, &job);
}

static void sigmoidPiece(const void *argument, long piece, int worker) {
    (void)piece, (void)worker;
    const LossJob *j = argument;
    for (long b = 0; b < j->batch; b++) {
        float x = j->logits[b], weight = j->weights ? j->weights[b] : 1.0f;
        float target = (1.0f - j->smoothing) * (float)j->labels[b] + 0.5f * j->smoothing;
        j->losses[b] = weight * (fmaxf(x, 0.0f) - x * target + log1pf(expf(-fabsf(x))));
        if (j->dLogits) {
            float e = expf(-fabsf(x));
            float p = x >= 0.0f ? 1.0f / (1.0f + e) : e / (1.0f + e);
            j->dLogits[b] = j->scale * weight * (p - target);
        }
    }
}

void cvSigmoidCrossEntropy(cvContext *context, long batch, const float *logits, const int32_t *labels,
                           const float *weights, float smoothing, float scale, float *losses, float *dLogits) {
    LossJob job = {context->kernels, batch, 1, batch, logits, weights, labels, smoothing, scale, losses, dLogits};
    cvPoolRun(context->pool, batch > 0 ? 1 : 0, false, sigmoidPiece, &job);
}

// Optimizers.

long cvSquaredNormScratch(long n) { return cvPieces(n, span); }

float cvSquaredNorm(cvContext *context, long n, const float *x, float *scratch) {
    Job job = {.n = n, .a = x, .c = scratch};
    overElements(context, &job, squaresPiece);
    if (cvPoolIsIdle(context->pool)) return 0;
    double sum = 0;
    for (long i = 0; i < cvPieces(n, span); i++) sum += (double)scratch[i];
    return (float)sum;
}

void cvScale(cvContext *context, long n, float factor, float *x) {
    Job job = {.n = n, .value = factor, .c = x};
    overElements(context, &job, scalePiece);
}

void cvClip(cvContext *context, long n, float limit, float *x) {
    Job job = {.n = n, .value = limit, .c = x};
    overElements(context, &job, clipPiece);
}

void cvSGDStep(cvContext *context, const cvSGD *step, long n, float *w, const float *g, float *velocity) {
    Job job = {.n = n, .step = step, .c = w, .a = g, .d = velocity};
    overElements(context, &job, sgdPiece);
}

void cvAdamStep(cvContext *context, const cvAdam *step, long n, float *w, const float *g, float *m, float *v) {
    Job job = {.n = n, .step = step, .c = w, .a = g, .d = m, .e = v};
    overElements(context, &job, adamPiece);
}

// Rows differ in what they have to make up for, so pieces are small.
enum { rowsOfAdamPiece = 8 };

typedef struct {
    const cvKernels *kernels;
    const cvAdamRows *rows;
    long n, width;
} AdamRowsJob;

static void adamRowsPiece(const void *argument, long piece, int worker) {
    (void)worker;
    const AdamRowsJob *j = argument;
    const long first = piece * rowsOfAdamPiece, last = cvMin(first + rowsOfAdamPiece, j->n);
    for (long r = first; r < last; r++) j->kernels->adamRow(j->rows, r, j->width);
}

void cvAdamRowsStep(cvContext *context, const cvAdamRows *rows, long n, long width) {
    AdamRowsJob job = {context->kernels, rows, n, width};
    cvPoolRun(context->pool, cvPieces(n, rowsOfAdamPiece), n * width >= 2 * span, adamRowsPiece, &job);
}

void cvRMSpropStep(cvContext *context, const cvRMSprop *step, long n, float *w, const float *g, float *v,
                   float *momentum) {
    Job job = {.n = n, .step = step, .c = w, .a = g, .d = v, .e = momentum};
    overElements(context, &job, rmspropPiece);
}

void cvAverage(cvContext *context, long n, float decay, float complement, const float *w, float *average) {
    Job job = {.n = n, .value = decay, .other = complement, .a = w, .c = average};
    overElements(context, &job, averagePiece);
}
