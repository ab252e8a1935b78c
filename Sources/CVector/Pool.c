#define _GNU_SOURCE
#include "CVector.h"
#include "Pool.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Denormals cost hundreds of cycles each and decaying recurrent states are full of them, so every thread
// that computes flushes them to zero. The caller's mode comes back after the call.
static unsigned long flushDenormals(void) {
#if defined(__x86_64__)
    unsigned int old = _mm_getcsr();
    _mm_setcsr(old | 0x8040);
    return old;
#elif defined(__aarch64__)
    unsigned long old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | (1UL << 24)));
    return old;
#else
    return 0;
#endif
}

static void restoreDenormals(unsigned long old) {
#if defined(__x86_64__)
    _mm_setcsr((unsigned int)old);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
#else
    (void)old;
#endif
}

static void relax(void) {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" : : : "memory");
#endif
}

typedef struct {
    pthread_t thread;
    struct cvPool *pool;
    int index;
} Worker;

struct cvPool {
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    // Written under the mutex; the generation is also watched while spinning.
    atomic_ulong generation;
    bool open, stopping;
    // Likewise; the caller watches it while spinning.
    atomic_int joined;
    cvPiece run;
    const void *job;
    long pieces;
    atomic_long next;
    int workers;
    Worker *worker;
    // Drops all work; `workers` then counts threads that do not exist.
    bool idle;
};

// Some 40 microseconds, about what waking a sleeper takes: long enough for the next call of a training step and for the end of
// another worker's last piece, short enough for busy machines.
enum { spins = 2000 };

static void drain(cvPool *pool, int index) {
    for (;;) {
        long piece = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (piece >= pool->pieces) return;
        pool->run(pool->job, piece, index);
    }
}

static void *work(void *argument) {
    Worker *self = argument;
    cvPool *pool = self->pool;
    unsigned long seen = 0;
    flushDenormals();
    for (;;) {
        for (int i = 0; i < spins; i++) {
            if (atomic_load_explicit(&pool->generation, memory_order_relaxed) != seen) break;
            relax();
        }
        pthread_mutex_lock(&pool->mutex);
        // A worker that wakes after its job is over finds it closed and never touches it.
        while (!pool->stopping && !(pool->open && atomic_load(&pool->generation) != seen)) {
            pthread_cond_wait(&pool->wake, &pool->mutex);
        }
        if (pool->stopping) {
            pthread_mutex_unlock(&pool->mutex);
            return NULL;
        }
        seen = atomic_load(&pool->generation);
        atomic_fetch_add(&pool->joined, 1);
        pthread_mutex_unlock(&pool->mutex);
        drain(pool, self->index);
        pthread_mutex_lock(&pool->mutex);
        if (atomic_fetch_sub(&pool->joined, 1) == 1) pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->mutex);
    }
}

cvPool *cvPoolCreate(int threads) {
    cvPool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    if (threads > 1) {
        pool->worker = calloc((size_t)(threads - 1), sizeof *pool->worker);
        if (!pool->worker) {
            cvPoolDestroy(pool);
            return NULL;
        }
    }
    for (int i = 0; i < threads - 1; i++) {
        pool->worker[i] = (Worker){.pool = pool, .index = i + 1};
        if (pthread_create(&pool->worker[i].thread, NULL, work, &pool->worker[i])) break;
        pool->workers++;
    }
    return pool;
}

cvPool *cvPoolCreateIdle(const cvPool *pool) {
    cvPool *idle = calloc(1, sizeof *idle);
    if (!idle) return NULL;
    idle->idle = true;
    idle->workers = pool->workers;
    return idle;
}

bool cvPoolIsIdle(const cvPool *pool) { return pool->idle; }

void cvPoolDestroy(cvPool *pool) {
    if (!pool) return;
    if (pool->idle) {
        free(pool);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->workers; i++) pthread_join(pool->worker[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->worker);
    free(pool);
}

int cvPoolThreads(const cvPool *pool) { return pool->workers + 1; }

void cvPoolRun(cvPool *pool, long pieces, bool parallel, cvPiece run, const void *job) {
    if (pool->idle) return;
    unsigned long mode = flushDenormals();
    if (!parallel || pieces < 2 || pool->workers == 0) {
        for (long i = 0; i < pieces; i++) run(job, i, 0);
        restoreDenormals(mode);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->run = run;
    pool->job = job;
    pool->pieces = pieces;
    atomic_store(&pool->next, 0);
    pool->open = true;
    atomic_fetch_add(&pool->generation, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    drain(pool, 0);
    for (int i = 0; i < spins && atomic_load_explicit(&pool->joined, memory_order_relaxed) > 0; i++) relax();
    pthread_mutex_lock(&pool->mutex);
    pool->open = false;
    while (atomic_load(&pool->joined) > 0) pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    restoreDenormals(mode);
}
