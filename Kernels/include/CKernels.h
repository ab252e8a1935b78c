#pragma once
// The text of the OpenCL C kernels, embedded when this target is compiled.
#include <stddef.h>

typedef struct CKernelFile {
    const char *_Nonnull name;   // with its ending: "lstm.cl"
    const char *_Nonnull text;   // not terminated by a zero
    size_t length;               // bytes
} CKernelFile;

#define CAROUSEL_KERNEL_FILES(X) \
    X(common)                    \
    X(families)                  \
    X(matmul)                    \
    X(matmul_long)               \
    X(matmul_units_slabs)        \
    X(matmul_units)              \
    X(vector)                    \
    X(embedding)                 \
    X(reduce)                    \
    X(rnn)                       \
    X(lstm)                      \
    X(gru)                       \
    X(recurrent)                 \
    X(recurrent_forward)         \
    X(recurrent_backward)        \
    X(pooling)                   \
    X(loss)                      \
    X(optimizer)                 \
    X(adam_rows)

#define CAROUSEL_KERNEL_ACCESSOR(name) CKernelFile carousel_kernel_##name(void);
CAROUSEL_KERNEL_FILES(CAROUSEL_KERNEL_ACCESSOR)
#undef CAROUSEL_KERNEL_ACCESSOR

// The file of that name; length 0 when there is none.
CKernelFile carousel_kernel_named(const char *_Nonnull name);
