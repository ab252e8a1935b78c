#include "CKernels.h"

#include <string.h>

static const char common_text[] = {
#embed "common.cl"
};
static const char families_text[] = {
#embed "families.cl"
};
static const char matmul_text[] = {
#embed "matmul.cl"
};
static const char matmul_long_text[] = {
#embed "matmul_long.cl"
};
static const char matmul_units_slabs_text[] = {
#embed "matmul_units_slabs.cl"
};
static const char matmul_units_text[] = {
#embed "matmul_units.cl"
};
static const char vector_text[] = {
#embed "vector.cl"
};
static const char embedding_text[] = {
#embed "embedding.cl"
};
static const char reduce_text[] = {
#embed "reduce.cl"
};
static const char rnn_text[] = {
#embed "rnn.cl"
};
static const char lstm_text[] = {
#embed "lstm.cl"
};
static const char gru_text[] = {
#embed "gru.cl"
};
static const char recurrent_text[] = {
#embed "recurrent.cl"
};
static const char recurrent_forward_text[] = {
#embed "recurrent_forward.cl"
};
static const char recurrent_backward_text[] = {
#embed "recurrent_backward.cl"
};
static const char pooling_text[] = {
#embed "pooling.cl"
};
static const char loss_text[] = {
#embed "loss.cl"
};
static const char optimizer_text[] = {
#embed "optimizer.cl"
};
static const char adam_rows_text[] = {
#embed "adam_rows.cl"
};

#define CAROUSEL_KERNEL_ACCESSOR(name) \
    CKernelFile carousel_kernel_##name(void) { return (CKernelFile){#name ".cl", name##_text, sizeof name##_text}; }
CAROUSEL_KERNEL_FILES(CAROUSEL_KERNEL_ACCESSOR)

CKernelFile carousel_kernel_named(const char *name) {
#define CAROUSEL_KERNEL_MATCH(file) \
    if (strcmp(name, #file ".cl") == 0) return carousel_kernel_##file();
    CAROUSEL_KERNEL_FILES(CAROUSEL_KERNEL_MATCH)
    return (CKernelFile){"", "", 0};
}
