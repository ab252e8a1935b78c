// r, z = s(a + u); n = t(a_n + r q) with q = W_hn h(t - 1) + b_hn if RESET_AFTER,
// else n = t(a_n + W_hn (r h(t - 1)) + b_hn); h = z h(t - 1) + (1 - z) n. Gates lie as r, z, n blocks of H columns.
//
// Packed row m = offsets[t] + b is step t of sequence b; h_state [B, H] is the running state, at the end the
// final one. `projection` holds W_ih x without biases, row positions[m] (or m); it may be `gates` itself.
// `bias` is [4H] with RESET_AFTER: r, z, b_in, b_hn; else [3H].
// `candidate` [N, H] keeps q if RESET_AFTER, else r h(t - 1).
// `mask` [B, H] or null: factors of h(t - 1) where W_hh multiplies it, also in r h(t - 1); `previous_h` [N, H] keeps what it
// multiplied. z h(t - 1) has no mask: on the way back h(t - 1) is read from y and h0.
//
// Plan `stepwise`: the host makes u by products per step; gru_step finishes it, or gru_reset and gru_update
// around the second product. Item (unit, sequence).
// Plans `fused step` and `persistent`: recurrent.cl.
// Plan `rows`: one launch per sequence; each work-group of one item owns BLOCK_ROWS sequences for all steps.
#ifndef ACTIVATION
#define ACTIVATION TANH
#endif
#ifndef RECURRENT_ACTIVATION
#define RECURRENT_ACTIVATION SIGMOID
#endif
#ifndef RESET_AFTER
#define RESET_AFTER 1
#endif
#ifndef BLOCK_ROWS
#define BLOCK_ROWS 8
#endif

#define DEFINE_GRU(F, S)                                                                                                  \
    /* A row of a unit from its sums u and its state h: returns the new one. Pointers at the unit; gates and              \
       candidate may be null. */                                                                                          \
    static F gru_cell_##S(const F ur, const F uz, const F un, const __global float *a, const __global float *bias,        \
                          const int H, const F h, __global saved *gates, __global saved *candidate) {                     \
        F r = activate_##S(RECURRENT_ACTIVATION, ur + LOAD_##S(a) + LOAD_##S(bias));                                      \
        F z = activate_##S(RECURRENT_ACTIVATION, uz + LOAD_##S(a + H) + LOAD_##S(bias + H));                              \
        F q = un + LOAD_##S(bias + 3 * H);                                                                                \
        F n = activate_##S(ACTIVATION, fma(r, q, LOAD_##S(a + 2 * H) + LOAD_##S(bias + 2 * H)));                          \
        if (gates) {                                                                                                      \
            SAVE(S, GATE, r, gates);                                                                                      \
            SAVE(S, GATE, z, gates + H);                                                                                  \
            SAVE(S, SIGNED, n, gates + 2 * H);                                                                            \
        }                                                                                                                 \
        if (candidate) SAVE(S, OPERAND, q, candidate);                                                                    \
        return fma(z, h - n, n);                                                                                          \
    }                                                                                                                     \
    /* Not RESET_AFTER, first half: z is kept in `update`, r h(t - 1) in `candidate`. gates may be null. */               \
    static void gru_cell_reset_##S(const F ur, const F uz, const __global float *a, const __global float *bias,           \
                                   const int H, const F h, __global float *update, __global saved *gates,                 \
                                   __global saved *candidate) {                                                           \
        F r = activate_##S(RECURRENT_ACTIVATION, ur + LOAD_##S(a) + LOAD_##S(bias));                                      \
        F z = activate_##S(RECURRENT_ACTIVATION, uz + LOAD_##S(a + H) + LOAD_##S(bias + H));                              \
        STORE_##S(z, update);                                                                                             \
        SAVE(S, OPERAND, r * h, candidate);                                                                               \
        if (gates) {                                                                                                      \
            SAVE(S, GATE, r, gates);                                                                                      \
            SAVE(S, GATE, z, gates + H);                                                                                  \
        }                                                                                                                 \
    }                                                                                                                     \
    /* Not RESET_AFTER, second half: un = W_hn (r h(t - 1)). Returns the new state. */                                    \
    static F gru_cell_update_##S(const F un, const F z, const __global float *a, const __global float *bias,              \
                                 const int H, const F h, __global saved *gates) {                                         \
        F n = activate_##S(ACTIVATION, un + LOAD_##S(a + 2 * H) + LOAD_##S(bias + 2 * H));                                \
        if (gates) SAVE(S, SIGNED, n, gates + 2 * H);                                                                     \
        return fma(z, h - n, n);                                                                                          \
    }                                                                                                                     \
    /* gates become gradients of the input side: z and n here, with RESET_AFTER also r, and candidate dn r.               \
       carry leaves as the direct part dh z. */                                                                           \
    static void gru_cell_backward_##S(const F dh, const F h, const int H, __global float *carry,                          \
                                      __global saved *gates, __global saved *candidate) {                                 \
        F z = RESTORE(S, GATE, gates + H), n = RESTORE(S, SIGNED, gates + 2 * H);                                         \
        F dn = activate_backward_##S(ACTIVATION, n, dh * (1.0f - z));                                                     \
        STORE_##S(dh * z, carry);                                                                                         \
        SAVE(S, OPERAND, activate_backward_##S(RECURRENT_ACTIVATION, z, dh * (h - n)), gates + H);                        \
        SAVE(S, OPERAND, dn, gates + 2 * H);                                                                              \
        if (RESET_AFTER) {                                                                                                \
            F r = RESTORE(S, GATE, gates);                                                                                \
            SAVE(S, OPERAND, activate_backward_##S(RECURRENT_ACTIVATION, r, dn * RESTORE(S, OPERAND, candidate)), gates); \
            SAVE(S, OPERAND, dn * r, candidate);                                                                          \
        }                                                                                                                 \
    }                                                                                                                     \
    /* Not RESET_AFTER, second half; gradient: of r h(t - 1). */                                                          \
    static void gru_cell_reset_backward_##S(const F gradient, const F h, const int H, __global float *carry,              \
                                            __global saved *gates) {                                                      \
        F r = RESTORE(S, GATE, gates);                                                                                    \
        SAVE(S, OPERAND, activate_backward_##S(RECURRENT_ACTIVATION, r, gradient * h), gates);                            \
        STORE_##S(fma(gradient, r, LOAD_##S(carry)), carry);                                                              \
    }
DEFINE_GRU(float, 1)

#if FAMILY != CPU_FAMILY
// For the plans of recurrent.cl. `state` is z between the halves of a step, on the way back the carried dh.
#define CELL_GATES 3
#define CELL_PHASES (RESET_AFTER ? 1 : 2)
#define CELL_CARRIES 1              // dh(t - 1) is the product and dh z

typedef float before_step;          // h(t - 1) is in y
#define BEFORE_STEP(p) (*(p))

static float cell_forward(const int part, const float *u, const __global float *a, const __global float *bias,
                          const int H, const float h, __global float *state, __global saved *gates,
                          __global saved *kept) {
    if (RESET_AFTER) return gru_cell_1(u[0], u[1], u[2], a, bias, H, h, gates, kept);
    if (part == 1) return gru_cell_update_1(u[2], *state, a, bias, H, h, gates);
    gru_cell_reset_1(u[0], u[1], a, bias, H, h, state, gates, kept);
    return 0.0f;
}

static void cell_backward(const int part, const float d, const float before, const int H, __global float *state,
                          __global saved *gates, __global saved *kept) {
    if (part == 0)
        gru_cell_backward_1(d, before, H, state, gates, kept);
    else
        gru_cell_reset_backward_1(d, before, H, state, gates);
}

#ifndef PLAN
// RESET_AFTER: the whole cell from product = W_hh h(t - 1) [B, 3H]. `projection` without `positions`: the rows of this step. With a
// mask the rows of previous_h that the next step multiplies are written, of the first `running_on` sequences.
__kernel void gru_step(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, product),
                       const int n0, const int active, const int H, OUTPUT(float, y), OUTPUT(float, h_state),
                       OUTPUT(saved, gates), OUTPUT(saved, previous_h), INPUT(float, mask), const int running_on,
                       OUTPUT(saved, candidate)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(product);
    BIND(mask);
    BIND(y);
    BIND(h_state);
    BIND(gates);
    BIND(previous_h);
    BIND(candidate);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int m = n0 + b;
    const size_t at = (size_t)m * H + j, state = (size_t)b * H + j;
    const __global float *u = product + (size_t)b * 3 * H + j;
    const float h = h_state[state];
    const float next = gru_cell_1(u[0], u[H], u[2 * H], projection + (size_t)(positions ? positions[m] : b) * 3 * H + j, bias + j, H, h,
                                  AT(gates, (size_t)m * 3 * H + j), AT(candidate, at));
    if (previous_h && !mask) SAVE(1, OPERAND, h, previous_h + at);
    if (mask && b < running_on) SAVE(1, OPERAND, mask[state] * next, previous_h + (size_t)(m + active) * H + j);
    y[at] = next;
    h_state[state] = next;
}

// Not RESET_AFTER, first half: product [B, 3H] holds u_r, u_z; z is kept in its place. W_hh multiplied `h_state`, with a mask the
// product of both.
__kernel void gru_reset(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), OUTPUT(float, product),
                        const int n0, const int active, const int H, INPUT(float, h_state), INPUT(float, mask),
                        OUTPUT(saved, gates), OUTPUT(saved, candidate)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(product);
    BIND(h_state);
    BIND(mask);
    BIND(gates);
    BIND(candidate);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int m = n0 + b;
    const size_t state = (size_t)b * H + j;
    __global float *u = product + (size_t)b * 3 * H + j;
    gru_cell_reset_1(u[0], u[H], projection + (size_t)(positions ? positions[m] : b) * 3 * H + j, bias + j, H,
                     mask ? mask[state] * h_state[state] : h_state[state], u + H, AT(gates, (size_t)m * 3 * H + j),
                     candidate + (size_t)m * H + j);
}

// Not RESET_AFTER, second half: product now holds z and W_hn (r h(t - 1)). A mask as in gru_step.
__kernel void gru_update(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, product),
                         const int n0, const int active, const int H, OUTPUT(float, y), OUTPUT(float, h_state),
                         OUTPUT(saved, gates), OUTPUT(saved, previous_h), INPUT(float, mask), const int running_on) {
    BIND(projection);
    BIND(mask);
    BIND(positions);
    BIND(bias);
    BIND(product);
    BIND(y);
    BIND(h_state);
    BIND(gates);
    BIND(previous_h);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int m = n0 + b;
    const size_t at = (size_t)m * H + j, state = (size_t)b * H + j;
    const __global float *u = product + (size_t)b * 3 * H + j;
    const float h = h_state[state];
    const float next = gru_cell_update_1(u[2 * H], u[H], projection + (size_t)(positions ? positions[m] : b) * 3 * H + j, bias + j, H, h,
                                         AT(gates, (size_t)m * 3 * H + j));
    if (previous_h && !mask) SAVE(1, OPERAND, h, previous_h + at);
    if (mask && b < running_on) SAVE(1, OPERAND, mask[state] * next, previous_h + (size_t)(m + active) * H + j);
    y[at] = next;
    h_state[state] = next;
}

// First half of the backward step. gates (r, z, n) become gradients of the input side: z and n here, and with
// RESET_AFTER also r; then du [B, 3H] gets those of the recurrent side and candidate dn r.
// carry [B, H] enters as dh and leaves as its direct part dh z. `previous_rows`: h(t - 1), row b; null is 0. With a mask the part of dh that
// came through W_hh, in the `running_on` sequences that have a next step, is still apart, in `through` [B, H].
__kernel void gru_step_backward(INPUT(float, dy), INPUT(float, previous_rows), INPUT(float, mask), INPUT(float, through),
                                const int n0, const int active, const int running_on, const int H, OUTPUT(float, carry),
                                OUTPUT(saved, gates), OUTPUT(saved, candidate), OUTPUT(saved, du)) {
    BIND(dy);
    BIND(previous_rows);
    BIND(mask);
    BIND(through);
    BIND(carry);
    BIND(gates);
    BIND(candidate);
    BIND(du);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const size_t at = (size_t)(n0 + b) * H + j, state = (size_t)b * H + j;
    __global saved *d = gates + (size_t)(n0 + b) * 3 * H + j;
    float dh = carry[state];
    if (mask && b < running_on) dh = fma(mask[state], through[state], dh);
    if (dy) dh += dy[at];
    gru_cell_backward_1(dh, previous_rows ? previous_rows[state] : 0.0f, H, carry + state, d, AT(candidate, at));
#if RESET_AFTER
    __global saved *u = du + (size_t)b * 3 * H + j;
    u[0] = d[0];
    u[H] = d[H];
    u[2 * H] = candidate[at];
#endif
}

// Not RESET_AFTER, second half: dreset [B, H] = W_hn^T dn, the gradient of r h(t - 1) or of the masked one.
__kernel void gru_reset_backward(INPUT(float, dreset), INPUT(float, previous_rows), INPUT(float, mask), const int n0,
                                 const int active, const int H, OUTPUT(float, carry), OUTPUT(saved, gates)) {
    BIND(dreset);
    BIND(previous_rows);
    BIND(mask);
    BIND(carry);
    BIND(gates);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const size_t state = (size_t)b * H + j;
    gru_cell_reset_backward_1(mask ? mask[state] * dreset[state] : dreset[state], previous_rows ? previous_rows[state] : 0.0f, H, carry + state,
                              gates + (size_t)(n0 + b) * 3 * H + j);
}
#endif
#endif

#if FAMILY != GPU_FAMILY
#define DEFINE_GRU_ROWS(F, S)                                                                                      \
    /* All pointers at one unit of one row; gates, previous_h and candidate may be null. */                        \
    static void gru_forward_##S(const __global float *a, const __global float *u, const __global float *bias,      \
                                const int H, __global float *y, __global float *h_state, __global float *gates,    \
                                __global float *previous_h, __global float *candidate) {                           \
        F h = LOAD_##S(h_state);                                                                                   \
        F next = gru_cell_##S(LOAD_##S(u), LOAD_##S(u + H), LOAD_##S(u + 2 * H), a, bias, H, h, gates, candidate); \
        if (previous_h) STORE_##S(h, previous_h);                                                                  \
        STORE_##S(next, y);                                                                                        \
        STORE_##S(next, h_state);                                                                                  \
    }                                                                                                              \
    /* Not RESET_AFTER, first half: z takes the place of u_z. */                                                   \
    static void gru_reset_##S(const __global float *a, __global float *u, const __global float *bias,              \
                              const int H, const __global float *h_state, __global float *gates,                   \
                              __global float *candidate) {                                                         \
        gru_cell_reset_##S(LOAD_##S(u), LOAD_##S(u + H), a, bias, H, LOAD_##S(h_state), u + H, gates, candidate);  \
    }                                                                                                              \
    /* Not RESET_AFTER, second half: u holds z and W_hn (r h(t - 1)). */                                           \
    static void gru_update_##S(const __global float *a, const __global float *u, const __global float *bias,       \
                               const int H, __global float *y, __global float *h_state, __global float *gates,     \
                               __global float *previous_h) {                                                       \
        F h = LOAD_##S(h_state);                                                                                   \
        F next = gru_cell_update_##S(LOAD_##S(u + 2 * H), LOAD_##S(u + H), a, bias, H, h, gates);                  \
        if (previous_h) STORE_##S(h, previous_h);                                                                  \
        STORE_##S(next, y);                                                                                        \
        STORE_##S(next, h_state);                                                                                  \
    }                                                                                                              \
    /* carry enters as dh without dy, which may be null. */                                                        \
    static void gru_backward_##S(const __global float *dy, const __global float *previous_h, const int H,          \
                                 __global float *carry, __global float *gates, __global float *candidate) {        \
        F dh = LOAD_##S(carry);                                                                                    \
        if (dy) dh += LOAD_##S(dy);                                                                                \
        gru_cell_backward_##S(dh, LOAD_##S(previous_h), H, carry, gates, candidate);                               \
    }                                                                                                              \
    static void gru_reset_backward_##S(const __global float *dreset, const __global float *previous_h,             \
                                       const int H, __global float *carry, __global float *gates) {                \
        gru_cell_reset_backward_##S(LOAD_##S(dreset), LOAD_##S(previous_h), H, carry, gates);                      \
    }
DEFINE_GRU(float16, 16)
DEFINE_GRU(float16, T)
DEFINE_GRU_ROWS(float, 1)
DEFINE_GRU_ROWS(float16, 16)
DEFINE_GRU_ROWS(float16, T)

// `panels`: W_hh^T packed, all three blocks [ceil(3H / 32)][H][32] with RESET_AFTER, else the blocks r, z
// [ceil(2H / 32)][H][32] and in `panels_n` the block n [ceil(H / 32)][H][32]; `product` [B, 3H] is scratch.
// Without RESET_AFTER `candidate` is never null.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gru_rows(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, panels),
              INPUT(float, panels_n), INPUT(float, mask), OUTPUT(float, product), INPUT(int, offsets), const int T, const int H,
              OUTPUT(float, y), OUTPUT(float, h_state), OUTPUT(float, gates), OUTPUT(float, previous_h),
              OUTPUT(float, candidate)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(panels);
    BIND(panels_n);
    BIND(mask);
    BIND(product);
    BIND(offsets);
    BIND(y);
    BIND(h_state);
    BIND(gates);
    BIND(previous_h);
    BIND(candidate);
    const int b0 = row_block(get_group_id(0), get_num_groups(0)) * BLOCK_ROWS;
    product += (size_t)b0 * 3 * H;
    h_state += (size_t)b0 * H;
    __global float *const kept_h = mask ? 0 : previous_h;
    for (int t = 0; t < T; t++) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) break;
        if (mask) masked(mask + (size_t)b0 * H, h_state, previous_h + (size_t)n0 * H, rows * H);
        const __global float *multiplied = mask ? previous_h + (size_t)n0 * H : h_state;
#if RESET_AFTER
        panel_product(multiplied, H, rows, panels, H, 0, H, 3 * H, product, 3 * H, 0);
#else
        panel_product(multiplied, H, rows, panels, H, 0, H, 2 * H, product, 3 * H, 0);
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)(n0 + i) * H, state = (size_t)i * H;
            const __global float *a = projection + (size_t)(positions ? positions[n0 + i] : n0 + i) * 3 * H;
            EACH_UNIT_OF_ROW(H, gru_reset, (a + j, product + state * 3 + j, bias + j, H, multiplied + state + j,
                                     AT(gates, at * 3 + j), candidate + at + j))
        }
        panel_product(candidate + (size_t)n0 * H, H, rows, panels_n, H, 0, H, H, product + 2 * H, 3 * H, 0);
#endif
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)(n0 + i) * H, state = (size_t)i * H;
            const __global float *a = projection + (size_t)(positions ? positions[n0 + i] : n0 + i) * 3 * H;
            const __global float *u = product + state * 3;
#if RESET_AFTER
            EACH_UNIT_OF_ROW(H, gru_forward, (a + j, u + j, bias + j, H, y + at + j, h_state + state + j,
                                       AT(gates, at * 3 + j), AT(kept_h, at + j), AT(candidate, at + j)))
#else
            EACH_UNIT_OF_ROW(H, gru_update, (a + j, u + j, bias + j, H, y + at + j, h_state + state + j,
                                      AT(gates, at * 3 + j), AT(kept_h, at + j)))
#endif
        }
    }
}

// `panels`: W_hh packed [ceil(H / 32)][3H][32]; `through` [B, H] is scratch (with a mask or not RESET_AFTER).
// `y` [N, H] and `start` [B, H], never null, are h(t - 1) of later steps and of the first. carry [B, H] enters as dh_T and leaves as
// dh_0.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gru_rows_backward(INPUT(float, dy), INPUT(float, y), INPUT(float, start), INPUT(float, mask), INPUT(float, panels),
                       INPUT(int, offsets), const int T, const int H, OUTPUT(float, carry), OUTPUT(float, gates),
                       OUTPUT(float, candidate), OUTPUT(float, through)) {
    BIND(dy);
    BIND(y);
    BIND(start);
    BIND(mask);
    BIND(panels);
    BIND(offsets);
    BIND(carry);
    BIND(gates);
    BIND(candidate);
    BIND(through);
    const int b0 = row_block(get_group_id(0), get_num_groups(0)) * BLOCK_ROWS;
    carry += (size_t)b0 * H;
    through = AT(through, (size_t)b0 * H);
    mask = AT(mask, (size_t)b0 * H);
    // With a mask what came through W_hh is summed apart from dh z.
    __global float *sum = mask ? through : carry;
    for (int t = T - 1; t >= 0; t--) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) continue;
        const __global float *previous = t > 0 ? y + (size_t)(offsets[t - 1] + b0) * H : start + (size_t)b0 * H;
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)(n0 + i) * H, state = (size_t)i * H;
            EACH_UNIT_OF_ROW(H, gru_backward, (AT(dy, at + j), previous + state + j, H, carry + state + j, gates + at * 3 + j,
                                        AT(candidate, at + j)))
        }
#if RESET_AFTER
        panel_product(candidate + (size_t)n0 * H, H, rows, panels, 3 * H, 2 * H, H, H, sum, H, !mask);
#else
        panel_product(gates + (size_t)n0 * 3 * H + 2 * H, 3 * H, rows, panels, 3 * H, 2 * H, H, H, through, H, 0);
        if (mask) masked(mask, through, through, rows * H);
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)(n0 + i) * H, state = (size_t)i * H;
            EACH_UNIT_OF_ROW(H, gru_reset_backward, (through + state + j, previous + state + j, H, carry + state + j,
                                              gates + at * 3 + j))
        }
#endif
        panel_product(gates + (size_t)n0 * 3 * H, 3 * H, rows, panels, 3 * H, 0, 2 * H, H, sum, H, RESET_AFTER || !mask);
        if (mask) masked_add(mask, through, carry, rows * H);
    }
}
#endif
