// Counts the allocations of this process: the allocation functions of the program stand before those of the C library,
// count when they are asked to, and hand on to them. Linked into the program alone.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    /// Calls and bytes asked for: by the thread that began to count, and by all threads.
    int64_t ownCalls, ownBytes, allCalls, allBytes;
} CAllocationCount;

/// False where allocations cannot be counted: under a sanitizer, which has such functions of its own, and without glibc.
bool carousel_allocations_countable(void);
/// Counts from 0 from now on.
void carousel_allocations_begin(void);
/// What was counted so far. To be called by the thread that began.
CAllocationCount carousel_allocations_current(void);
/// Stops counting. To be called by the thread that began.
CAllocationCount carousel_allocations_end(void);
