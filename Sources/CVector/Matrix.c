#include "LongProduct.h"
#include <string.h>

// Rows and columns of c are cut into fixed blocks, one piece of work each.
typedef struct {
    const cvContext *context;
    const cvProduct *product;
    long panelColumns, panels, rowsPerBlock, panelsPerBlock, columnBlocks;
    float *packed, *areas;
} Job;

// The deepest cut of any instruction set; see productBlock.
enum { depth = 256 };

// Below this many multiplications waking a worker costs more than it saves.
static const double parallelWork = 200e3;

static double work(const cvProduct *p) { return (double)p->m * (double)p->n * (double)(p->k + 1); }

static Job plan(const cvContext *context, const cvProduct *p) {
    Job job = {.context = context, .product = p};
    job.panelColumns = context->kernels->width * context->kernels->panel;
    job.panels = cvPieces(p->n, job.panelColumns);
    job.rowsPerBlock = context->tuning.productRows;
    job.panelsPerBlock = cvMax(1, context->tuning.productColumns / job.panelColumns);
    // Some pieces for every thread where the shape gives them; the cut changes no result.
    long wanted = cvMax(8, 2 * cvPoolThreads(context->pool));
    while (cvPieces(p->m, job.rowsPerBlock) * cvPieces(job.panels, job.panelsPerBlock) < wanted) {
        // Rows first: every block of columns packs a transposed a anew.
        if (job.rowsPerBlock > 48) job.rowsPerBlock /= 2;
        else if (job.panelsPerBlock > 1) job.panelsPerBlock /= 2;
        else if (job.rowsPerBlock > 24) job.rowsPerBlock /= 2;
        else break;
    }
    job.columnBlocks = cvPieces(job.panels, job.panelsPerBlock);
    return job;
}

static void packPiece(const void *argument, long piece, int worker) {
    (void)worker;
    const Job *job = argument;
    job->context->kernels->packPanel(job->product, piece, job->packed);
}

/// Floats of a worker's copy of the left operand; see packLeft.
static long areaSize(const Job *job) {
    const cvProduct *p = job->product;
    return job->rowsPerBlock * cvMin(depth, cvRound(cvUnits(p->bfloat16, p->k), 16)) * (p->transposeA + p->bfloat16);
}

/// Floats of the right operand in panels.
static long packedSize(const cvContext *context, const cvProduct *p) {
    return cvRound(p->n, context->kernels->width) * cvUnits(p->bfloat16, p->k);
}

static void productPiece(const void *argument, long piece, int worker) {
    const Job *job = argument;
    long row = piece / job->columnBlocks * job->rowsPerBlock;
    long panel = piece % job->columnBlocks * job->panelsPerBlock;
    job->context->kernels->productBlock(job->product, job->packed, row, cvMin(job->rowsPerBlock, job->product->m - row),
                                        panel, cvMin(job->panelsPerBlock, job->panels - panel),
                                        job->areas + worker * areaSize(job));
}

// BLAS packs both operands anew in every call, so its blocks are larger.
static bool usesBLAS(const cvContext *context, const cvProduct *p) {
    return context->sgemm && !p->bfloat16 && p->k > 0 && work(p) >= 1e6 && p->m <= INT32_MAX && p->n <= INT32_MAX && p->k <= INT32_MAX
        && p->lda <= INT32_MAX && p->ldb <= INT32_MAX && p->ldc <= INT32_MAX;
}

typedef struct {
    const cvContext *context;
    const cvProduct *product;
    long rows, columns, columnBlocks;
} BLASJob;

static BLASJob planBLAS(const cvContext *context, const cvProduct *p) {
    BLASJob job = {context, p, cvMax(64, cvRound(cvPieces(p->m, 8), 16)), p->n, 1};
    long rowBlocks = cvPieces(p->m, job.rows);
    if (rowBlocks < 8) job.columns = cvMax(64, cvRound(cvPieces(p->n, cvPieces(8, rowBlocks)), 16));
    job.columnBlocks = cvPieces(p->n, job.columns);
    return job;
}

static void blasPiece(const void *argument, long piece, int worker) {
    (void)worker;
    const BLASJob *job = argument;
    const cvProduct *p = job->product;
    long row = piece / job->columnBlocks * job->rows, column = piece % job->columnBlocks * job->columns;
    long m = cvMin(job->rows, p->m - row), n = cvMin(job->columns, p->n - column);
    float *c = p->c + row * p->ldc + column;
    bool add = p->accumulate;
    if (p->bias) {
        for (long i = 0; i < m; i++) {
            if (add) job->context->kernels->add(n, p->bias + column, c + i * p->ldc);
            else memcpy(c + i * p->ldc, p->bias + column, sizeof(float) * (size_t)n);
        }
        add = true;
    }
    enum { rowMajor = 101, plain = 111, transposed = 112 };
    job->context->sgemm(rowMajor, p->transposeA ? transposed : plain, p->transposeB ? transposed : plain, (int)m, (int)n,
                        (int)p->k, 1.0f, p->a + (p->transposeA ? row : row * p->lda), (int)p->lda,
                        p->b + (p->transposeB ? column * p->ldb : column), (int)p->ldb, add ? 1.0f : 0.0f, c,
                        (int)p->ldc);
}

long cvMultiplyScratch(const cvContext *context, const cvProduct *p) {
    long sums = p->sumsOfA ? cvColumnSumsScratch(p->k, p->m) : 0;
    if (usesBLAS(context, p)) return sums;
    if (cvIsLongProduct(p)) return cvMax(sums, cvLongProductScratch(context, p));
    Job job = plan(context, p);
    return cvMax(sums, packedSize(context, p) + cvPoolThreads(context->pool) * areaSize(&job));
}

void cvMultiply(cvContext *context, const cvProduct *p, float *scratch) {
    if (p->m <= 0 || p->n <= 0) return;
    bool isLong = !usesBLAS(context, p) && cvIsLongProduct(p);
    // A long product whose vectors run along a sums it in passing.
    if (p->sumsOfA && !(isLong && p->m >= p->n)) {
        cvColumnSums(context, p->k, p->m, p->a, p->lda, p->storedA, p->sumsOfA, true, scratch);
    }
    if (isLong) return cvLongProduct(context, p, scratch);
    if (usesBLAS(context, p)) {
        BLASJob job = planBLAS(context, p);
        cvPoolRun(context->pool, cvPieces(p->m, job.rows) * job.columnBlocks, true, blasPiece, &job);
        return;
    }
    Job job = plan(context, p);
    bool parallel = work(p) >= parallelWork;
    job.packed = scratch;
    job.areas = scratch + packedSize(context, p);
    cvPoolRun(context->pool, job.panels, parallel && p->n * p->k >= 65536, packPiece, &job);
    cvPoolRun(context->pool, cvPieces(p->m, job.rowsPerBlock) * job.columnBlocks, parallel, productPiece, &job);
}

// Column sums: the rows are cut into fixed chunks, whose sums are added in order.

enum { chunk = 256 };

typedef struct {
    const cvContext *context;
    long rows, columns, ld;
    const float *x;
    bool stored;
    float *partial;
} SumJob;

static void sumPiece(const void *argument, long piece, int worker) {
    (void)worker;
    const SumJob *job = argument;
    long row = piece * chunk;
    job->context->kernels->columnSums(cvMin(chunk, job->rows - row), job->columns, job->x + row * job->ld, job->ld, job->stored,
                                      job->partial + piece * job->columns);
}

long cvColumnSumsScratch(long rows, long columns) { return cvPieces(rows, chunk) * columns; }

void cvColumnSums(cvContext *context, long rows, long columns, const float *x, long ld, bool stored, float *sums, bool accumulate,
                  float *scratch) {
    if (cvPoolIsIdle(context->pool)) return;
    if (!accumulate) memset(sums, 0, sizeof(float) * (size_t)columns);
    SumJob job = {context, rows, columns, ld, x, stored, scratch};
    long chunks = cvPieces(rows, chunk);
    cvPoolRun(context->pool, chunks, rows * columns >= 65536, sumPiece, &job);
    for (long i = 1; i < chunks; i++) context->kernels->add(columns, scratch + i * columns, scratch);
    if (chunks > 0) context->kernels->add(columns, scratch, sums);
}
