#define _GNU_SOURCE
#include "COpenCL.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static COpenCLFunctions functions;
static const COpenCLFunctions *loaded;
static char problem[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *reason = dlerror();
        snprintf(problem, sizeof problem, "%s", reason ? reason : "libOpenCL.so.1 cannot be opened");
        return;
    }
#define CAROUSEL_OPENCL_LOAD(name)                                                           \
    {                                                                                        \
        void *address = dlsym(library, #name);                                               \
        if (!address) {                                                                      \
            snprintf(problem, sizeof problem, "libOpenCL.so.1 lacks the function %s", #name); \
            return;                                                                          \
        }                                                                                    \
        functions.name = (__typeof__(name) *)address;                                        \
    }
    CAROUSEL_OPENCL_FUNCTIONS(CAROUSEL_OPENCL_LOAD)
    loaded = &functions;
}

const COpenCLFunctions *carousel_opencl_functions(void) {
    pthread_once(&once, load);
    return loaded;
}

const char *carousel_opencl_problem(void) {
    pthread_once(&once, load);
    return problem;
}
