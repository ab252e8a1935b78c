#include "Kernels.h"
#include <string.h>

// A call first packs the recurrent weights for its direction (once, by all workers), then workers take
// blocks of batch rows through all steps. Workers meet only at the end of the call, never per step.

typedef struct {
    const cvKernels *kernels;
    const cvRecurrent *pass;
    cvRecurrentAreas areas;
    cvProduct first, second;
    /// Panels of the first and second packed matrix; `gates` > 0: the first is packed by unit groups.
    long firstPanels, secondPanels;
    int gates;
    /// Floats before the workers' areas.
    long size;
} Job;

/// The next `count` floats of the scratch memory on a cache line; NULL while only counting.
static float *take(long *size, float *scratch, long count) {
    float *area = scratch ? scratch + *size : NULL;
    *size += cvRound(count, 16);
    return area;
}

static int gateCount(int kind) { return kind == cvLSTM ? 4 : kind == cvGRU ? 3 : 1; }

/// Rows of a block at most.
static long mostRows(const cvContext *context, int kind, long hidden, long state, long batch) {
    // Weights beyond a second-level cache are read from the third once per block and step: larger blocks
    // share each reading among more rows.
    bool large = gateCount(kind) * hidden * state * (long)sizeof(float) > 768 * 1024;
    return large && batch >= 48 ? context->tuning.largeBlockRows : context->tuning.blockRows;
}

long cvRecurrentBlock(const cvContext *context, int kind, long hidden, long state, long batch) {
    // As many blocks for every thread, so that none is idle; how rows are shared out changes no result.
    long most = mostRows(context, kind, hidden, state, batch);
    long blocks = cvMax(1, cvRound(cvPieces(batch, most), cvPoolThreads(context->pool)));
    return cvMax(1, cvPieces(batch, blocks));
}

static long areaSize(const cvRecurrent *p, long block) {
    long gates = gateCount(p->kind) * cvRound(p->hidden, 16);
    long forward = cvRound(2 * block * p->hidden, 16) + (block + 1) * gates + (p->compact ? gates : 0);
    return cvMax(forward, cvRound(block * (p->state + 6 * p->hidden), 16)) + 16;
}

static Job plan(const cvContext *context, const cvRecurrent *p, bool backward, float *scratch) {
    const cvKernels *kernels = context->kernels;
    long H = p->hidden, R = p->state, width = kernels->width, columns = width * kernels->panel;
    bool bfloat16 = p->bfloat16;
    Job job = {.kernels = kernels, .pass = p};
    cvProduct none = {0};
    job.first = job.second = none;
    bool resetBefore = p->kind == cvGRU && !p->resetAfter;
    long rows = gateCount(p->kind) * H;
    if (!backward) {
        // u = h W^T: [R, G·H].
        job.gates = p->kind == cvRNN ? 0 : resetBefore ? 2 : gateCount(p->kind);
        job.first = (cvProduct){.n = H, .k = R, .b = p->wHH, .ldb = R, .transposeB = true};
        if (resetBefore) job.second = (cvProduct){.n = H, .k = H, .b = p->wHH + 2 * H * H, .ldb = H, .transposeB = true};
        if (p->wHR) job.second = (cvProduct){.n = R, .k = H, .b = p->wHR, .ldb = H, .transposeB = true};
    } else {
        // dh = du W: [G·H, R].
        job.first = (cvProduct){.n = R, .k = resetBefore ? 2 * H : rows, .b = p->wHH, .ldb = R};
        if (resetBefore) job.second = (cvProduct){.n = H, .k = H, .b = p->wHH + 2 * H * H, .ldb = H};
        if (p->wHR) job.second = (cvProduct){.n = H, .k = R, .b = p->wHR, .ldb = H};
    }
    job.first.bfloat16 = job.second.bfloat16 = bfloat16;
    job.firstPanels = job.gates > 0 ? cvPieces(H, width) : cvPieces(job.first.n, columns);
    job.secondPanels = job.second.b ? cvPieces(job.second.n, columns) : 0;

    long firstSize = cvRound(job.first.n, width) * cvUnits(bfloat16, job.first.k) * cvMax(1, job.gates);
    long secondSize = job.second.b ? cvRound(job.second.n, width) * cvUnits(bfloat16, job.second.k) : 0;
    cvRecurrentAreas *areas = &job.areas;
    areas->block = cvRecurrentBlock(context, p->kind, H, R, p->batch);
    // For the largest block of so many sequences or fewer, so that a smaller batch never needs more.
    long block = cvMin(p->batch, mostRows(context, p->kind, H, R, p->batch));
    areas->workStride = areaSize(p, block);
    if (bfloat16) {
        areas->pairs = areas->workStride;
        areas->workStride += cvRound(block * cvUnits(true, cvMax(rows, R)), 16);
    }
    areas->first = take(&job.size, scratch, firstSize);
    areas->second = take(&job.size, scratch, secondSize);
    areas->bias = take(&job.size, scratch, (gateCount(p->kind) + 1) * cvRound(H, width));
    areas->zeros = take(&job.size, scratch, cvMax(H, R));
    areas->work = take(&job.size, scratch, 0);
    return job;
}

long cvRecurrentScratch(const cvContext *context, const cvRecurrent *p) {
    long most = 0;
    for (int backward = 0; backward < 2; backward++) {
        Job job = plan(context, p, backward, NULL);
        most = cvMax(most, job.size + job.areas.workStride * cvPoolThreads(context->pool));
    }
    return most;
}

static void packPiece(const void *argument, long piece, int worker) {
    (void)worker;
    const Job *job = argument;
    if (piece >= job->firstPanels) {
        job->kernels->packPanel(&job->second, piece - job->firstPanels, job->areas.second);
    } else if (job->gates > 0) {
        job->kernels->packGates(job->first.bfloat16, job->pass->hidden, job->pass->state, job->gates, piece, job->pass->wHH, job->areas.first);
    } else {
        job->kernels->packPanel(&job->first, piece, job->areas.first);
    }
}

static void prepare(cvContext *context, const Job *job) {
    const cvRecurrent *p = job->pass;
    long H = p->hidden, Hp = cvRound(H, job->kernels->width);
    int gates = gateCount(p->kind);
    bool apart = p->kind == cvGRU && p->resetAfter;
    float *bias = job->areas.bias;
    memset(bias, 0, sizeof(float) * (size_t)((gates + 1) * Hp));
    for (int g = 0; g < gates; g++) {
        for (long i = 0; i < H; i++) {
            if (p->bIH) bias[g * Hp + i] = p->bIH[g * H + i];
            if (!p->bHH) continue;
            if (apart && g == 2) bias[3 * Hp + i] = p->bHH[g * H + i];
            else bias[g * Hp + i] += p->bHH[g * H + i];
        }
    }
    memset(job->areas.zeros, 0, sizeof(float) * (size_t)cvMax(H, p->state));
    cvPoolRun(context->pool, job->firstPanels + job->secondPanels, gates * H * p->state >= 65536, packPiece, job);
}

static void forwardPiece(const void *argument, long piece, int worker) {
    const Job *job = argument;
    job->kernels->recurrentForward(job->pass, &job->areas, piece * job->areas.block,
                                   job->areas.work + worker * job->areas.workStride);
}

static void backwardPiece(const void *argument, long piece, int worker) {
    const Job *job = argument;
    job->kernels->recurrentBackward(job->pass, &job->areas, piece * job->areas.block,
                                    job->areas.work + worker * job->areas.workStride);
}

static bool parallel(const cvRecurrent *p) {
    return p->steps > 0 && gateCount(p->kind) * p->hidden * p->state * p->offsets[p->steps] >= 200000;
}

void cvRecurrentForward(cvContext *context, const cvRecurrent *p, float *scratch) {
    if (cvPoolIsIdle(context->pool)) return;
    Job job = plan(context, p, false, scratch);
    prepare(context, &job);
    cvPoolRun(context->pool, cvPieces(p->batch, job.areas.block), parallel(p), forwardPiece, &job);
}

void cvRecurrentBackward(cvContext *context, const cvRecurrent *p, float *scratch) {
    if (cvPoolIsIdle(context->pool)) return;
    Job job = plan(context, p, true, scratch);
    prepare(context, &job);
    cvPoolRun(context->pool, cvPieces(p->batch, job.areas.block), parallel(p), backwardPiece, &job);
}
