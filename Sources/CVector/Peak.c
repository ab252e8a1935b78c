#include "Kernels.h"

typedef struct {
    const cvKernels *kernels;
    bool bfloat16;
    long rounds;
    float *sums;
    /// Pieces the calling thread took.
    long *own;
} Job;

static void peakPiece(const void *argument, long piece, int worker) {
    const Job *job = argument;
    if (worker == 0) ++*job->own;
    // The factors come from memory, so that the compiler cannot know them; the chains stay finite.
    volatile float factor = 0.5f, term = 0.5f;
    job->sums[piece] = job->kernels->peak(job->bfloat16, job->rounds, factor, term);
}

double cvPeak(cvContext *context, bool bfloat16, long rounds, float *sums) {
    // Small pieces, so that a thread that wakes late still has its share.
    long pieces = cvPeakPieces * cvContextThreads(context);
    long own = 0;
    Job job = {context->kernels, bfloat16, rounds, sums, &own};
    cvPoolRun(context->pool, pieces, true, peakPiece, &job);
    return (double)own * (double)rounds * (double)context->kernels->peakFlops * (bfloat16 ? 2 : 1);
}
