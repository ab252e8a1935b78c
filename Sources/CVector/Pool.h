// Worker threads that sleep between jobs.
#pragma once
#include <stdbool.h>

typedef void (*cvPiece)(const void *job, long piece, int worker);
typedef struct cvPool cvPool;

/// NULL if memory runs out. Starts `threads` - 1 workers, or as many as the system grants.
cvPool *cvPoolCreate(int threads);
/// A pool that drops all work and has no threads, but says it has as many as `pool`. NULL if memory runs out.
cvPool *cvPoolCreateIdle(const cvPool *pool);
void cvPoolDestroy(cvPool *);
/// Workers including the calling thread.
int cvPoolThreads(const cvPool *);
/// Whether the pool drops all work.
bool cvPoolIsIdle(const cvPool *);
/// Calls `run(job, piece, worker)` once for every piece in 0 ..< pieces, in any order and on any worker.
/// `parallel` false keeps all pieces on the calling thread (work too small to wake anybody).
void cvPoolRun(cvPool *, long pieces, bool parallel, cvPiece run, const void *job);
