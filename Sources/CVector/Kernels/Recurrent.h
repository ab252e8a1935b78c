// What the time loops of the three cells share: where the rows of a step lie, and the ends of sequences.
//
// A worker takes `block` rows of the batch through all steps by itself. The batch is sorted longest first, so
// the rows of the block that run at step t are its first stepRows(t).

typedef struct {
    const float *base;
    /// 0 where all rows share one (an absent initial state).
    long ld;
    /// Whether they are pairs of bfloat16 (Bfloat16.h), two numbers in the place of a float.
    bool paired;
} Rows;

SMALL long stepRows(const cvRecurrent *p, const cvRecurrentAreas *s, long row, long t) {
    long rows = t < p->steps ? p->active[t] - row : 0;
    return rows < 0 ? 0 : rows > s->block ? s->block : rows;
}

SMALL long blockRows(const cvRecurrent *p, const cvRecurrentAreas *s, long row) {
    return p->batch - row < s->block ? p->batch - row : s->block;
}

SMALL const float *rowOf(const float *base, long row, long width) { return base ? base + row * width : NULL; }

/// The rows a step starts from: those of `sequence` [N, width] one step earlier, or the initial state;
/// NULL after the first step where the sequence is not kept.
SMALL Rows before(const cvRecurrent *p, const cvRecurrentAreas *s, long row, long t, const float *sequence,
                  const float *initial, long width) {
    if (t > 0) return (Rows){rowOf(sequence, p->offsets[t - 1] + row, width), width};
    if (initial) return (Rows){initial + row * width, width};
    return (Rows){s->zeros, 0};
}

SMALL void copyRow(float *to, const float *from, long width) {
    if (from) memcpy(to, from, sizeof(float) * (size_t)width); else memset(to, 0, sizeof(float) * (size_t)width);
}

/// Pairs of m rows of h [m, R], sequences `row` on, each times its mask.
static void pairMasked(const cvRecurrent *p, long row, long m, Rows h, float *out) {
    enum { most = 256 };
    float masked[most];
    for (long r = 0; r < m; r++) {
        const float *from = h.base + r * h.ld, *mask = p->mask + (row + r) * p->state;
        for (long k = 0; k < p->state; k += most) {
            long count = cvMin(most, p->state - k);
            FOR_VECTORS(count, storeN(masked + i, loadN(mask + k + i, w) * loadN(from + k + i, w), w););
            pairRow(count, masked, out + r * pairsIn(p->state) + k / 2);
        }
    }
}

/// Keeps what W_hh multiplies in rows n ..< n + m, sequences `row` on, and returns it: the states h, masked if there is a mask,
/// as pairs in compact form.
static Rows keepPrevious(const cvRecurrent *p, long row, long n, long m, Rows h) {
    if (!p->previousH) return h;
    long R = p->state;
    if (p->compact) {
        float *kept = p->previousH + n * pairsIn(R);
        if (!h.ld) memset(kept, 0, sizeof(float) * (size_t)(m * pairsIn(R)));
        else if (p->mask) pairMasked(p, row, m, h, kept);
        else pairColumns(m, R, h.base, h.ld, kept);
        return h.ld ? (Rows){kept, pairsIn(R), true} : h;
    }
    float *kept = p->previousH + n * R;
    for (long r = 0; r < m; r++) {
        const float *from = h.base + r * h.ld, *mask = rowOf(p->mask, row + r, R);
        float *to = kept + r * R;
        if (!mask) copyRow(to, from, R);
        else FOR_VECTORS(R, storeN(to + i, loadN(mask + i, w) * loadN(from + i, w), w););
    }
    return p->mask && h.ld ? (Rows){kept, R} : h;
}

/// Copies final states of the rows that end with step t; t = −1 stands for rows of length 0.
static void keepFinal(const cvRecurrent *p, const cvRecurrentAreas *s, long row, long t, const float *c) {
    long m = t < 0 ? blockRows(p, s, row) : stepRows(p, s, row, t);
    for (long i = stepRows(p, s, row, t + 1); i < m; i++) {
        const float *h = t < 0 ? rowOf(p->h0, row + i, p->state) : p->y + (p->offsets[t] + row + i) * p->state;
        copyRow(p->hT + (row + i) * p->state, h, p->state);
        if (p->kind != cvLSTM) continue;
        copyRow(p->cT + (row + i) * p->hidden, t < 0 ? rowOf(p->c0, row + i, p->hidden) : c + i * p->hidden, p->hidden);
    }
}

/// Sets the running gradients of rows whose last step is t.
static void startGradients(const cvRecurrent *p, const cvRecurrentAreas *s, long row, long t, float *dh, float *dc) {
    long m = stepRows(p, s, row, t);
    for (long i = stepRows(p, s, row, t + 1); i < m; i++) {
        copyRow(dh + i * p->state, rowOf(p->dhT, row + i, p->state), p->state);
        if (dc) copyRow(dc + i * p->hidden, rowOf(p->dcT, row + i, p->hidden), p->hidden);
    }
}

/// Hands out the gradients of the initial states; rows of length 0 pass theirs through.
static void keepInitialGradients(const cvRecurrent *p, const cvRecurrentAreas *s, long row, const float *dh,
                                 const float *dc) {
    long m = stepRows(p, s, row, 0), all = blockRows(p, s, row);
    for (long i = 0; i < all; i++) {
        if (p->dh0) copyRow(p->dh0 + (row + i) * p->state, i < m ? dh + i * p->state : rowOf(p->dhT, row + i, p->state), p->state);
        if (p->dc0) copyRow(p->dc0 + (row + i) * p->hidden, i < m ? dc + i * p->hidden : rowOf(p->dcT, row + i, p->hidden), p->hidden);
    }
}

/// Row n of the kept `c` or `candidate`.
SMALL float *keptRow(const cvRecurrent *p, float *base, long n) {
    return base + n * (p->compact ? pairsIn(p->hidden) : p->hidden);
}

/// The gates of rows from n on, after the pointwise part of the backward pass their gradients.
SMALL Rows gateRows(const cvRecurrent *p, long n) { return (Rows){p->gates + n * p->gatesLd, p->gatesLd, p->compact}; }

/// The end of a row of `width` bfloat16 numbers where they do not fill the last pair.
SMALL void endPair(Half *row, long width) { if (width % 2) row[width] = 0; }

/// W_ih x of packed row n.
SMALL const float *projectionRow(const cvRecurrent *p, long n, long width) {
    return p->projection + (p->positions ? p->positions[n] : n) * width;
}

SMALL V optional(const float *row, long i, long w) { return row ? loadN(row + i, w) : splat(0.0f); }

/// Vectors between the products of two unit groups: the rows of the block, and some more, so that the groups of a row do
/// not fall on the same sets of the cache.
SMALL long gateStride(const cvRecurrentAreas *s, int gates) { return (s->block + 1) * gates; }

/// The left operand [m, K] of a step's product as tiles take it: in bfloat16 as pairs, in `work` unless they are pairs already.
static Rows operand(const cvRecurrentAreas *s, float *work, long m, long K, Rows a) {
    if (s->pairs == 0 || a.paired || !a.ld) return a;
    float *pairs = work + s->pairs;
    pairColumns(m, K, a.base, a.ld, pairs);
    return (Rows){pairs, pairsIn(K), true};
}

/// u = h W^T of m rows, the gates of a unit group side by side: group g of row r at u[g · gateStride + r · gates].
/// All rows meet a panel of the weights while it is in the first-level cache.
static void gateProducts(const cvRecurrentAreas *s, float *work, long m, long H, long R, int gates, Rows h, V *u, Coming *coming) {
    long calls = cvPieces(H, WIDTH) * cvPieces(m, tileRows(gates));
    bool pairs = s->pairs > 0;
    h = operand(s, work, m, R, h);
    R = cvUnits(pairs, R);
    for (long i = 0; i < H; i += WIDTH, u += gateStride(s, gates)) {
        const float *panel = s->first + i * gates * R;
        for (long r = 0, k; r < m; r += k) {
            k = nextTile(m - r, gates);
            fetch(coming, calls--);
            tiles[pairs][k - 1][gates - 1](h.ld ? R : 0, h.base + r * h.ld, h.ld, panel, u + r * gates);
        }
    }
}

/// out [m, n] (= or +=) mask ⊙ (a [m, K] · packed [K, n]); `mask` [m, n] or NULL.
static void stepProduct(const cvRecurrentAreas *s, float *work, long m, long K, Rows a, const float *packed, long n, float *out,
                        bool accumulate, const float *mask) {
    V tile[6 * PANEL];
    bool pairs = s->pairs > 0;
    a = operand(s, work, m, K, a);
    K = cvUnits(pairs, K);
    for (long column = 0; column < n; column += PANEL * WIDTH) {
        long vectors = cvMin(PANEL, cvPieces(n - column, WIDTH));
        const float *b = packed + column * K;
        for (long i = 0, k; i < m; i += k) {
            k = nextTile(m - i, vectors);
            tiles[pairs][k - 1][vectors - 1](a.ld ? K : 0, a.base + i * a.ld, a.ld, b, tile);
            for (long r = 0; r < k; r++) {
                float *to = out + (i + r) * n + column;
                for (long j = 0; j < vectors; j++) {
                    long w = n - column - j * WIDTH;
                    V v = tile[r * vectors + j];
                    if (mask) v *= loadN(mask + (i + r) * n + column + j * WIDTH, w);
                    if (accumulate) v += loadN(to + j * WIDTH, w);
                    storeN(to + j * WIDTH, v, w);
                }
            }
        }
    }
}

/// Rows that the backward pass asks for ahead.
enum { fetchAhead = 2 };

/// Asks for what the pointwise part of a backward step reads of row n in compact form, whose gaps between the rows of a dense
/// layer mislead the processor's own guess.
SMALL void fetchBackward(const cvRecurrent *p, long n) {
    if (!p->compact) return;
    const float *gates = p->gates + n * p->gatesLd;
    long width = p->kind == cvLSTM ? 4 * p->hidden : p->kind == cvGRU ? 3 * p->hidden : p->hidden;
    for (long i = 0; i < pairsIn(width); i += lineFloats) __builtin_prefetch(gates + i, 1);
    const float *kept = p->kind == cvLSTM ? p->c : p->candidate;
    if (kept) for (long i = 0; i < pairsIn(p->hidden); i += lineFloats) __builtin_prefetch(kept + n * pairsIn(p->hidden) + i);
    if (p->dy) for (long i = 0; i < p->state; i += lineFloats) __builtin_prefetch(p->dy + n * p->state + i);
}

/// The first rows of the step before t.
SMALL void fetchBefore(const cvRecurrent *p, long row, long t) {
    if (t > 0) for (long r = 0; r < fetchAhead; r++) fetchBackward(p, p->offsets[t - 1] + row + r);
}

/// What the pointwise part of a step touches, rows n ..< n + m.
static void expectForward(const cvRecurrent *p, Coming *coming, long n, long m, long width) {
    if (p->projection != p->gates) for (long r = 0; r < m; r++) expect(coming, projectionRow(p, n + r, width), width, false);
    expect(coming, p->gates ? p->gates + n * p->gatesLd : NULL, m * p->gatesLd, true);
    expect(coming, p->y + n * p->state, m * p->state, true);
    expect(coming, p->c ? keptRow(p, p->c, n) : NULL, m * (p->compact ? pairsIn(p->hidden) : p->hidden), true);
    expect(coming, p->candidate ? keptRow(p, p->candidate, n) : NULL, m * (p->compact ? pairsIn(p->hidden) : p->hidden), true);
    expect(coming, p->projected ? p->projected + n * p->hidden : NULL, m * p->hidden, true);
}
