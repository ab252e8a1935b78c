#define _GNU_SOURCE
#include "Kernels.h"
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int cvBestInstructionSet(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        return __builtin_cpu_supports("avx512bf16") ? cvAVX512Bfloat16 : cvAVX512;
    }
    if (avx2) return cvAVX2;
#endif
    return cvPlain;
}

int cvUsableCores(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int count = CPU_COUNT(&set);
        if (count > 0) return count;
    }
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
}

cvContext *cvContextCreate(int threads, int instructionSet, cvTuning tuning) {
    cvContext *context = calloc(1, sizeof *context);
    if (!context) return NULL;
    context->pool = cvPoolCreate(threads);
    if (!context->pool) {
        free(context);
        return NULL;
    }
    context->tuning = tuning;
    context->kernels = &cvKernelsPlain;
#if defined(__x86_64__)
    if (instructionSet == cvAVX2) context->kernels = &cvKernelsAVX2;
    if (instructionSet == cvAVX512) context->kernels = &cvKernelsAVX512;
    if (instructionSet == cvAVX512Bfloat16) context->kernels = &cvKernelsAVX512Bfloat16;
#endif
    return context;
}

cvContext *cvContextCreatePlanner(const cvContext *context) {
    cvContext *planner = malloc(sizeof *planner);
    if (!planner) return NULL;
    *planner = *context;
    planner->pool = cvPoolCreateIdle(context->pool);
    if (!planner->pool) {
        free(planner);
        return NULL;
    }
    return planner;
}

void cvContextDestroy(cvContext *context) {
    if (!context) return;
    cvPoolDestroy(context->pool);
    // OpenBLAS stays loaded: its own threads cannot be unloaded safely.
    free(context);
}

int cvContextThreads(const cvContext *context) { return cvPoolThreads(context->pool); }

bool cvContextUseBLAS(cvContext *context) {
    const char *names[] = {"libopenblas.so.0", "libopenblas.so"};
    void *library = NULL;
    for (int i = 0; i < 2 && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    void *sgemm = dlsym(library, "cblas_sgemm");
    void (*setThreads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
    if (!sgemm || !setThreads) {
        dlclose(library);
        return false;
    }
    // Our own workers call it, each for its own block; its threads would fight them for the cores.
    setThreads(1);
    char *(*config)(void) = (char *(*)(void))dlsym(library, "openblas_get_config");
    snprintf(context->description, sizeof context->description, "%s", config ? config() : "OpenBLAS");
    context->blas = library;
    *(void **)&context->sgemm = sgemm;
    return true;
}

const char *cvContextBLASDescription(const cvContext *context) { return context->blas ? context->description : NULL; }
