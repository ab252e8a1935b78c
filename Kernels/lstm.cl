// i, f, o = s(a + u), g = t(a + u), c = f c(t - 1) + i g, hidden = o t(c); h = hidden, or W_hr hidden with a
// projection. Gates lie as i, f, g, o blocks of H columns. R is the width of h.
//
// Packed row n = offsets[t] + b is step t of sequence b; h_state [B, R] and c_state [B, H] are the running
// states, at the end the final ones. `projection` holds W_ih x without biases, row positions[n] (or n); it may
// be `gates` itself. `mask` [B, R] or null: factors of h(t - 1) where W_hh multiplies it; `previous_h` [N, R] keeps what it
// multiplied.
//
// Plan `stepwise`: the host makes u by one product per step; lstm_step finishes it. Item (unit, sequence).
// Plans `fused step` and `persistent`: recurrent.cl.
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

#define DEFINE_LSTM(F, S)                                                                                           \
    /* A row of a unit from its sums u: returns hidden. Pointers at the unit; c_state enters as c(t - 1) and leaves \
       as c. gates and cells may be null. */                                                                        \
    static F lstm_cell_##S(const F ui, const F uf, const F ug, const F uo, const __global float *a,                 \
                           const __global float *bias, const int H, __global float *c_state, __global saved *gates, \
                           __global saved *cells) {                                                                 \
        F i = ui + LOAD_##S(a) + LOAD_##S(bias);                                                                    \
        F f = uf + LOAD_##S(a + H) + LOAD_##S(bias + H);                                                            \
        F g = ug + LOAD_##S(a + 2 * H) + LOAD_##S(bias + 2 * H);                                                    \
        F o = uo + LOAD_##S(a + 3 * H) + LOAD_##S(bias + 3 * H);                                                    \
        i = activate_##S(RECURRENT_ACTIVATION, i);                                                                  \
        f = activate_##S(RECURRENT_ACTIVATION, f);                                                                  \
        g = activate_##S(ACTIVATION, g);                                                                            \
        o = activate_##S(RECURRENT_ACTIVATION, o);                                                                  \
        F c = fma(f, LOAD_##S(c_state), i * g);                                                                     \
        if (gates) {                                                                                                \
            SAVE(S, GATE, i, gates);                                                                                \
            SAVE(S, GATE, f, gates + H);                                                                            \
            SAVE(S, SIGNED, g, gates + 2 * H);                                                                      \
            SAVE(S, GATE, o, gates + 3 * H);                                                                        \
        }                                                                                                           \
        if (cells) SAVE(S, OPERAND, c, cells);                                                                      \
        STORE_##S(c, c_state);                                                                                      \
        return o * activate_##S(ACTIVATION, c);                                                                     \
    }                                                                                                               \
    /* gates enter activated and leave as gradients of their sums; c_carry enters as dc and leaves as               \
       dc(t - 1). before: c(t - 1). */                                                                              \
    static void lstm_cell_backward_##S(const F dh, const __global saved *cells, const F before, const int H,        \
                                       __global float *c_carry, __global saved *gates) {                            \
        F i = RESTORE(S, GATE, gates), f = RESTORE(S, GATE, gates + H), g = RESTORE(S, SIGNED, gates + 2 * H);      \
        F o = RESTORE(S, GATE, gates + 3 * H);                                                                      \
        F fc = activate_##S(ACTIVATION, RESTORE(S, OPERAND, cells));                                                \
        F dc = LOAD_##S(c_carry) + activate_backward_##S(ACTIVATION, fc, dh * o);                                   \
        STORE_##S(dc * f, c_carry);                                                                                 \
        SAVE(S, OPERAND, activate_backward_##S(RECURRENT_ACTIVATION, i, dc * g), gates);                            \
        SAVE(S, OPERAND, activate_backward_##S(RECURRENT_ACTIVATION, f, dc * before), gates + H);                   \
        SAVE(S, OPERAND, activate_backward_##S(ACTIVATION, g, dc * i), gates + 2 * H);                              \
        SAVE(S, OPERAND, activate_backward_##S(RECURRENT_ACTIVATION, o, dh * fc), gates + 3 * H);                   \
    }
DEFINE_LSTM(float, 1)

#if FAMILY != CPU_FAMILY
// For the plans of recurrent.cl.
#define CELL_GATES 4
#define CELL_PHASES 1
#define CELL_CARRIES 0              // dh(t - 1) is the product alone

typedef saved before_step;          // c(t - 1) is among the cells
#define BEFORE_STEP(p) RESTORE(1, OPERAND, p)

static float cell_forward(const int part, const float *u, const __global float *a, const __global float *bias,
                          const int H, const float h, __global float *state, __global saved *gates,
                          __global saved *kept) {
    return lstm_cell_1(u[0], u[1], u[2], u[3], a, bias, H, state, gates, kept);
}

static void cell_backward(const int part, const float d, const float before, const int H, __global float *state,
                          __global saved *gates, __global saved *kept) {
    lstm_cell_backward_1(d, kept, before, H, state, gates);
}

#ifndef PLAN
#if PROJECTED
typedef saved output_value;
#else
typedef float output_value;
#endif

// `projection` without `positions`: the rows of this step. `output` [N, H]: y without a projection of h (h_state and previous_h are
// then written too), hidden with one. With a mask the rows of previous_h that the next step multiplies are written, of the first
// `running_on` sequences.
__kernel void lstm_step(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, product),
                        const int n0, const int active, const int H, OUTPUT(output_value, output), OUTPUT(float, h_state),
                        OUTPUT(float, c_state), OUTPUT(saved, gates), OUTPUT(saved, previous_h),
                        OUTPUT(saved, cells), INPUT(float, mask), const int running_on) {
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
    BIND(mask);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int n = n0 + b;
    const size_t at = (size_t)n * H + j, state = (size_t)b * H + j;
    const __global float *u = product + (size_t)b * 4 * H + j;
    const float hidden = lstm_cell_1(u[0], u[H], u[2 * H], u[3 * H], projection + (size_t)(positions ? positions[n] : b) * 4 * H + j,
                                     bias + j, H, c_state + state, AT(gates, (size_t)n * 4 * H + j), AT(cells, at));
#if PROJECTED
    SAVE(1, OPERAND, hidden, output + at);
#else
    if (previous_h && !mask) SAVE(1, OPERAND, h_state[state], previous_h + at);
    if (mask && b < running_on) SAVE(1, OPERAND, mask[state] * hidden, previous_h + (size_t)(n + active) * H + j);
    h_state[state] = hidden;
    output[at] = hidden;
#endif
}

// `dhidden` row b: without a projection the carry dh (dy is added here), with one W_hr^T (dy + carry) and dy
// is null. `previous_rows`: c(t - 1), row b; null in the first step, which starts from c0 [B, H], or 0 if that is null too.
// c_carry [B, H] enters as dc and leaves as dc(t - 1). `mask`, null with a projection, multiplies the carry of the `running_on`
// sequences that have a next step.
__kernel void lstm_step_backward(INPUT(float, dy), INPUT(float, dhidden), INPUT(saved, cells),
                                 INPUT(saved, previous_rows), INPUT(float, c0), const int n0, const int active, const int H,
                                 OUTPUT(float, c_carry), OUTPUT(saved, gates), INPUT(float, mask),
                                 const int running_on) {
    BIND(dy);
    BIND(dhidden);
    BIND(cells);
    BIND(previous_rows);
    BIND(c0);
    BIND(mask);
    BIND(c_carry);
    BIND(gates);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const int n = n0 + b;
    const size_t at = (size_t)n * H + j, state = (size_t)b * H + j;
    float dh = dhidden[state];
    if (mask && b < running_on) dh *= mask[state];
    if (dy) dh += dy[at];
    const float before = previous_rows ? RESTORE(1, OPERAND, previous_rows + state) : c0 ? c0[state] : 0.0f;
    lstm_cell_backward_1(dh, cells + at, before, H, c_carry + state, gates + (size_t)n * 4 * H + j);
}
#endif
#endif

#if FAMILY != GPU_FAMILY
#define DEFINE_LSTM_ROWS(F, S)                                                                                       \
    /* All pointers at one unit of one row. previous_h may be null, h_state too (with a projection). */              \
    static void lstm_forward_##S(const __global float *a, const __global float *u, const __global float *bias,       \
                                 const int H, __global float *c_state, __global float *gates,                        \
                                 __global float *cells, __global float *output, __global float *h_state,             \
                                 __global float *previous_h) {                                                       \
        F hidden = lstm_cell_##S(LOAD_##S(u), LOAD_##S(u + H), LOAD_##S(u + 2 * H), LOAD_##S(u + 3 * H), a, bias, H, \
                                 c_state, gates, cells);                                                             \
        if (previous_h) STORE_##S(LOAD_##S(h_state), previous_h);                                                    \
        if (h_state) STORE_##S(hidden, h_state);                                                                     \
        STORE_##S(hidden, output);                                                                                   \
    }                                                                                                                \
    /* dy and previous_c may be null. */                                                                             \
    static void lstm_backward_##S(const __global float *dy, const __global float *dhidden,                           \
                                  const __global float *cells, const __global float *previous_c, const int H,        \
                                  __global float *c_carry, __global float *gates) {                                  \
        F dh = LOAD_##S(dhidden);                                                                                    \
        if (dy) dh += LOAD_##S(dy);                                                                                  \
        F before = 0.0f;                                                                                             \
        if (previous_c) before = LOAD_##S(previous_c);                                                               \
        lstm_cell_backward_##S(dh, cells, before, H, c_carry, gates);                                                \
    }
DEFINE_LSTM(float16, 16)
DEFINE_LSTM(float16, T)
DEFINE_LSTM_ROWS(float, 1)
DEFINE_LSTM_ROWS(float16, 16)
DEFINE_LSTM_ROWS(float16, T)

// `panels`: W_hh^T packed [ceil(4H / 32)][R][32]; `down`: W_hr^T packed [ceil(R / 32)][H][32];
// `product` [B, 4H] is scratch; `hidden` [N, H] with a projection.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void lstm_rows(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, panels),
               INPUT(float, down), INPUT(float, mask), OUTPUT(float, product), INPUT(int, offsets), const int T, const int H,
               const int R, OUTPUT(float, y), OUTPUT(float, h_state), OUTPUT(float, c_state), OUTPUT(float, gates),
               OUTPUT(float, previous_h), OUTPUT(float, cells), OUTPUT(float, hidden)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(panels);
    BIND(down);
    BIND(mask);
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
    __global float *const kept_h = mask ? 0 : previous_h;
    for (int t = 0; t < T; t++) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) break;
        if (mask) masked(mask + (size_t)b0 * R, h_state, previous_h + (size_t)n0 * R, rows * R);
        panel_product(mask ? previous_h + (size_t)n0 * R : h_state, R, rows, panels, R, 0, R, 4 * H, product, 4 * H, 0);
#if PROJECTED
        for (int r = 0; kept_h && r < rows; r++)
            copy_row(h_state + (size_t)r * R, kept_h + (size_t)(n0 + r) * R, R);
#endif
        for (int r = 0; r < rows; r++) {
            const size_t at = (size_t)(n0 + r) * H, state = (size_t)r * H;
            const __global float *a = projection + (size_t)(positions ? positions[n0 + r] : n0 + r) * 4 * H;
            const __global float *u = product + state * 4;
#if PROJECTED
            EACH_UNIT_OF_ROW(H, lstm_forward, (a + j, u + j, bias + j, H, c_state + state + j, AT(gates, at * 4 + j),
                                        AT(cells, at + j), hidden + at + j, 0, 0))
#else
            EACH_UNIT_OF_ROW(H, lstm_forward, (a + j, u + j, bias + j, H, c_state + state + j, AT(gates, at * 4 + j),
                                        AT(cells, at + j), y + at + j, h_state + state + j, AT(kept_h, at + j)))
#endif
        }
#if PROJECTED
        panel_product(hidden + (size_t)n0 * H, H, rows, down, H, 0, H, R, y + (size_t)n0 * R, R, 0);
        for (int r = 0; r < rows; r++) copy_row(y + (size_t)(n0 + r) * R, h_state + (size_t)r * R, R);
#endif
    }
}

// `panels`: W_hh packed [ceil(R / 32)][4H][32]; `up`: W_hr packed [ceil(H / 32)][R][32].
// h_carry [B, R] and c_carry [B, H] enter as dh_T, dc_T and leave as dh_0, dc_0.
// With a projection dh [N, R] (out) keeps dy + carry, and dhidden [B, H] is scratch.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void lstm_rows_backward(INPUT(float, dy), INPUT(float, panels), INPUT(float, up), INPUT(float, mask), INPUT(int, offsets), const int T,
                        const int H, const int R, INPUT(float, cells), INPUT(float, c0), OUTPUT(float, h_carry),
                        OUTPUT(float, c_carry), OUTPUT(float, gates), OUTPUT(float, dh), OUTPUT(float, dhidden)) {
    BIND(dy);
    BIND(panels);
    BIND(up);
    BIND(mask);
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
            for (int j = 0; j < R; j++) dh[at + j] = h_carry[(size_t)r * R + j] + (dy ? dy[at + j] : 0.0f);
        }
        panel_product(dh + (size_t)n0 * R, R, rows, up, R, 0, R, H, dhidden + (size_t)b0 * H, H, 0);
#endif
        const __global float *previous = t > 0 ? cells + (size_t)(offsets[t - 1] + b0) * H
                                               : (c0 ? c0 + (size_t)b0 * H : 0);
        for (int r = 0; r < rows; r++) {
            const size_t at = (size_t)(n0 + r) * H, state = (size_t)r * H;
#if PROJECTED
            EACH_UNIT_OF_ROW(H, lstm_backward, (0, dhidden + (size_t)b0 * H + state + j, cells + at + j,
                                         AT(previous, state + j), H, c_carry + state + j, gates + at * 4 + j))
#else
            EACH_UNIT_OF_ROW(H, lstm_backward, (AT(dy, at + j), h_carry + state + j, cells + at + j, AT(previous, state + j),
                                         H, c_carry + state + j, gates + at * 4 + j))
#endif
        }
        panel_product(gates + (size_t)n0 * 4 * H, 4 * H, rows, panels, 4 * H, 0, 4 * H, R, h_carry, R, 0);
        if (mask) masked(mask + (size_t)b0 * R, h_carry, h_carry, rows * R);
    }
}
#endif
