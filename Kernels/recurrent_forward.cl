// A recurrent layer forward in the plans `fused step` and `persistent` (recurrent.cl). COLUMN_GATES is the cell's.
//
// A phase is a step, or half of one where a cell has two products in a row (CELL_PHASES). A row reads h(t - 1) from y of
// the step before, so nothing is written that others still read. `state` [B, H] is c of an LSTM, z between the halves of
// a GRU's step; `kept` [N, H] an LSTM's cells, a GRU's candidates. Other operands are those of the stepwise kernels. With a
// mask a row's product reads previous_h instead: the step before wrote the masked state there, the host that of the first.
// `projection` without `positions` begins with row `projected`.
#if FAMILY != CPU_FAMILY
typedef struct {
    const __global float *projection;
    const __global int *positions;
    const __global float *bias;
    const __global weight *weights;
    const __global float *h0, *mask;
    const __global int *offsets;
    int T, H, tiles, blocks, projected;
    __global float *y, *h_state, *state;
    __global saved *gates, *previous_h, *kept;
} Forward;

#define FORWARD_OPERANDS                                                                                                        \
    INPUT(float, projection), INPUT(int, positions), INPUT(float, bias), INPUT(weight, weights), INPUT(float, h0),              \
    INPUT(float, mask), INPUT(int, offsets), const int T, const int H, const int blocks, const int projected, OUTPUT(float, y), \
    OUTPUT(float, h_state), OUTPUT(float, state), OUTPUT(saved, gates), OUTPUT(saved, previous_h), OUTPUT(saved, kept)
#define BIND_FORWARD                                                                                                              \
    BIND(projection); BIND(positions); BIND(bias); BIND(weights); BIND(h0); BIND(mask); BIND(offsets); BIND(y);                   \
    BIND(h_state); BIND(state); BIND(gates); BIND(previous_h); BIND(kept);                                                        \
    const Forward f = {projection, positions, bias, weights, h0, mask, offsets, T, H, (H + UNITS - 1) / UNITS, blocks, projected, \
                       y, h_state, state, gates, previous_h, kept};

static const __global weight *tile_weights(const Forward *f, const int tile) {
    return f->weights + (size_t)tile * f->blocks * KEPT * ITEMS;
}

// Rows b0 ..< b1 of the units of `tile` in one phase. w holds the tile's weights if they are one block.
INLINE void forward_phase(const Forward *f, const int phase, const int tile, const int b0, const int b1, weight *w,
                          __local float4 *operand, __local float *partial) {
    const int H = f->H, t = phase / CELL_PHASES, part = phase % CELL_PHASES, n0 = f->offsets[t];
    const int running_on = t + 1 < f->T ? f->offsets[t + 2] - f->offsets[t + 1] : 0;
    // Null: the state before the first step is 0.
    const __global float *before = t > 0 ? f->y + (size_t)f->offsets[t - 1] * H : f->h0;
    const __global saved *multiplied = part ? f->kept + (size_t)n0 * H : f->mask ? f->previous_h + (size_t)n0 * H : 0;
    const Operand x = {multiplied ? (const __global void *)multiplied : before, 0, H, 0, H, 0, H, !multiplied};
    for (int b = b0; b < b1; b += ROWS) {
        const int rows = min(ROWS, b1 - b);
        tile_sums(&x, b, x.first ? rows : 0, tile_weights(f, tile), f->blocks, w, operand, partial);
        for (int e = get_local_id(0); e < rows * UNITS; e += ITEMS) {
            const int r = e / UNITS, unit = e % UNITS, j = tile * UNITS + unit, n = n0 + b + r;
            if (j >= H) continue;
            float u[COLUMN_GATES];
            for (int g = 0; g < COLUMN_GATES; g++) u[g] = whole_sum(partial, r, g * UNITS + unit);
            const size_t at = (size_t)n * H + j, row = (size_t)(b + r) * H + j;
            const float h = before ? before[row] : 0.0f;
            // The first half of a GRU's step resets what W_hh multiplied.
            const float start = part + 1 < CELL_PHASES && f->mask ? f->mask[row] * h : h;
            const float next = cell_forward(
                part, u, f->projection + (size_t)(f->positions ? f->positions[n] : n - f->projected) * CELL_GATES * H + j, f->bias + j, H,
                start, AT(f->state, row), AT(f->gates, (size_t)n * CELL_GATES * H + j), AT(f->kept, at));
            if (part + 1 < CELL_PHASES) continue;
            const int ends = b + r >= running_on;
            if (f->previous_h && !f->mask) SAVE(1, OPERAND, h, f->previous_h + at);
            if (f->mask && !ends) SAVE(1, OPERAND, f->mask[row] * next, f->previous_h + (size_t)f->offsets[t + 1] * H + row);
            f->y[at] = next;
            if (ends) f->h_state[row] = next;
        }
    }
}

#if PLAN != PERSISTENT_PLAN
// One phase. Group (tile, block of `height` rows).
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void recurrent_forward_step(FORWARD_OPERANDS, const int phase, const int height) {
    __local float4 operand[ROWS * SLICES * (PITCH / 4)];
    __local float partial[ROWS * ITEMS];
    weight w[KEPT];
    BIND_FORWARD
    const int t = phase / CELL_PHASES, tile = get_group_id(0), b0 = get_group_id(1) * height;
    if (blocks == 1) load_weights(w, tile_weights(&f, tile));
    forward_phase(&f, phase, tile, b0, min(b0 + height, offsets[t + 1] - offsets[t]), w, operand, partial);
}
#endif

#if PLAN != FUSED_PLAN
// Phases `from` ..< `phases`, for groups (p, block of `height` rows) that are resident together; `workers` of them share a block of rows.
// With `rescue` one group for each block of rows does what those of the launch before left undone, and waits for nobody.
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void recurrent_forward_sequence(FORWARD_OPERANDS, const int from, const int phases, const int height, const int workers,
                                const int rescue, const int limit, OUTPUT(int, meeting), OUTPUT(int, refused)) {
    __local float4 operand[ROWS * SLICES * (PITCH / 4)];
    __local float partial[ROWS * ITEMS];
    __local int together;
    weight w[KEPT];
    BIND_FORWARD
    BIND(meeting);
    BIND(refused);
    const int group = get_group_id(0), groups = get_num_groups(0), block = get_group_id(1), b0 = block * height;
    const int held = blocks == 1 && f.tiles <= groups;
    int going = starts(meeting, refused, rescue, limit, &together), done = from, met = 0;
    if (going && held && group < f.tiles) load_weights(w, tile_weights(&f, group));
    for (int phase = from; going && phase < phases; phase++) {
        // Without rows the block has not begun yet, or has ended.
        const int b1 = min(b0 + height, offsets[phase / CELL_PHASES + 1] - offsets[phase / CELL_PHASES]);
        const int waits = b1 > b0 && phase > from && !rescue;
        met += waits ? groups : 0;
        going = meet(meeting, refused, waits ? met : 0, limit, &together);
        for (int tile = group; tile < f.tiles; tile += groups) {
            const int missing = going && !(rescue && meeting[DONE(tile % workers, block)] > phase);
            if (missing && blocks == 1 && !held) load_weights(w, tile_weights(&f, tile));
            forward_phase(&f, phase, tile, b0, missing ? b1 : b0, w, operand, partial);
        }
        done += going;
    }
    if (!rescue && get_local_id(0) == 0) meeting[DONE(group, block)] = done;
}
#endif
#endif
