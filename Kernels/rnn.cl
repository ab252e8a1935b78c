// h = f(a + u): a = W_ih x + biases, u = W_hh h(t - 1).
//
// Packed row n = offsets[t] + b is step t of sequence b; h_state [B, H] is the running state, at the end the
// final one. `projection` holds W_ih x without biases, row positions[n] (or n); it may be `gates` itself.
//
// Plan `stepwise`: the host makes u by one product per step; rnn_step finishes it. Item (unit, sequence).
// Plan `rows`: one launch per sequence; each work-group of one item owns BLOCK_ROWS sequences for all steps.
#ifndef ACTIVATION
#define ACTIVATION TANH
#endif
#ifndef BLOCK_ROWS
#define BLOCK_ROWS 8
#endif

__kernel void rnn_step(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, product),
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
    const int n = n0 + b;
    const size_t at = (size_t)n * H + j, state = (size_t)b * H + j;
    const float a = projection[(size_t)(positions ? positions[n] : n) * H + j];
    const float h = activate_1(ACTIVATION, product[state] + a + bias[j]);
    if (previous_h) previous_h[at] = h_state[state];
    if (gates) gates[at] = h;
    y[at] = h;
    h_state[state] = h;
}

// gates (h) become the gradient of a + u; dh = dy + carry.
__kernel void rnn_step_backward(INPUT(float, dy), INPUT(float, carry), const int n0, const int active, const int H,
                                OUTPUT(float, gates)) {
    BIND(dy);
    BIND(carry);
    BIND(gates);
    const int j = get_global_id(0), b = get_global_id(1);
    if (j >= H || b >= active) return;
    const size_t at = (size_t)(n0 + b) * H + j;
    const float dh = carry[(size_t)b * H + j] + (dy ? dy[at] : 0.0f);
    gates[at] = activate_backward_1(ACTIVATION, gates[at], dh);
}

// `panels`: W_hh^T packed [ceil(H / 32)][H][32]; `product` [B, H] is scratch.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void rnn_rows(INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(float, panels),
              OUTPUT(float, product), INPUT(int, offsets), const int T, const int H, OUTPUT(float, y),
              OUTPUT(float, h_state), OUTPUT(float, gates), OUTPUT(float, previous_h)) {
    BIND(projection);
    BIND(positions);
    BIND(bias);
    BIND(panels);
    BIND(product);
    BIND(offsets);
    BIND(y);
    BIND(h_state);
    BIND(gates);
    BIND(previous_h);
    const int b0 = row_block(get_group_id(0), get_num_groups(0)) * BLOCK_ROWS;
    product += (size_t)b0 * H;
    h_state += (size_t)b0 * H;
    for (int t = 0; t < T; t++) {
        const int n0 = offsets[t] + b0;
        const int rows = min(BLOCK_ROWS, offsets[t + 1] - n0);
        if (rows <= 0) break;
        panel_product(h_state, H, rows, panels, H, 0, H, H, product, H, 0);
        for (int r = 0; r < rows; r++) {
            const size_t at = (size_t)(n0 + r) * H, state = (size_t)r * H;
            const size_t from = (size_t)(positions ? positions[n0 + r] : n0 + r) * H;
            for (int j = 0; j < H; j += 16) {
                const int count = H - j;
                const float16 sum = load16(product + state + j, count) + load16(projection + from + j, count);
                const float16 h = activate_16(ACTIVATION, sum + load16(bias + j, count));
                if (previous_h) store16(load16(h_state + state + j, count), previous_h + at + j, count);
                if (gates) store16(h, gates + at + j, count);
                store16(h, y + at + j, count);
                store16(h, h_state + state + j, count);
            }
        }
    }
}

// `panels`: W_hh packed; carry [B, H] enters as dh_T and leaves as dh_0.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void rnn_rows_backward(INPUT(float, dy), INPUT(float, panels), INPUT(int, offsets), const int T, const int H,
                       OUTPUT(float, carry), OUTPUT(float, gates)) {
    BIND(dy);
    BIND(panels);
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
            for (int j = 0; j < H; j += 16) {
                const int count = H - j;
                float16 dh = load16(carry + state + j, count);
                if (dy) dh += load16(dy + at + j, count);
                store16(activate_backward_16(ACTIVATION, load16(gates + at + j, count), dh), gates + at + j, count);
            }
        }
        panel_product(gates + (size_t)n0 * H, H, rows, panels, H, 0, H, H, carry, H, 0);
    }
}
