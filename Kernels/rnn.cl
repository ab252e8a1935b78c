// h = f(a + u): a = W_ih x + biases, u = W_hh h(t - 1).
//
// Packed row n = offsets[t] + b is step t of sequence b; h_state [B, H] is the running state, at the end the
// final one. `projection` holds W_ih x without biases, row positions[n] (or n); it may be `gates` itself. `mask` [B, H] or null:
// factors of h(t - 1) where W_hh multiplies it; `previous_h` [N, H] keeps what it multiplied.
//
// Plan `stepwise`: the host makes u by one product per step; rnn_step finishes it. Item (unit, sequence).
// Plans `fused step` and `persistent`: recurrent.cl.
// Plan `rows`: one launch per sequence; each work-group of one item owns BLOCK_ROWS sequences for all steps.
#ifndef ACTIVATION
#define ACTIVATION TANH
#endif
#ifndef BLOCK_ROWS
#define BLOCK_ROWS 8
#endif

#define DEFINE_RNN(F, S)                                                                                           \
    /* A row of a unit from its sum u: returns h. Pointers at the unit; gates may be null. */                      \
    static F rnn_cell_##S(const F u, const __global float *a, const __global float *bias, __global saved *gates) { \
        F h = activate_##S(ACTIVATION, u + LOAD_##S(a) + LOAD_##S(bias));                                          \
        if (gates) SAVE(S, SIGNED, h, gates);                                                                      \
        return h;                                                                                                  \
    }                                                                                                              \
    /* gates (h) become the gradient of a + u. */                                                                  \
    static void rnn_cell_backward_##S(const F dh, __global saved *gates) {                                         \
        SAVE(S, OPERAND, activate_backward_##S(ACTIVATION, RESTORE(S, SIGNED, gates), dh), gates);                 \
    }
DEFINE_RNN(float, 1)

#if FAMILY != CPU_FAMILY
// For the plans of recurrent.cl.
#define CELL_GATES 1
#define CELL_PHASES 1
#define CELL_CARRIES 0              // dh(t - 1) is the product alone

typedef float before_step;          // not read
#define BEFORE_STEP(p) (*(p))

static float cell_forward(const int part, const float *u, const __global float *a, const __global float *bias,
                          const int H, const float h, __global float *state, __global saved *gates,
                          __global saved *kept) {
    return rnn_cell_1(u[0], a, bias, gates);
}

static void cell_backward(const int part, const float d, const float before, const int H, __global float *state,
                          __global saved *gates, __global saved *kept) {
    rnn_cell_backward_1(d, gates);
}

#ifndef PLAN
// `projection` without `positions`: the rows of this step. With a mask the rows of previous_h that the next step multiplies are
// written, of the first `running_on` sequences.
__kernel void rnn_step(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, product),
                       const int n0, const int active, const int H, OUTPUT(float, y), OUTPUT(float, h_state),
                       OUTPUT(saved, gates), OUTPUT(saved, previous_h), INPUT(float, mask), const int running_on) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(product);
    BIND(mask);
    BIND(y);
    BIND(h_state);
    BIND(gates);
    BIND(previous_h);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int n = n0 + b;
    const size_t at = (size_t)n * H + j, state = (size_t)b * H + j;
    const float h = rnn_cell_1(product[state], projection + (size_t)(positions ? positions[n] : b) * H + j, bias + j, AT(gates, at));
    if (previous_h && !mask) SAVE(1, OPERAND, h_state[state], previous_h + at);
    if (mask && b < running_on) SAVE(1, OPERAND, mask[state] * h, previous_h + (size_t)(n + active) * H + j);
    h_state[state] = h;
    y[at] = h;
}

// `mask` multiplies the carry of the `running_on` sequences that have a next step.
__kernel void rnn_step_backward(INPUT(float, dy), INPUT(float, carry), const int n0, const int active, const int H,
                                OUTPUT(saved, gates), INPUT(float, mask), const int running_on) {
    BIND(dy);
    BIND(carry);
    BIND(gates);
    BIND(mask);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const size_t at = (size_t)(n0 + b) * H + j, state = (size_t)b * H + j;
    float dh = carry[state];
    if (mask && b < running_on) dh *= mask[state];
    if (dy) dh += dy[at];
    rnn_cell_backward_1(dh, gates + at);
}
#endif
#endif

#if FAMILY != GPU_FAMILY
#define DEFINE_RNN_ROWS(F, S)                                                                                 \
    /* All pointers at one unit of one row; gates and previous_h may be null. */                              \
    static void rnn_forward_##S(const __global float *a, const __global float *u, const __global float *bias, \
                                __global float *y, __global float *h_state, __global float *gates,            \
                                __global float *previous_h) {                                                 \
        F h = rnn_cell_##S(LOAD_##S(u), a, bias, gates);                                                      \
        if (previous_h) STORE_##S(LOAD_##S(h_state), previous_h);                                             \
        STORE_##S(h, y);                                                                                      \
        STORE_##S(h, h_state);                                                                                \
    }                                                                                                         \
    /* dh = dy + carry; dy may be null. */                                                                    \
    static void rnn_backward_##S(const __global float *dy, const __global float *carry,                       \
                                 __global float *gates) {                                                     \
        F dh = LOAD_##S(carry);                                                                               \
        if (dy) dh += LOAD_##S(dy);                                                                           \
        rnn_cell_backward_##S(dh, gates);                                                                     \
    }
DEFINE_RNN(float16, 16)
DEFINE_RNN_ROWS(float, 1)
DEFINE_RNN_ROWS(float16, 16)

// `panels`: W_hh^T packed [ceil(H / 32)][H][32]; `product` [B, H] is scratch.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void rnn_rows(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, panels),
              INPUT(float, mask), OUTPUT(float, product), INPUT(int, offsets), const int T, const int H, OUTPUT(float, y),
              OUTPUT(float, h_state), OUTPUT(float, gates), OUTPUT(float, previous_h)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(panels);
    BIND(mask);
    BIND(product);
    BIND(offsets);
    BIND(y);
    BIND(h_state);
    BIND(gates);
    BIND(previous_h);
    const int b0 = row_block(get_group_id(0), get_num_groups(0)) * BLOCK_ROWS;
    product += (size_t)b0 * H;
    h_state += (size_t)b0 * H;
    __global float *const kept_h = mask ? 0 : previous_h;
    for (int t = 0; t < T; t++) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) break;
        if (mask) masked(mask + (size_t)b0 * H, h_state, previous_h + (size_t)n0 * H, rows * H);
        panel_product(mask ? previous_h + (size_t)n0 * H : h_state, H, rows, panels, H, 0, H, H, product, H, 0);
        for (int r = 0; r < rows; r++) {
            const size_t at = (size_t)(n0 + r) * H, state = (size_t)r * H;
            const __global float *a = projection + (size_t)(positions ? positions[n0 + r] : n0 + r) * H;
            EACH_UNIT(H, rnn_forward, (a + j, product + state + j, bias + j, y + at + j, h_state + state + j,
                                       AT(gates, at + j), AT(kept_h, at + j)))
        }
    }
}

// `panels`: W_hh packed; carry [B, H] enters as dh_T and leaves as dh_0.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void rnn_rows_backward(INPUT(float, dy), INPUT(float, panels), INPUT(float, mask), INPUT(int, offsets), const int T, const int H,
                       OUTPUT(float, carry), OUTPUT(float, gates)) {
    BIND(dy);
    BIND(panels);
    BIND(mask);
    BIND(offsets);
    BIND(carry);
    BIND(gates);
    const int b0 = row_block(get_group_id(0), get_num_groups(0)) * BLOCK_ROWS;
    carry += (size_t)b0 * H;
    for (int t = T - 1; t >= 0; t--) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) continue;
        for (int r = 0; r < rows; r++) {
            const size_t at = (size_t)(n0 + r) * H, state = (size_t)r * H;
            EACH_UNIT(H, rnn_backward, (AT(dy, at + j), carry + state + j, gates + at + j))
        }
        panel_product(gates + (size_t)n0 * H, H, rows, panels, H, 0, H, H, carry, H, 0);
        if (mask) masked(mask + (size_t)b0 * H, carry, carry, rows * H);
    }
}
#endif
