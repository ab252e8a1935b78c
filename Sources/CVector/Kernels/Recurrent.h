// What the time loops of the three cells share: where the rows of a step lie, and the ends of sequences.
//
// A worker takes `block` rows of the batch through all steps by itself. The batch is sorted longest first, so
// the rows of the block that run at step t are its first stepRows(t).

typedef struct {
    const float *base;
    /// 0 where all rows share one (an absent initial state).
    long ld;
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

/// Where a worker keeps the pairs of a product's left operand; NULL in float32.
SMALL float *pairsArea(const cvRecurrentAreas *s, float *work) { return s->pairs > 0 ? work + s->pairs : NULL; }

/// Keeps what W_hh multiplies in rows n ..< n + m, sequences `row` on, and returns it as the step's product reads it, in pairs
/// or not: the states h, masked if there is a mask. In compact form what is kept are the pairs.
static Rows keepPrevious(const cvRecurrent *p, const cvRecurrentAreas *s, float *work, long row, long n, long m, Rows h) {
    long R = p->state, units = pairsIn(R);
    const float *mask = rowOf(p->mask, row, R);
    float *pairs = pairsArea(s, work);
    if (p->compact && p->previousH) {
        pairs = p->previousH + n * units;
        if (!h.ld) memset(pairs, 0, sizeof(float) * (size_t)(m * units));
    } else if (p->previousH) {
        float *kept = p->previousH + n * R;
        for (long r = 0; r < m; r++) {
            const float *from = h.base + r * h.ld, *factors = rowOf(mask, r, R);
            float *to = kept + r * R;
            if (!mask) copyRow(to, from, R);
            else FOR_VECTORS(R, storeN(to + i, loadN(factors + i, w) * loadN(from + i, w), w););
        }
        if (mask && h.ld) h = (Rows){kept, R};
        mask = NULL;
    }
    if (!h.ld || !pairs) return h;
    if (mask) pairMasked(m, R, h.base, h.ld, mask, pairs); else pairColumns(m, R, h.base, h.ld, pairs);
    return (Rows){pairs, units};
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

/// u = x W^T of m rows, of pairs or not, the gates of a unit group side by side: group g of row r at u[g · gateStride + r · gates].
/// All rows meet a panel of the weights while it is in the first-level cache.
static void gateProducts(const cvRecurrentAreas *s, bool pairs, long m, long H, long R, int gates, Rows x, V *u, Coming *coming) {
    long calls = cvPieces(H, WIDTH) * cvPieces(m, tileRows(gates));
    R = cvUnits(pairs, R);
    for (long i = 0; i < H; i += WIDTH, u += gateStride(s, gates)) {
        const float *panel = s->first + i * gates * R;
        for (long r = 0, k; r < m; r += k) {
            k = nextTile(m - r, gates);
            fetch(coming, calls--);
            tiles[pairs][k - 1][gates - 1](x.ld ? R : 0, x.base + r * x.ld, x.ld, panel, u + r * gates);
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
