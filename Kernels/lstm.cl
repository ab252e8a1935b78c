// i, f, o = s(a + u), g = t(a + u), c = f c(t - 1) + i g, hidden = o t(c); h = hidden, or W_hr hidden with a
// projection. Gates lie as i, f, g, o blocks of H columns. R is the width of h.
//
// Packed row n = offsets[t] + b is step t of sequence b; h_state [B, R] and c_state [B, H] are the running
// states, at the end the final ones. `projection` holds W_ih x without biases, row positions[n] (or n); it may
// be `gates` itself.
//
// Plan `stepwise`: the host makes u by one product per step; lstm_step finishes it. Item (unit, sequence).
// Plan `rows`: one launch per sequence; each work-group of one item owns BLOCK_ROWS sequences for all steps.
#ifndef ACTIVATION
#define ACTIVATION TANH
#endif
#ifndef RECURRENT_ACTIVATION
#define RECURRENT_ACTIVATION SIGMOID
#endif
#ifndef PROJECTED
#define PROJECTED 0     // h = W_hr hidden
#endif
#ifndef BLOCK_ROWS
#define BLOCK_ROWS 8
#endif

#define DEFINE_LSTM(F, S)                                                                                    \
    /* i, f, g, o enter as sums and leave activated; c enters as c(t - 1). Returns hidden. */                \
    static F lstm_cell_##S(F *i, F *f, F *g, F *o, F *c) {                                                   \
        *i = activate_##S(RECURRENT_ACTIVATION, *i);                                                         \
        *f = activate_##S(RECURRENT_ACTIVATION, *f);                                                         \
        *g = activate_##S(ACTIVATION, *g);                                                                   \
        *o = activate_##S(RECURRENT_ACTIVATION, *o);                                                         \
        *c = fma(*f, *c, *i * *g);                                                                           \
        return *o * activate_##S(ACTIVATION, *c);                                                            \
    }                                                                                                        \
    /* i, f, g, o enter activated and leave as gradients; returns dc(t - 1). */                              \
    static F lstm_cell_backward_##S(F *i, F *f, F *g, F *o, F c, F previous_c, F dh, F dc) {                 \
        F fc = activate_##S(ACTIVATION, c);                                                                  \
        dc += activate_backward_##S(ACTIVATION, fc, dh * *o);                                                \
        F di = activate_backward_##S(RECURRENT_ACTIVATION, *i, dc * *g);                                     \
        F dg = activate_backward_##S(ACTIVATION, *g, dc * *i);                                               \
        F carry = dc * *f;                                                                                   \
        *f = activate_backward_##S(RECURRENT_ACTIVATION, *f, dc * previous_c);                               \
        *o = activate_backward_##S(RECURRENT_ACTIVATION, *o, dh * fc);                                       \
        *i = di;                                                                                             \
        *g = dg;                                                                                             \
        return carry;                                                                                        \
    }
DEFINE_LSTM(float, 1)
DEFINE_LSTM(float16, 16)

// `output` [N, H]: y without a projection (h_state and previous_h are then written too), hidden with one.
__kernel void lstm_step(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, product),
                        const int n0, const int active, const int H, OUTPUT(float, output), OUTPUT(float, h_state),
                        OUTPUT(float, c_state), OUTPUT(float, gates), OUTPUT(float, previous_h),
                        OUTPUT(float, cells)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(product);
    BIND(output);
    BIND(h_state);
    BIND(c_state);
    BIND(gates);
    BIND(previous_h);
    BIND(cells);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int n = n0 + b;
    const size_t at = (size_t)n * H + j, state = (size_t)b * H + j;
    const __global float *a = projection + (size_t)(positions ? positions[n] : n) * 4 * H + j;
    const __global float *u = product + (size_t)b * 4 * H + j;
    float i = u[0] + a[0] + bias[j];
    float f = u[H] + a[H] + bias[H + j];
    float g = u[2 * H] + a[2 * H] + bias[2 * H + j];
    float o = u[3 * H] + a[3 * H] + bias[3 * H + j];
    float c = c_state[state];
    const float hidden = lstm_cell_1(&i, &f, &g, &o, &c);
    if (gates) {
        __global float *kept = gates + (size_t)n * 4 * H + j;
        kept[0] = i;
        kept[H] = f;
        kept[2 * H] = g;
        kept[3 * H] = o;
    }
    if (cells) cells[at] = c;
    c_state[state] = c;
    output[at] = hidden;
#if !PROJECTED
    if (previous_h) previous_h[at] = h_state[state];
    h_state[state] = hidden;
#endif
}

// `dhidden` row b: without a projection the carry dh (dy is added here), with one W_hr^T (dy + carry) and dy
// is null. `previous_rows`: c(t - 1), row b. c_carry [B, H] enters as dc and leaves as dc(t - 1).
__kernel void lstm_step_backward(INPUT(float, dy), INPUT(float, dhidden), INPUT(float, cells),
                                 INPUT(float, previous_rows), const int n0, const int active, const int H,
                                 OUTPUT(float, c_carry), OUTPUT(float, gates)) {
    BIND(dy);
    BIND(dhidden);
    BIND(cells);
    BIND(previous_rows);
    BIND(c_carry);
    BIND(gates);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int n = n0 + b;
    const size_t at = (size_t)n * H + j, state = (size_t)b * H + j;
    __global float *d = gates + (size_t)n * 4 * H + j;
    float i = d[0], f = d[H], g = d[2 * H], o = d[3 * H];
    const float dh = dhidden[state] + (dy ? dy[at] : 0.0f);
    const float previous = previous_rows ? previous_rows[state] : 0.0f;
    c_carry[state] = lstm_cell_backward_1(&i, &f, &g, &o, cells[at], previous, dh, c_carry[state]);
    d[0] = i;
    d[H] = f;
    d[2 * H] = g;
    d[3 * H] = o;
}

// `panels`: W_hh^T packed [ceil(4H / 32)][R][32]; `down`: W_hr^T packed [ceil(R / 32)][H][32];
// `product` [B, 4H] is scratch; `hidden` [N, H] with a projection.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void lstm_rows(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, panels),
               INPUT(float, down), OUTPUT(float, product), INPUT(int, offsets), const int T, const int H,
               const int R, OUTPUT(float, y), OUTPUT(float, h_state), OUTPUT(float, c_state), OUTPUT(float, gates),
               OUTPUT(float, previous_h), OUTPUT(float, cells), OUTPUT(float, hidden)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(panels);
    BIND(down);
    BIND(product);
    BIND(offsets);
    BIND(y);
    BIND(h_state);
    BIND(c_state);
    BIND(gates);
    BIND(previous_h);
    BIND(cells);
    BIND(hidden);
    const int b0 = row_block(get_group_id(0), get_num_groups(0)) * BLOCK_ROWS;
    product += (size_t)b0 * 4 * H;
    h_state += (size_t)b0 * R;
    c_state += (size_t)b0 * H;
    for (int t = 0; t < T; t++) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) break;
        panel_product(h_state, R, rows, panels, R, 0, R, 4 * H, product, 4 * H, 0);
        if (previous_h) {
            for (int r = 0; r < rows; r++)
                for (int j = 0; j < R; j += 16)
                    store16(load16(h_state + (size_t)r * R + j, R - j), previous_h + (size_t)(n0 + r) * R + j, R - j);
        }
        for (int r = 0; r < rows; r++) {
            const size_t at = (size_t)(n0 + r) * H, state = (size_t)r * H;
            const __global float *a = projection + (size_t)(positions ? positions[n0 + r] : n0 + r) * 4 * H;
            const __global float *u = product + state * 4;
            for (int j = 0; j < H; j += 16) {
                const int count = H - j;
                float16 i = load16(u + j, count) + load16(a + j, count) + load16(bias + j, count);
                float16 f = load16(u + H + j, count) + load16(a + H + j, count) + load16(bias + H + j, count);
                float16 g = load16(u + 2 * H + j, count) + load16(a + 2 * H + j, count)
                    + load16(bias + 2 * H + j, count);
                float16 o = load16(u + 3 * H + j, count) + load16(a + 3 * H + j, count)
                    + load16(bias + 3 * H + j, count);
                float16 c = load16(c_state + state + j, count);
                const float16 h = lstm_cell_16(&i, &f, &g, &o, &c);
                if (gates) {
                    __global float *kept = gates + at * 4 + j;
                    store16(i, kept, count);
                    store16(f, kept + H, count);
                    store16(g, kept + 2 * H, count);
                    store16(o, kept + 3 * H, count);
                }
                if (cells) store16(c, cells + at + j, count);
                store16(c, c_state + state + j, count);
#if PROJECTED
                store16(h, hidden + at + j, count);
#else
                store16(h, y + at + j, count);
                store16(h, h_state + state + j, count);
#endif
            }
        }
#if PROJECTED
        panel_product(hidden + (size_t)n0 * H, H, rows, down, H, 0, H, R, y + (size_t)n0 * R, R, 0);
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < R; j += 16)
                store16(load16(y + (size_t)(n0 + r) * R + j, R - j), h_state + (size_t)r * R + j, R - j);
#endif
    }
}

// `panels`: W_hh packed [ceil(R / 32)][4H][32]; `up`: W_hr packed [ceil(H / 32)][R][32].
// h_carry [B, R] and c_carry [B, H] enter as dh_T, dc_T and leave as dh_0, dc_0.
// With a projection dh [N, R] (out) keeps dy + carry, and dhidden [B, H] is scratch.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void lstm_rows_backward(INPUT(float, dy), INPUT(float, panels), INPUT(float, up), INPUT(int, offsets), const int T,
                        const int H, const int R, INPUT(float, cells), INPUT(float, c0), OUTPUT(float, h_carry),
                        OUTPUT(float, c_carry), OUTPUT(float, gates), OUTPUT(float, dh), OUTPUT(float, dhidden)) {
    BIND(dy);
    BIND(panels);
    BIND(up);
    BIND(offsets);
    BIND(cells);
    BIND(c0);
    BIND(h_carry);
    BIND(c_carry);
    BIND(gates);
    BIND(dh);
    BIND(dhidden);
    const int b0 = row_block(get_group_id(0), get_num_groups(0)) * BLOCK_ROWS;
    h_carry += (size_t)b0 * R;
    c_carry += (size_t)b0 * H;
    for (int t = T - 1; t >= 0; t--) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) continue;
#if PROJECTED
        for (int r = 0; r < rows; r++) {
            const size_t at = (size_t)(n0 + r) * R;
            for (int j = 0; j < R; j += 16) {
                float16 sum = load16(h_carry + (size_t)r * R + j, R - j);
                if (dy) sum += load16(dy + at + j, R - j);
                store16(sum, dh + at + j, R - j);
            }
        }
        panel_product(dh + (size_t)n0 * R, R, rows, up, R, 0, R, H, dhidden + (size_t)b0 * H, H, 0);
#endif
        const __global float *previous = t > 0 ? cells + (size_t)(offsets[t - 1] + b0) * H
                                               : (c0 ? c0 + (size_t)b0 * H : 0);
        for (int r = 0; r < rows; r++) {
            const size_t at = (size_t)(n0 + r) * H, state = (size_t)r * H;
            __global float *d = gates + at * 4;
            for (int j = 0; j < H; j += 16) {
                const int count = H - j;
                float16 i = load16(d + j, count), f = load16(d + H + j, count);
                float16 g = load16(d + 2 * H + j, count), o = load16(d + 3 * H + j, count);
#if PROJECTED
                const float16 gradient = load16(dhidden + (size_t)b0 * H + state + j, count);
#else
                float16 gradient = load16(h_carry + state + j, count);
                if (dy) gradient += load16(dy + at + j, count);
#endif
                float16 before = 0;
                if (previous) before = load16(previous + state + j, count);
                const float16 carry = lstm_cell_backward_16(&i, &f, &g, &o, load16(cells + at + j, count), before,
                                                            gradient, load16(c_carry + state + j, count));
                store16(carry, c_carry + state + j, count);
                store16(i, d + j, count);
                store16(f, d + H + j, count);
                store16(g, d + 2 * H + j, count);
                store16(o, d + 3 * H + j, count);
            }
        }
        panel_product(gates + (size_t)n0 * 4 * H, 4 * H, rows, panels, 4 * H, 0, 4 * H, R, h_carry, R, 0);
    }
}
