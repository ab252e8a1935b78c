// A recurrent layer backward in the plans `fused step` and `persistent` (recurrent.cl). COLUMN_GATES is 1.
//
// Phases run from the last step to the first. A phase adds up the gradient of h of a tile's units from the gates'
// gradients of the step after, which other groups made in the phase before, and finishes the gates of this step. Behind
// the first step follows one more phase for dh_0 where that is wanted.
//
// `gates` [N, GH] enter as activated gates and leave as gradients, `kept` [N, H] an LSTM's cells, a GRU's candidates;
// `before` [N, H] an LSTM's cells, a GRU's y, `start` [B, H] what stands for them before the first step, or null. `mask` [B, H] or
// null multiplies what comes through W_hh. `carry` [B, H] enters as dh_T and leaves as dh_0,
// `state` [B, H] is an LSTM's dc, a GRU's `carry` again.
#if FAMILY != CPU_FAMILY
typedef struct {
    const __global float *dy;
    const __global weight *weights;
    const __global before_step *before;
    const __global float *start, *mask;
    const __global int *offsets;
    int T, H, tiles, blocks;
    __global float *carry, *state;
    __global saved *gates, *kept;
} Backward;

#define BACKWARD_OPERANDS                                                                                          \
    INPUT(float, dy), INPUT(weight, weights), INPUT(before_step, before), INPUT(float, start), INPUT(float, mask), \
    INPUT(int, offsets), const int T, const int H, const int blocks, OUTPUT(float, carry), OUTPUT(float, state),   \
    OUTPUT(saved, gates), OUTPUT(saved, kept)
#define BIND_BACKWARD                                                                                        \
    BIND(dy); BIND(weights); BIND(before); BIND(start); BIND(mask); BIND(offsets); BIND(carry); BIND(state); \
    BIND(gates); BIND(kept);                                                                                 \
    const Backward f = {dy, weights, before, start, mask, offsets, T, H, (H + UNITS - 1) / UNITS, blocks, carry, state, gates, kept};

static const __global weight *tile_weights(const Backward *f, const int tile) {
    return f->weights + (size_t)tile * f->blocks * KEPT * ITEMS;
}

// The step of a phase; -1 for the one behind the first step.
static int step_of(const int phase, const int T) { return T - 1 - phase / CELL_PHASES; }

// The rows that phase has: those of its step, or of the first one.
static int rows_of(const __global int *offsets, const int t) { return offsets[max(t, 0) + 1] - offsets[max(t, 0)]; }

// The gradients that a product reads, and their rows.
static Operand gradients(const Backward *f, const int t, const int part) {
    const int H = f->H, n0 = part || t + 1 < f->T ? f->offsets[part ? t : t + 1] : 0;
    Operand x = {f->gates + (size_t)n0 * CELL_GATES * H, 0, CELL_GATES * H, 0, CELL_GATES * H, 0, CELL_GATES * H, 0};
#if CELL_GATES == 3
    if (CELL_PHASES == 1) {
        // What W_hn multiplies has a gradient of its own.
        x.second = f->kept + (size_t)n0 * H;
        x.second_stride = H;
        x.split = 2 * H;
    } else if (part) {
        x.from = 2 * H;
    } else {
        x.to = 2 * H;
    }
#endif
    return x;
}

// Rows b0 ..< b1 of the units of `tile` in one phase. w holds the tile's weights if they are one block.
INLINE void backward_phase(const Backward *f, const int phase, const int tile, const int b0, const int b1, weight *w,
                           __local float4 *operand, __local float *partial) {
    const int H = f->H, t = step_of(phase, f->T), part = phase % CELL_PHASES, n0 = t < 0 ? 0 : f->offsets[t];
    // Rows that end with this step have no step after it.
    const int running_on = t + 1 < f->T ? f->offsets[t + 2] - f->offsets[t + 1] : 0;
    const Operand x = gradients(f, t, part);
    for (int b = b0; b < b1; b += ROWS) {
        const int rows = min(ROWS, b1 - b), summed = part ? rows : min(rows, running_on - b);
        tile_sums(&x, b, summed, tile_weights(f, tile), f->blocks, w, operand, partial);
        for (int e = get_local_id(0); e < rows * UNITS; e += ITEMS) {
            const int r = e / UNITS, unit = e % UNITS, j = tile * UNITS + unit, n = n0 + b + r;
            if (j >= H) continue;
            float sum = whole_sum(partial, r, unit);
            const size_t at = (size_t)n * H + j, row = (size_t)(b + r) * H + j;
            if (f->mask) sum *= f->mask[row];
            float d = sum;
            if (part == 0 && (CELL_CARRIES || r >= summed)) d = f->carry[row] + sum;
            if (t < 0) {
                f->carry[row] = d;
                continue;
            }
            if (part == 0 && f->dy) d += f->dy[at];
            float before = 0.0f;
            if (t > 0 && f->before) before = BEFORE_STEP(f->before + (size_t)f->offsets[t - 1] * H + row);
            if (t == 0 && f->start) before = f->start[row];
            cell_backward(part, d, before, H, f->state + row, f->gates + (size_t)n * CELL_GATES * H + j, AT(f->kept, at));
        }
    }
}

#if PLAN != PERSISTENT_PLAN
// One phase. Group (tile, block of `height` rows).
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void recurrent_backward_step(BACKWARD_OPERANDS, const int phase, const int height) {
    __local float4 operand[ROWS * SLICES * (PITCH / 4)];
    __local float partial[ROWS * ITEMS];
    weight w[KEPT];
    BIND_BACKWARD
    const int tile = get_group_id(0), b0 = get_group_id(1) * height;
    if (blocks == 1) load_weights(w, tile_weights(&f, tile));
    backward_phase(&f, phase, tile, b0, min(b0 + height, rows_of(offsets, step_of(phase, T))), w, operand, partial);
}
#endif

#if PLAN != FUSED_PLAN
// Phases `from` ..< `phases`, for groups (p, block of `height` rows) that are resident together; `workers` of them share a block of
// rows. With `rescue` one group for each block of rows does what those of the launch before left undone, and waits for
// nobody.
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void recurrent_backward_sequence(BACKWARD_OPERANDS, const int from, const int phases, const int height,
                                 const int workers, const int rescue, const int limit, OUTPUT(int, meeting),
                                 OUTPUT(int, refused)) {
    __local float4 operand[ROWS * SLICES * (PITCH / 4)];
    __local float partial[ROWS * ITEMS];
    __local int together;
    weight w[KEPT];
    BIND_BACKWARD
    BIND(meeting);
    BIND(refused);
    const int group = get_group_id(0), groups = get_num_groups(0), block = get_group_id(1), b0 = block * height;
    const int held = blocks == 1 && f.tiles <= groups;
    int going = starts(meeting, refused, rescue, limit, &together), done = from, met = 0;
    if (going && held && group < f.tiles) load_weights(w, tile_weights(&f, group));
    for (int phase = from; going && phase < phases; phase++) {
        // Without rows the block has not begun yet, or has ended.
        const int b1 = min(b0 + height, rows_of(offsets, step_of(phase, T)));
        const int waits = b1 > b0 && phase > from && !rescue;
        met += waits ? groups : 0;
        going = meet(meeting, refused, waits ? met : 0, limit, &together);
        for (int tile = group; tile < f.tiles; tile += groups) {
            const int missing = going && !(rescue && meeting[DONE(tile % workers, block)] > phase);
            if (missing && blocks == 1 && !held) load_weights(w, tile_weights(&f, tile));
            backward_phase(&f, phase, tile, b0, missing ? b1 : b0, w, operand, partial);
        }
        done += going;
    }
    if (!rescue && get_local_id(0) == 0) meeting[DONE(group, block)] = done;
}
#endif
#endif
