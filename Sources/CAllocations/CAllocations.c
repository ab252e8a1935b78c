#include "CAllocations.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)

static atomic_bool counting;
static _Atomic int64_t allCalls, allBytes;
// In the program's own block of thread storage: reaching it never allocates.
static __thread bool isOwn __attribute__((tls_model("initial-exec")));
static __thread int64_t ownCalls __attribute__((tls_model("initial-exec")));
static __thread int64_t ownBytes __attribute__((tls_model("initial-exec")));

static inline void count(size_t bytes) {
    if (!atomic_load_explicit(&counting, memory_order_relaxed)) return;
    atomic_fetch_add_explicit(&allCalls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&allBytes, (int64_t)bytes, memory_order_relaxed);
    if (!isOwn) return;
    ownCalls++;
    ownBytes += (int64_t)bytes;
}

// The C library's own functions, under the names it keeps for this purpose.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

void *malloc(size_t bytes) {
    count(bytes);
    return __libc_malloc(bytes);
}

void *calloc(size_t elements, size_t size) {
    count(elements * size);
    return __libc_calloc(elements, size);
}

void *realloc(void *old, size_t bytes) {
    count(bytes);
    return __libc_realloc(old, bytes);
}

// Not counted, but it must belong to the functions above when another library brings a malloc of its own.
void free(void *memory) { __libc_free(memory); }

void *memalign(size_t alignment, size_t bytes) {
    count(bytes);
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    count(bytes);
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    if (alignment < sizeof(void *) || alignment & (alignment - 1)) return EINVAL;
    count(bytes);
    // The result tells of a failure; errno is to stay as it was.
    int before = errno;
    void *found = __libc_memalign(alignment, bytes);
    errno = before;
    if (!found) return ENOMEM;
    *memory = found;
    return 0;
}

bool carousel_allocations_countable(void) { return true; }

void carousel_allocations_begin(void) {
    isOwn = true;
    ownCalls = ownBytes = 0;
    atomic_store(&allCalls, 0);
    atomic_store(&allBytes, 0);
    atomic_store(&counting, true);
}

CAllocationCount carousel_allocations_current(void) {
    return (CAllocationCount){ownCalls, ownBytes, atomic_load(&allCalls), atomic_load(&allBytes)};
}

CAllocationCount carousel_allocations_end(void) {
    atomic_store(&counting, false);
    isOwn = false;
    return carousel_allocations_current();
}

#else

bool carousel_allocations_countable(void) { return false; }
void carousel_allocations_begin(void) {}
CAllocationCount carousel_allocations_current(void) { return (CAllocationCount){0, 0, 0, 0}; }
CAllocationCount carousel_allocations_end(void) { return (CAllocationCount){0, 0, 0, 0}; }

#endif
