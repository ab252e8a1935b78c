// How the plans `fused step` and `persistent` share out a product with recurrent weights, and how their work-groups
// meet. Compiled between the file of a cell (lstm.cl, gru.cl, rnn.cl) and recurrent_forward.cl or
// recurrent_backward.cl.
//
// A tile is UNITS units with all COLUMN_GATES columns of each, so that who has the sums of a tile can finish its units.
// A work-group of COLUMNS x SLICES items makes the sums of a tile for ROWS batch rows at a time: item
// slice * COLUMNS + column keeps KEEP weights of its column in registers, the rows lie in local memory, and the slices'
// sums are added in their order. Each slice is one chain of fma in the order of k, DEPTH apart from block to block.
// A result therefore depends on COLUMN_GATES, UNITS, SLICES, KEEP and K only, not on how many groups there are.
#if FAMILY != CPU_FAMILY
// The kernels that are compiled: those of both plans or of one.
#define BOTH_PLANS 0
#define FUSED_PLAN 1
#define PERSISTENT_PLAN 2
#ifndef PLAN
#define PLAN BOTH_PLANS
#endif
#ifndef COLUMN_GATES
#define COLUMN_GATES CELL_GATES
#endif
#ifndef UNITS
#define UNITS 8
#endif
#ifndef SLICES
#define SLICES 8
#endif
#ifndef KEEP
#define KEEP 16         // a multiple of 4
#endif
#ifndef ROWS
#define ROWS 8          // follows from local memory
#endif
#define COLUMNS (COLUMN_GATES * UNITS)
#define ITEMS (COLUMNS * SLICES)
#define DEPTH (SLICES * KEEP)
// Slices lie four floats further apart than they are long: items of one slice read the same address at once, and those
// of the next slice another memory bank.
#define PITCH (KEEP + 4)

// Unrolled, small arrays become registers. Compilers for CPUs have none to spare and take much longer.
#ifndef UNROLL
#define UNROLL 0
#endif
#if UNROLL
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED
#endif

// Recurrent weights as registers keep them: `weight`, WEIGHTS of them in one. FOUR_WEIGHTS(w, i) are those of k = i, ...
#if PRECISION == FLOAT32
typedef float weight;
#define WEIGHTS 1
#define FOUR_WEIGHTS(w, i) (float4)((w)[i], (w)[(i) + 1], (w)[(i) + 2], (w)[(i) + 3])
#else
typedef uint weight;
#define WEIGHTS 2
#if PRECISION == BFLOAT16
#define TWO_WEIGHTS(bits) (float2)(as_float((bits) << 16), as_float((bits) & 0xFFFF0000U))
#else
static float2 half_values(const uint bits) { return vload_half2(0, (const half *)&bits); }
#define TWO_WEIGHTS half_values
#endif
#define FOUR_WEIGHTS(w, i) (float4)(TWO_WEIGHTS((w)[(i) / 2]), TWO_WEIGHTS((w)[(i) / 2 + 1]))
#endif
#define KEPT (KEEP / WEIGHTS)

// The left operand of a product. Row b, element k lies in `first` for k < split, else in `second`; only elements `from` ..< `to`
// count. `is_state`: `first` holds states, which are floats, and nothing else counts. Other work-groups wrote it, perhaps in this
// launch: volatile reads are not answered from a cache that only this compute unit sees.
typedef struct {
    const volatile __global void *first;
    const volatile __global saved *second;
    int first_stride, second_stride, split, from, to, is_state;
} Operand;

INLINE float operand_at(const Operand *x, const int b, const int k) {
    if (k < x->from || k >= x->to) return 0.0f;
    if (x->is_state) return ((const volatile __global float *)x->first)[(size_t)b * x->first_stride + k];
    return k < x->split ? RESTORE(1, OPERAND, (const volatile __global saved *)x->first + (size_t)b * x->first_stride + k)
                        : RESTORE(1, OPERAND, x->second + (size_t)b * x->second_stride + k - x->split);
}

// The weights of one block of k of one tile, which begin at `packed`.
INLINE void load_weights(weight *w, const __global weight *packed) {
    packed += get_local_id(0);
    UNROLLED
    for (int i = 0; i < KEPT; i++) w[i] = packed[i * ITEMS];
}

// The sums of `rows` <= ROWS rows from b0 on, each in SLICES parts; 0 if there are no rows. `packed`: the tile's weights in
// `blocks` blocks, read here unless there is one and w holds it.
INLINE void tile_sums(const Operand *x, const int b0, const int rows, const __global weight *packed, const int blocks,
                      weight *w, __local float4 *operand, __local float *partial) {
    const int item = get_local_id(0), slice = item / COLUMNS;
    __local float *staged = (__local float *)operand;
    float sum[ROWS];
    UNROLLED
    for (int r = 0; r < ROWS; r++) sum[r] = 0.0f;
    // Without rows one block all the same, for its barriers: `partial` is still read for the rows before.
    const int staged_values = rows > 0 ? ROWS * DEPTH : 0;
    for (int block = 0; block == 0 || (rows > 0 && block < blocks); block++) {
        const int k0 = block * DEPTH, mine = k0 + slice * KEEP;
        if (blocks > 1 && rows > 0) load_weights(w, packed + (size_t)block * KEPT * ITEMS);
        // Until here other items may still have read what is staged or summed now.
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int e = item; e < staged_values; e += ITEMS) {
            const int r = e / DEPTH, d = e % DEPTH;
            staged[(r * SLICES + d / KEEP) * PITCH + d % KEEP] =
                r < rows ? rounded_1(operand_at(x, b0 + r, k0 + d)) : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (rows > 0 && mine < x->to && mine + KEEP > x->from) {
            const __local float4 *own = operand + slice * (PITCH / 4);
            UNROLLED
            for (int i = 0; i < KEEP; i += 4) {
                const float4 m = FOUR_WEIGHTS(w, i);
                UNROLLED
                for (int r = 0; r < ROWS; r++) {
                    const float4 v = own[r * SLICES * (PITCH / 4) + i / 4];
                    sum[r] = fma(v.x, m.x, sum[r]);
                    sum[r] = fma(v.y, m.y, sum[r]);
                    sum[r] = fma(v.z, m.z, sum[r]);
                    sum[r] = fma(v.w, m.w, sum[r]);
                }
            }
        }
    }
    UNROLLED
    for (int r = 0; r < ROWS; r++) partial[r * ITEMS + item] = sum[r];
    barrier(CLK_LOCAL_MEM_FENCE);
}

// The sum of one column of one row.
INLINE float whole_sum(const __local float *partial, const int r, const int column) {
    float sum = partial[r * ITEMS + column];
    for (int slice = 1; slice < SLICES; slice++) sum += partial[r * ITEMS + slice * COLUMNS + column];
    return sum;
}

// packed [tiles][blocks][KEPT][ITEMS]: each tile's weights in the order in which its items read them, zero past H and K.
// Gate g of unit j and k is at g * gate_stride + j * unit_stride + k * k_stride. Item (item, i, tile * blocks + block).
__kernel void recurrent_pack(INPUT(float, weights), const int gate_stride, const int unit_stride, const int k_stride,
                             const int H, const int K, const int blocks, OUTPUT(weight, packed)) {
    BIND(weights);
    BIND(packed);
    const int item = get_global_id(0), i = get_global_id(1), panel = get_global_id(2);
    if (item >= ITEMS || i >= KEPT) return;
    const int slice = item / COLUMNS, column = item % COLUMNS;
    const int gate = column / UNITS, j = panel / blocks * UNITS + column % UNITS;
    const int k = panel % blocks * DEPTH + slice * KEEP + i * WEIGHTS;
    weights += (size_t)gate * gate_stride + (size_t)j * unit_stride;
    const float first = j < H && k < K ? weights[(size_t)k * k_stride] : 0.0f;
#if PRECISION == FLOAT32
    const weight value = first;
#else
    const float second = j < H && k + 1 < K ? weights[(size_t)(k + 1) * k_stride] : 0.0f;
    const weight value = operand_bits(first) | (uint)operand_bits(second) << 16;
#endif
    packed[((size_t)panel * KEPT + i) * ITEMS + item] = value;
}

// The plan `persistent`: group (p, q) of one launch takes tiles p, p + groups, ... for the q-th block of batch rows
// through the whole sequence; the groups of a block of rows meet after every phase. `meeting` holds, as 0 to start with:
#define FAILED 0                                // 1 when somebody waited too long
#define ARRIVED(q) (1 + (q))                    // arrivals of block q so far
#define DONE(p, q) (1 + get_num_groups(1) + (q) * workers + (p))     // phases that group p of block q finished

// OpenCL 1.2 promises no order of memory between work-groups. What is relied on here: atomics act on memory that all
// compute units share; mem_fence waits until an item's earlier writes have reached it, a barrier hands that on within the
// group; a volatile read fetches from it. In PTX membar.gl says the first two, and ld.volatile the third.
#ifdef __NV_CL_C_VERSION
#define FENCE() asm volatile("membar.gl;" ::: "memory")
#define LOOK(p) (*(p))
#else
#define FENCE() mem_fence(CLK_GLOBAL_MEM_FENCE)
#define LOOK(p) atomic_or(p, 0)
#endif

// Arrives for a group and waits until `awaited` have. Returns 0 when that took more than `limit` looks, or somebody else gave up:
// `refused` keeps later launches from trying. For one item of the group.
static int arrive(volatile __global int *meeting, volatile __global int *refused, const int awaited, const int limit) {
    volatile __global int *arrived = meeting + ARRIVED(get_group_id(1));
    int together = 1;
    FENCE();
    atomic_inc(arrived);
    for (int i = 0; together && LOOK(arrived) < awaited; i++) together = i < limit && !LOOK(meeting + FAILED);
    if (!together) {
        atomic_xchg(meeting + FAILED, 1);
        atomic_xchg(refused, 1);
    }
    FENCE();
    return together;
}

// Waits until `awaited` arrivals, this one among them, or for nobody if that is 0; then all see what all wrote before.
// Returns 0 when that failed.
static int meet(volatile __global int *meeting, volatile __global int *refused, const int awaited, const int limit,
                __local int *met) {
    FENCE();
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (get_local_id(0) == 0 && awaited > 0) *met = arrive(meeting, refused, awaited, limit);
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    return *met;
}

// What a launch is for (`rescue`): 0 to go through the phases, 1 to complete what a failure left undone, 2 only to find out
// whether all its groups meet, with the registers and the local memory they have.
#define ASKING 2

// Whether a group has something to do: to take part, or with `rescue` to complete what a failure left undone. Whoever
// starts after a failure leaves everything to the rescue.
static int starts(volatile __global int *meeting, volatile __global int *refused, const int rescue, const int limit,
                  __local int *met) {
    if (get_local_id(0) == 0) {
        if (rescue == ASKING) arrive(meeting, refused, get_num_groups(0), limit);
        const int failed = rescue ? !LOOK(meeting + FAILED) : LOOK(refused);
        if (failed && !rescue) atomic_xchg(meeting + FAILED, 1);
        *met = !failed && rescue != ASKING;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return *met;
}
#endif
