// r, z = s(a + u); n = t(a_n + r q) with q = W_hn h(t - 1) + b_hn if RESET_AFTER,
// else n = t(a_n + W_hn (r h(t - 1)) + b_hn); h = z h(t - 1) + (1 - z) n. Gates lie as r, z, n blocks of H columns.
//
// Packed row m = offsets[t] + b is step t of sequence b; h_state [B, H] is the running state, at the end the
// final one. `projection` holds W_ih x without biases, row positions[m] (or m); it may be `gates` itself.
// `bias` is [4H] with RESET_AFTER: r, z, b_in, b_hn; else [3H].
// `candidate` [N, H] keeps q if RESET_AFTER, else r h(t - 1).
//
// Plan `stepwise`: the host makes u by products per step; gru_step finishes it, or gru_reset and gru_update
// around the second product. Item (unit, sequence).
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

#define DEFINE_GRU(F, S)                                                                                      \
    static F gru_mix_##S(F z, F n, F h) { return fma(z, h - n, n); }                                          \
    /* z and n enter activated and leave as gradients of their sums; returns the direct part of dh(t - 1). */ \
    static F gru_mix_backward_##S(F *z, F *n, F h, F dh) {                                                    \
        F carry = dh * *z;                                                                                    \
        F dn = activate_backward_##S(ACTIVATION, *n, dh * (1.0f - *z));                                       \
        *z = activate_backward_##S(RECURRENT_ACTIVATION, *z, dh * (h - *n));                                  \
        *n = dn;                                                                                              \
        return carry;                                                                                         \
    }
DEFINE_GRU(float, 1)
DEFINE_GRU(float16, 16)

// RESET_AFTER: the whole cell from product = W_hh h(t - 1) [B, 3H].
__kernel void gru_step(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, product),
                       const int n0, const int active, const int H, OUTPUT(float, y), OUTPUT(float, h_state),
                       OUTPUT(float, gates), OUTPUT(float, previous_h), OUTPUT(float, candidate)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(product);
    BIND(y);
    BIND(h_state);
    BIND(gates);
    BIND(previous_h);
    BIND(candidate);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int m = n0 + b;
    const size_t at = (size_t)m * H + j, state = (size_t)b * H + j;
    const __global float *a = projection + (size_t)(positions ? positions[m] : m) * 3 * H + j;
    const __global float *u = product + (size_t)b * 3 * H + j;
    const float r = activate_1(RECURRENT_ACTIVATION, u[0] + a[0] + bias[j]);
    const float z = activate_1(RECURRENT_ACTIVATION, u[H] + a[H] + bias[H + j]);
    const float q = u[2 * H] + bias[3 * H + j];
    const float n = activate_1(ACTIVATION, fma(r, q, a[2 * H] + bias[2 * H + j]));
    const float previous = h_state[state];
    const float h = gru_mix_1(z, n, previous);
    if (gates) {
        __global float *kept = gates + (size_t)m * 3 * H + j;
        kept[0] = r;
        kept[H] = z;
        kept[2 * H] = n;
    }
    if (candidate) candidate[at] = q;
    if (previous_h) previous_h[at] = previous;
    y[at] = h;
    h_state[state] = h;
}

// Not RESET_AFTER, first half: product [B, 3H] holds u_r, u_z; z is kept in its place.
__kernel void gru_reset(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), OUTPUT(float, product),
                        const int n0, const int active, const int H, INPUT(float, h_state), OUTPUT(float, gates),
                        OUTPUT(float, candidate)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(product);
    BIND(h_state);
    BIND(gates);
    BIND(candidate);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int m = n0 + b;
    const __global float *a = projection + (size_t)(positions ? positions[m] : m) * 3 * H + j;
    __global float *u = product + (size_t)b * 3 * H + j;
    const float r = activate_1(RECURRENT_ACTIVATION, u[0] + a[0] + bias[j]);
    const float z = activate_1(RECURRENT_ACTIVATION, u[H] + a[H] + bias[H + j]);
    u[H] = z;
    candidate[(size_t)m * H + j] = r * h_state[(size_t)b * H + j];
    if (gates) {
        gates[(size_t)m * 3 * H + j] = r;
        gates[(size_t)m * 3 * H + H + j] = z;
    }
}

// Not RESET_AFTER, second half: product now holds z and W_hn (r h(t - 1)).
__kernel void gru_update(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, product),
                         const int n0, const int active, const int H, OUTPUT(float, y), OUTPUT(float, h_state),
                         OUTPUT(float, gates), OUTPUT(float, previous_h)) {
    BIND(projection);
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
    const float a = projection[(size_t)(positions ? positions[m] : m) * 3 * H + 2 * H + j];
    const __global float *u = product + (size_t)b * 3 * H + j;
    const float n = activate_1(ACTIVATION, u[2 * H] + a + bias[2 * H + j]);
    const float previous = h_state[state];
    const float h = gru_mix_1(u[H], n, previous);
    if (gates) gates[(size_t)m * 3 * H + 2 * H + j] = n;
    if (previous_h) previous_h[at] = previous;
    y[at] = h;
    h_state[state] = h;
}

// First half of the backward step. gates (r, z, n) become gradients of the input side: z and n here, and with
// RESET_AFTER also r; then du [B, 3H] gets those of the recurrent side and candidate dn r.
// carry [B, H] enters as dh and leaves as its direct part dh z.
__kernel void gru_step_backward(INPUT(float, dy), INPUT(float, previous_h), const int n0, const int active,
                                const int H, OUTPUT(float, carry), OUTPUT(float, gates), OUTPUT(float, candidate),
                                OUTPUT(float, du)) {
    BIND(dy);
    BIND(previous_h);
    BIND(carry);
    BIND(gates);
    BIND(candidate);
    BIND(du);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const size_t at = (size_t)(n0 + b) * H + j, state = (size_t)b * H + j;
    __global float *d = gates + (size_t)(n0 + b) * 3 * H + j;
    float z = d[H], n = d[2 * H];
    const float dh = carry[state] + (dy ? dy[at] : 0.0f);
    carry[state] = gru_mix_backward_1(&z, &n, previous_h[at], dh);
    d[H] = z;
    d[2 * H] = n;
#if RESET_AFTER
    const float r = d[0];
    const float dr = activate_backward_1(RECURRENT_ACTIVATION, r, n * candidate[at]);
    d[0] = dr;
    candidate[at] = n * r;
    __global float *u = du + (size_t)b * 3 * H + j;
    u[0] = dr;
    u[H] = z;
    u[2 * H] = n * r;
#endif
}

// Not RESET_AFTER, second half: dreset [B, H] = W_hn^T dn, the gradient of r h(t - 1).
__kernel void gru_reset_backward(INPUT(float, dreset), INPUT(float, previous_h), const int n0, const int active,
                                 const int H, OUTPUT(float, carry), OUTPUT(float, gates)) {
    BIND(dreset);
    BIND(previous_h);
    BIND(carry);
    BIND(gates);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const size_t at = (size_t)(n0 + b) * H + j, state = (size_t)b * H + j;
    __global float *d = gates + (size_t)(n0 + b) * 3 * H + j;
    const float r = d[0], gradient = dreset[state];
    d[0] = activate_backward_1(RECURRENT_ACTIVATION, r, gradient * previous_h[at]);
    carry[state] = fma(gradient, r, carry[state]);
}

// `panels`: W_hh^T packed, all three blocks [ceil(3H / 32)][H][32] with RESET_AFTER, else the blocks r, z
// [ceil(2H / 32)][H][32] and in `panels_n` the block n [ceil(H / 32)][H][32]; `product` [B, 3H] is scratch.
// Without RESET_AFTER `candidate` is never null.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gru_rows(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, panels),
              INPUT(float, panels_n), OUTPUT(float, product), INPUT(int, offsets), const int T, const int H,
              OUTPUT(float, y), OUTPUT(float, h_state), OUTPUT(float, gates), OUTPUT(float, previous_h),
              OUTPUT(float, candidate)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(panels);
    BIND(panels_n);
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
    for (int t = 0; t < T; t++) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) break;
#if RESET_AFTER
        panel_product(h_state, H, rows, panels, H, 0, H, 3 * H, product, 3 * H, 0);
#else
        panel_product(h_state, H, rows, panels, H, 0, H, 2 * H, product, 3 * H, 0);
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)(n0 + i) * H, state = (size_t)i * H;
            const __global float *a = projection + (size_t)(positions ? positions[n0 + i] : n0 + i) * 3 * H;
            __global float *u = product + state * 3;
            for (int j = 0; j < H; j += 16) {
                const int count = H - j;
                const float16 r = activate_16(RECURRENT_ACTIVATION, load16(u + j, count) + load16(a + j, count)
                                                                        + load16(bias + j, count));
                const float16 z = activate_16(RECURRENT_ACTIVATION, load16(u + H + j, count)
                                                                        + load16(a + H + j, count)
                                                                        + load16(bias + H + j, count));
                store16(z, u + H + j, count);
                store16(r * load16(h_state + state + j, count), candidate + at + j, count);
                if (gates) {
                    store16(r, gates + at * 3 + j, count);
                    store16(z, gates + at * 3 + H + j, count);
                }
            }
        }
        panel_product(candidate + (size_t)n0 * H, H, rows, panels_n, H, 0, H, H, product + 2 * H, 3 * H, 0);
#endif
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)(n0 + i) * H, state = (size_t)i * H;
            const __global float *a = projection + (size_t)(positions ? positions[n0 + i] : n0 + i) * 3 * H;
            const __global float *u = product + state * 3;
            for (int j = 0; j < H; j += 16) {
                const int count = H - j;
                const float16 previous = load16(h_state + state + j, count);
#if RESET_AFTER
                const float16 r = activate_16(RECURRENT_ACTIVATION, load16(u + j, count) + load16(a + j, count)
                                                                        + load16(bias + j, count));
                const float16 z = activate_16(RECURRENT_ACTIVATION, load16(u + H + j, count)
                                                                        + load16(a + H + j, count)
                                                                        + load16(bias + H + j, count));
                const float16 q = load16(u + 2 * H + j, count) + load16(bias + 3 * H + j, count);
                const float16 n = activate_16(ACTIVATION, fma(r, q, load16(a + 2 * H + j, count)
                                                                        + load16(bias + 2 * H + j, count)));
                if (candidate) store16(q, candidate + at + j, count);
                if (gates) {
                    store16(r, gates + at * 3 + j, count);
                    store16(z, gates + at * 3 + H + j, count);
                }
#else
                const float16 z = load16(u + H + j, count);
                const float16 n = activate_16(ACTIVATION, load16(u + 2 * H + j, count)
                                                              + load16(a + 2 * H + j, count)
                                                              + load16(bias + 2 * H + j, count));
#endif
                if (gates) store16(n, gates + at * 3 + 2 * H + j, count);
                if (previous_h) store16(previous, previous_h + at + j, count);
                const float16 h = gru_mix_16(z, n, previous);
                store16(h, y + at + j, count);
                store16(h, h_state + state + j, count);
            }
        }
    }
}

// `panels`: W_hh packed [ceil(H / 32)][3H][32]; `dreset` [B, H] is scratch (not RESET_AFTER).
// carry [B, H] enters as dh_T and leaves as dh_0.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gru_rows_backward(INPUT(float, dy), INPUT(float, previous_h), INPUT(float, panels), INPUT(int, offsets),
                       const int T, const int H, OUTPUT(float, carry), OUTPUT(float, gates),
                       OUTPUT(float, candidate), OUTPUT(float, dreset)) {
    BIND(dy);
    BIND(previous_h);
    BIND(panels);
    BIND(offsets);
    BIND(carry);
    BIND(gates);
    BIND(candidate);
    BIND(dreset);
    const int b0 = row_block(get_group_id(0), get_num_groups(0)) * BLOCK_ROWS;
    carry += (size_t)b0 * H;
    for (int t = T - 1; t >= 0; t--) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) continue;
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)(n0 + i) * H, state = (size_t)i * H;
            __global float *d = gates + at * 3;
            for (int j = 0; j < H; j += 16) {
                const int count = H - j;
                float16 z = load16(d + H + j, count), n = load16(d + 2 * H + j, count);
                float16 dh = load16(carry + state + j, count);
                if (dy) dh += load16(dy + at + j, count);
                store16(gru_mix_backward_16(&z, &n, load16(previous_h + at + j, count), dh), carry + state + j,
                        count);
                store16(z, d + H + j, count);
                store16(n, d + 2 * H + j, count);
#if RESET_AFTER
                const float16 r = load16(d + j, count);
                const float16 q = load16(candidate + at + j, count);
                store16(activate_backward_16(RECURRENT_ACTIVATION, r, n * q), d + j, count);
                store16(n * r, candidate + at + j, count);
#endif
            }
        }
#if RESET_AFTER
        panel_product(candidate + (size_t)n0 * H, H, rows, panels, 3 * H, 2 * H, H, H, carry, H, 1);
#else
        __global float *reset = dreset + (size_t)b0 * H;
        panel_product(gates + (size_t)n0 * 3 * H + 2 * H, 3 * H, rows, panels, 3 * H, 2 * H, H, H, reset, H, 0);
        for (int i = 0; i < rows; i++) {
            const size_t at = (size_t)(n0 + i) * H, state = (size_t)i * H;
            for (int j = 0; j < H; j += 16) {
                const int count = H - j;
                const float16 r = load16(gates + at * 3 + j, count), gradient = load16(reset + state + j, count);
                const float16 dr = gradient * load16(previous_h + at + j, count);
                store16(activate_backward_16(RECURRENT_ACTIVATION, r, dr), gates + at * 3 + j, count);
                store16(fma(gradient, r, load16(carry + state + j, count)), carry + state + j, count);
            }
        }
#endif
        panel_product(gates + (size_t)n0 * 3 * H, 3 * H, rows, panels, 3 * H, 0, 2 * H, H, carry, H, 1);
    }
}
