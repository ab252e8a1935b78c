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

/// Keeps what W_hh multiplies in rows n ..< n + m, sequences `row` on, and returns it: the states h, masked if there is a mask.
static Rows keepPrevious(const cvRecurrent *p, long row, long n, long m, Rows h) {
    if (!p->previousH) return h;
    float *kept = p->previousH + n * p->state;
    for (long r = 0; r < m; r++) {
        const float *from = h.base + r * h.ld, *mask = rowOf(p->mask, row + r, p->state);
        float *to = kept + r * p->state;
        if (!mask) copyRow(to, from, p->state);
        else FOR_VECTORS(p->state, storeN(to + i, loadN(mask + i, w) * loadN(from + i, w), w););
    }
    return p->mask && h.ld ? (Rows){kept, p->state} : h;
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

/// W_ih x of packed row n.
SMALL const float *projectionRow(const cvRecurrent *p, long n, long width) {
    return p->projection + (p->positions ? p->positions[n] : n) * width;
}

SMALL V optional(const float *row, long i, long w) { return row ? loadN(row + i, w) : splat(0.0f); }

/// Vectors between the products of two unit groups: the rows of the block, and some more, so that the groups of a row do
/// not fall on the same sets of the cache.
SMALL long gateStride(const cvRecurrentAreas *s, int gates) { return (s->block + 1) * gates; }

/// Where a worker keeps the pairs of a product's left operand; NULL in float32.
SMALL float *pairsArea(const cvRecurrentAreas *s, float *work) { return s->pairs > 0 ? work + s->pairs : NULL; }

/// u = h W^T of m rows, the gates of a unit group side by side: group g of row r at u[g · gateStride + r · gates].
/// All rows meet a panel of the weights while it is in the first-level cache.
static void gateProducts(const cvRecurrentAreas *s, float *work, long m, long H, long R, int gates, Rows h, V *u, Coming *coming) {
    long calls = cvPieces(H, WIDTH) * cvPieces(m, tileRows(gates));
    float *pairs = pairsArea(s, work);
    if (h.ld && pairs) {
        pairColumns(m, R, h.base, h.ld, pairs);
        h = (Rows){pairs, pairsIn(R)};
    }
    R = cvUnits(pairs, R);
    for (long i = 0; i < H; i += WIDTH, u += gateStride(s, gates)) {
        const float *panel = s->first + i * gates * R;
        for (long r = 0, k; r < m; r += k) {
            k = nextTile(m - r, gates);
            fetch(coming, calls--);
            tiles[pairs != NULL][k - 1][gates - 1](h.ld ? R : 0, h.base + r * h.ld, h.ld, panel, u + r * gates);
        }
    }
}

/// What the pointwise part of a step touches, rows n ..< n + m.
static void expectForward(const cvRecurrent *p, Coming *coming, long n, long m, long width) {
    if (p->projection != p->gates) for (long r = 0; r < m; r++) expect(coming, projectionRow(p, n + r, width), width, false);
    expect(coming, p->gates ? p->gates + n * width : NULL, m * width, true);
    expect(coming, p->y + n * p->state, m * p->state, true);
    expect(coming, p->c ? p->c + n * p->hidden : NULL, m * p->hidden, true);
    expect(coming, p->candidate ? p->candidate + n * p->hidden : NULL, m * p->hidden, true);
    expect(coming, p->projected ? p->projected + n * p->hidden : NULL, m * p->hidden, true);
}
