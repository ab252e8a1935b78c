// The kernels for processors with AVX-512 and its products of bfloat16.
#if defined(__x86_64__)
#include "Kernels.h"
#include <string.h>
#include <immintrin.h>

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), apply_to = function)
#define CV_AVX512
#define CV_BFLOAT16
#define WIDTH 16
#define PANEL 4
#define TABLE cvKernelsAVX512Bfloat16
#define NAME "AVX-512"
#include "Kernels/Table.h"
#pragma clang attribute pop
#endif
