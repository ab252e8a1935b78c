// Rows of a table that take Adam's steps when they are needed: the events they were left out of, then perhaps a step with
// a gradient. An event is a row of 8 numbers: rate, shrink, root as in optimizer_adam; decay and 1 - decay of an average
// of the weights; 1 where it is such an average.
#define EVENT 8

// `count` events with gradient 0 from `e` on, then a step with gradient if there is one, for one element (suffix 1) or
// sixteen (suffix 16): the operations of optimizer_adam and optimizer_average, one after the other. From event `calm` on
// an update that is small beside its weight stays so, and a weight it cannot change comes to rest.
#define DEFINE_ROW(F, S)                                                                                            \
    static void adam_update_##S(F g, F *w, F *m, F *v, F *update, float rate, float shrink, float root,            \
                                float beta1, float beta2, float one_minus_beta1, float one_minus_beta2,            \
                                float epsilon) {                                                                    \
        *m = fma((F)(one_minus_beta1), g, beta1 * *m);                                                              \
        *v = fma(one_minus_beta2 * g, g, beta2 * *v);                                                               \
        const F change = *m / (sqrt(*v) / root + epsilon);                                                          \
        *update = rate * change;                                                                                    \
        *w = fma((F)(-rate), change, *w * shrink);                                                                  \
    }                                                                                                               \
    static void adam_row_##S(__global float *weights, __global float *moment, __global float *square,              \
                             __global float *average, const __global float *gradients, const __global float *e,    \
                             int count, int calm, float rate, float beta1, float beta2, float one_minus_beta1,     \
                             float one_minus_beta2, float epsilon, float shrink, float root) {                      \
        F m = LOAD_##S(moment), v = LOAD_##S(square), w = LOAD_##S(weights), update = 0;                            \
        F mean = average ? LOAD_##S(average) : (F)(0.0f);                                                           \
        int rests = ALL_##S(m == 0.0f && v == v), steps = 0, taken = 0, t = 0;                                      \
        for (; t < count && !rests; t++, e += EVENT) {                                                              \
            if (e[5] != 0.0f) {                                                                                     \
                mean = fma((F)(e[4]), w, e[3] * mean);                                                              \
                continue;                                                                                           \
            }                                                                                                       \
            adam_update_##S((F)(0.0f), &w, &m, &v, &update, e[0], e[1], e[2], beta1, beta2, one_minus_beta1,       \
                            one_minus_beta2, epsilon);                                                              \
            if (++taken % 8 == 0 && t >= calm) {                                                                    \
                rests = ALL_##S(m == 0.0f || (fabs(update) * 0x1p26f <= fabs(w) && fabs(w) >= 0x1p-20f));           \
            }                                                                                                       \
        }                                                                                                           \
        for (; t < count; t++, e += EVENT) {                                                                        \
            if (e[5] != 0.0f) {                                                                                     \
                mean = fma((F)(e[4]), w, e[3] * mean);                                                              \
                continue;                                                                                           \
            }                                                                                                       \
            steps = 1;                                                                                              \
            w *= e[1];                                                                                              \
            m *= beta1;                                                                                             \
            v *= beta2;                                                                                             \
        }                                                                                                           \
        /* In a step the product with gradient 0 is added, which turns a flushed -0 into 0. */                      \
        if (steps) m += 0.0f;                                                                                       \
        if (gradients) {                                                                                            \
            adam_update_##S(LOAD_##S(gradients), &w, &m, &v, &update, rate, shrink, root, beta1, beta2,             \
                            one_minus_beta1, one_minus_beta2, epsilon);                                             \
        }                                                                                                           \
        STORE_##S(w, weights);                                                                                      \
        STORE_##S(m, moment);                                                                                       \
        STORE_##S(v, square);                                                                                       \
        if (average) STORE_##S(mean, average);                                                                      \
    }

#define ALL_1(x) (x)
DEFINE_ROW(float, 1)
#if FAMILY != GPU_FAMILY
#define ALL_16(x) all(x)
DEFINE_ROW(float16, 16)
#endif

// Row rows[u] (u without `rows`) takes the events after its mark, and with `gradients` [U, D] the step that `rate`,
// `shrink` and `root` belong to. Item (columns, u).
__kernel void adam_rows(OUTPUT(float, weights), OUTPUT(float, m), OUTPUT(float, v), OUTPUT(float, average),
                        INPUT(float, gradients), INPUT(int, rows), INPUT(float, events), INPUT(int, last),
                        INPUT(int, marks), const int U, const int D, const int calm_from, const float rate,
                        const float beta1, const float beta2, const float one_minus_beta1,
                        const float one_minus_beta2, const float epsilon, const float shrink, const float root,
                        INPUT(float, fault)) {
    BIND(weights);
    BIND(m);
    BIND(v);
    BIND(average);
    BIND(gradients);
    BIND(rows);
    BIND(events);
    BIND(last);
    BIND(marks);
    BIND(fault);
    const int u = get_global_id(1);
    if (u >= U) return;
    const int row = rows ? rows[u] : u, mark = marks[row], count = max(0, last[0] - mark), calm = calm_from - mark - 1;
    const size_t at = (size_t)row * D;
    const int steps = gradients && (!fault || fault[0] == 0.0f);
    const __global float *g = steps ? gradients + (size_t)u * D : 0;
    if (count == 0 && !steps) return;
    events += (size_t)mark * EVENT;
#define ROW(S, d)                                                                                                   \
    adam_row_##S(weights + at + d, m + at + d, v + at + d, AT(average, at + d), AT(g, d), events, count, calm,      \
                 rate, beta1, beta2, one_minus_beta1, one_minus_beta2, epsilon, shrink, root)
#if FAMILY == CPU_FAMILY
    int d = 0;
    for (; d + 16 <= D; d += 16) ROW(16, d);
    for (; d < D; d++) ROW(1, d);
#else
    EACH_COLUMN(d, D) ROW(1, d);
#endif
}

// The marks of the rows of adam_rows. With `renews` (all rows) the history begins anew. Item u.
__kernel void adam_rows_mark(OUTPUT(int, marks), INPUT(int, rows), OUTPUT(int, last), const ulong count,
                             const int number, const int renews, INPUT(float, fault)) {
    BIND(marks);
    BIND(rows);
    BIND(last);
    BIND(fault);
    const size_t u = get_global_id(0);
    if (renews) {
        if (u < count) marks[u] = 0;
        if (u == 0) last[0] = 0;
    } else if (u < count) {
        const int row = rows[u];
        marks[row] = number > 0 && (!fault || fault[0] == 0.0f) ? number : max(marks[row], last[0]);
    }
}

// Event `number`, unless there was a fault. One item.
__kernel void adam_rows_record(OUTPUT(float, events), OUTPUT(int, last), const int number, const float rate,
                               const float shrink, const float root, const float decay, const float one_minus_decay,
                               const float is_average, INPUT(float, fault)) {
    BIND(events);
    BIND(last);
    BIND(fault);
    if (fault && !(fault[0] == 0.0f)) return;
    __global float *e = events + (size_t)(number - 1) * EVENT;
    e[0] = rate;
    e[1] = shrink;
    e[2] = root;
    e[3] = decay;
    e[4] = one_minus_decay;
    e[5] = is_average;
    last[0] = number;
}
