// The kernels for processors with AVX2 and FMA.
#if defined(__x86_64__)
#include "Kernels.h"
#include <string.h>
#include <immintrin.h>

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define CV_AVX2
#define WIDTH 8
#define PANEL 2
#define TABLE cvKernelsAVX2
#define NAME "AVX2 and FMA"
#include "Kernels/Table.h"
#pragma clang attribute pop
#endif
