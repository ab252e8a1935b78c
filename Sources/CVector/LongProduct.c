#include "LongProduct.h"

// The output is cut into blocks, and where these are too few to share out, the rows into parts, each with sums of
// its own that are added in order. Both depend on the shape alone.

enum {
    // The deepest cut of any instruction set; see productBlock.
    depth = 256,
    // A transposed copy of so many columns and a panel of the other operand stay in the second-level cache together.
    narrowBlock = 192,
    // Every block of wide columns makes its own transposed copy: wide enough that it does not matter.
    wideBlock = 1024,
    pieces = 8,
    // Fewer rows than this do not pay for sums of their own.
    shortestPart = 512,
};

typedef struct {
    const cvKernels *kernels;
    const cvProduct *product;
    /// a is the wider operand, so the sums are those of c transposed.
    bool flipped;
    /// Columns of the operands, their blocks, the parts of the rows and how many of them there is memory for: that many
    /// grow with the rows, so that a larger batch never needs less.
    long narrow, wide, narrowSize, wideSize, narrowBlocks, wideBlocks, parts, partRows, roomForParts;
    /// Floats: of a block's sums, of its column sums, of a worker's area.
    long blockSums, areaSize;
    float *sums, *columnSums, *areas;
} Job;

bool cvIsLongProduct(const cvProduct *p) {
    // The sums are written once more than in other products, which must be little beside the arithmetic.
    return p->transposeA && !p->transposeB && !p->bias && p->m > 0 && p->n > 0
        && p->k >= cvMax(depth, 8 * cvMin(p->m, p->n));
}

static Job plan(const cvContext *context, const cvProduct *p, float *scratch) {
    Job job = {.kernels = context->kernels, .product = p, .flipped = p->m >= p->n};
    long width = context->kernels->width, panel = width * context->kernels->panel;
    job.narrow = job.flipped ? p->n : p->m;
    job.wide = job.flipped ? p->m : p->n;
    job.narrowBlocks = cvPieces(job.narrow, narrowBlock);
    job.narrowSize = cvPieces(job.narrow, job.narrowBlocks);
    job.wideBlocks = cvPieces(job.wide, wideBlock);
    job.wideSize = cvRound(cvPieces(job.wide, job.wideBlocks), panel);
    job.wideBlocks = cvPieces(job.wide, job.wideSize);
    long blocks = job.narrowBlocks * job.wideBlocks;
    long most = cvMin(cvPieces(pieces, blocks), p->k / shortestPart);
    // A power of two, so that they can be shared out evenly.
    job.parts = 1;
    while (2 * job.parts <= most) job.parts *= 2;
    job.roomForParts = job.parts;
    job.partRows = cvRound(cvPieces(p->k, job.parts), 16);
    job.parts = cvPieces(p->k, job.partRows);
    job.blockSums = job.narrowSize * job.wideSize;
    job.areaSize = depth * (panel + cvRound(job.narrowSize, 16) * (p->bfloat16 ? 2 : 1));
    job.sums = scratch;
    job.columnSums = scratch + blocks * job.roomForParts * job.blockSums;
    job.areas = job.columnSums + job.wideBlocks * job.roomForParts * job.wideSize;
    return job;
}

long cvLongProductScratch(const cvContext *context, const cvProduct *p) {
    Job job = plan(context, p, NULL);
    return job.narrowBlocks * job.wideBlocks * job.roomForParts * job.blockSums + job.wideBlocks * job.roomForParts * job.wideSize
        + cvPoolThreads(context->pool) * job.areaSize;
}

static cvLongOperand columns(const float *base, long ld, bool stored, long row, long first, long size, long all) {
    return (cvLongOperand){cvColumn(stored, base + row * ld, first), ld, cvMin(size, all - first)};
}

static void blockPiece(const void *argument, long piece, int worker) {
    const Job *job = argument;
    const cvProduct *p = job->product;
    long part = piece % job->parts, block = piece / job->parts;
    long narrow = block / job->wideBlocks, wide = block % job->wideBlocks, row = part * job->partRows;
    const float *narrowBase = job->flipped ? p->b : p->a, *wideBase = job->flipped ? p->a : p->b;
    long narrowLd = job->flipped ? p->ldb : p->lda, wideLd = job->flipped ? p->lda : p->ldb;
    bool narrowStored = job->flipped ? p->storedB : p->storedA, wideStored = job->flipped ? p->storedA : p->storedB;
    cvLongBlock x = {
        .rows = cvMin(job->partRows, p->k - row),
        .bfloat16 = p->bfloat16,
        .narrowStored = narrowStored,
        .wideStored = wideStored,
        .narrow = columns(narrowBase, narrowLd, narrowStored, row, narrow * job->narrowSize, job->narrowSize, job->narrow),
        .wide = columns(wideBase, wideLd, wideStored, row, wide * job->wideSize, job->wideSize, job->wide),
        .sums = job->sums + piece * job->blockSums,
    };
    if (p->sumsOfA && job->flipped && narrow == 0) x.columnSums = job->columnSums + (wide * job->parts + part) * job->wideSize;
    job->kernels->longProductBlock(&x, job->areas + worker * job->areaSize);
}

/// Adds the parts of one panel of wide columns of one block.
static void finishPiece(const void *argument, long piece, int worker) {
    (void)worker;
    const Job *job = argument;
    const cvProduct *p = job->product;
    const cvKernels *kernels = job->kernels;
    long size = kernels->width * kernels->panel, panels = job->wideSize / size;
    long block = piece / panels, column = piece % panels * size;
    long narrow = block / job->wideBlocks * job->narrowSize, wide = block % job->wideBlocks * job->wideSize + column;
    long rows = cvMin(job->narrowSize, job->narrow - narrow), count = cvMin(size, job->wide - wide);
    if (count <= 0) return;
    const float *sums = job->sums + block * job->parts * job->blockSums + column * rows;
    long ld = cvRound(count, kernels->width);
    if (job->flipped) {
        kernels->addTransposed(rows, count, sums, ld, job->parts, job->blockSums, p->c + wide * p->ldc + narrow, p->ldc,
                               p->accumulate);
    } else {
        for (long i = 0; i < rows; i++) {
            kernels->addParts(count, sums + i * ld, job->parts, job->blockSums, p->c + (narrow + i) * p->ldc + wide,
                              p->accumulate);
        }
    }
    if (p->sumsOfA && job->flipped && narrow == 0) {
        kernels->addParts(count, job->columnSums + block * job->parts * job->wideSize + column, job->parts, job->wideSize,
                          p->sumsOfA + wide, true);
    }
}

void cvLongProduct(cvContext *context, const cvProduct *p, float *scratch) {
    Job job = plan(context, p, scratch);
    bool parallel = (double)p->m * (double)p->n * (double)p->k >= 200e3;
    long blocks = job.narrowBlocks * job.wideBlocks;
    cvPoolRun(context->pool, blocks * job.parts, parallel, blockPiece, &job);
    cvPoolRun(context->pool, blocks * (job.wideSize / (context->kernels->width * context->kernels->panel)),
              p->m * p->n * job.parts >= 65536, finishPiece, &job);
}
