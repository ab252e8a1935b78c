// a^T b over many rows, the shape of every weight gradient.
//
// The narrower of the two operands is broadcast, the wider one fills the vectors: so the transposed copy, which is
// expensive, is made of the narrower, and the wider is read where it lies.

/// Rows k ..< k + count of a panel of pairs, or of the last, incomplete panel, filled up with zeros.
static void copyPanel(const cvLongBlock *x, long k, long count, long column, long vectors, float *out) {
    const float *from = cvColumn(x->wideStored, x->wide.base + k * x->wide.ld, column);
    if (x->bfloat16) {
        long columns = cvMin(vectors * WIDTH, x->wide.columns - column);
        if (columns < vectors * WIDTH) memset(out, 0, sizeof(float) * (size_t)(pairsIn(count) * vectors * WIDTH));
        return pairRowsOf(x->wideStored, count, columns, from, x->wide.ld, out, vectors * WIDTH);
    }
    for (long i = 0; i < count; i++, from += x->wide.ld) {
        for (long j = 0; j < vectors; j++, out += WIDTH) store(out, loadN(from + j * WIDTH, x->wide.columns - column - j * WIDTH));
    }
}

/// Adds the sums of a panel's columns from its `units` rows of pairs.
static void addPairSums(const cvLongBlock *x, const float *pairs, long units, long vectors, long column) {
    const V ones = (V)(VU)(0x3F803F80);
    V sums[PANEL];
    for (long j = 0; j < PANEL; j++) sums[j] = splat(0.0f);
    if (vectors == PANEL) {
        for (long k = 0; k < units; k++, pairs += PANEL * WIDTH) {
            for (long j = 0; j < PANEL; j++) sums[j] = dotPairs(ones, load(pairs + j * WIDTH), sums[j]);
        }
    } else {
        for (long k = 0; k < units; k++, pairs += vectors * WIDTH) {
            for (long j = 0; j < vectors; j++) sums[j] = dotPairs(ones, load(pairs + j * WIDTH), sums[j]);
        }
    }
    for (long j = 0; j < vectors; j++) {
        float *to = x->columnSums + column + j * WIDTH;
        store(to, load(to) + sums[j]);
    }
}

/// Asks for rows k ..< k + count of a panel of the wide operand, whose lines lie too far apart for the processor to guess.
SMALL void fetchPanel(const cvLongBlock *x, long k, long count, long column) {
    long bytes = cvMin(PANEL * WIDTH, x->wide.columns - column) * (x->wideStored ? 2 : 4);
    for (long end = cvMin(k + count, x->rows); k < end; k++) {
        const char *row = (const char *)cvColumn(x->wideStored, x->wide.base + k * x->wide.ld, column);
        for (long i = 0; i < bytes; i += 64) __builtin_prefetch(row + i, 0, 2);
    }
}

/// Adds the sums of a panel's columns; it also brings the panel into the cache.
static void addColumnSums(const cvLongBlock *x, long k, long count, long column) {
    float sums[PANEL * WIDTH];
    long columns = cvMin(PANEL * WIDTH, x->wide.columns - column);
    columnSums(count, columns, x->wide.base + k * x->wide.ld + column, x->wide.ld, false, sums);
    addTo(columns, sums, x->columnSums + column);
}

/// Rows k ..< k + count of the narrow operand, tile by tile. Behind them the area has room for its pairs.
static void packNarrow(const cvLongBlock *x, long k, long count, float *across) {
    const float *from = x->narrow.base + k * x->narrow.ld;
    long columns = x->narrow.columns;
    if (!x->bfloat16) return packTransposed(count, columns, from, x->narrow.ld, across);
    float *pairs = across + depth * cvRound(columns, 16);
    pairRowsOf(x->narrowStored, count, columns, from, x->narrow.ld, pairs, columns);
    packTransposed(pairsIn(count), columns, pairs, columns, across);
}

/// x->sums = narrow^T wide over the block's rows: one panel of wide columns after the other, each [narrow columns,
/// columns of the panel], so that a tile's sums lie side by side.
static void longProductBlock(const cvLongBlock *x, float *area) {
    float *last = area, *across = area + depth * PANEL * WIDTH;
    long rows = x->narrow.columns, most = x->bfloat16 ? 2 * depth : depth;
    // Blocks of equal depth, whole vectors of pairs.
    long step = cvMax(16, cvRound(cvPieces(x->rows, cvMax(1, cvPieces(x->rows, most))), 16));
    if (x->columnSums) memset(x->columnSums, 0, sizeof(float) * (size_t)cvRound(x->wide.columns, WIDTH));
    for (long k0 = 0; k0 < x->rows; k0 += step) {
        long count = cvMin(step, x->rows - k0), units = cvUnits(x->bfloat16, count);
        packNarrow(x, k0, count, across);
        for (long column = 0; column < x->wide.columns; column += PANEL * WIDTH) {
            long vectors = cvMin(PANEL, cvPieces(x->wide.columns - column, WIDTH)), ldb = x->wide.ld;
            const float *b = x->wide.base + k0 * ldb + column;
            if (x->columnSums && !x->wideStored) addColumnSums(x, k0, count, column);
            if (x->bfloat16 || column + vectors * WIDTH > x->wide.columns) {
                copyPanel(x, k0, count, column, vectors, last);
                b = last;
                ldb = vectors * WIDTH;
            }
            if (x->columnSums && x->wideStored) addPairSums(x, last, units, vectors, column);
            bool isLast = column + PANEL * WIDTH >= x->wide.columns;
            long nextRow = isLast ? k0 + step : k0, nextColumn = isLast ? 0 : column + PANEL * WIDTH, fetched = 0;
            float *to = x->sums + column * rows;
            for (long i = 0, m; i < rows; i += m, to += m * vectors * WIDTH) {
                V out[6 * PANEL];
                m = nextTile(rows - i, PANEL);
                // The next panel comes while the tiles of this one are at work.
                long share = step * (i + m) / rows - fetched;
                fetchPanel(x, nextRow + fetched, share, nextColumn);
                fetched += share;
                tilesAcross[x->bfloat16][m - 1][vectors - 1](units, across + i * units, ldb, b, out);
                for (long j = 0; j < m * vectors; j++) store(to + j * WIDTH, k0 > 0 ? load(to + j * WIDTH) + out[j] : out[j]);
            }
        }
    }
}

/// c [columns, rows] (= or +=) the transpose of the sum of `parts` matrices x [rows, columns] that lie `stride` apart.
static void addTransposed(long rows, long columns, const float *x, long ld, long parts, long stride, float *c, long ldc,
                          bool accumulate) {
    for (long i = 0; i < rows; i += 4) {
        for (long j = 0; j < columns; j += 4) {
            // Rows of x are padded to vectors, so four columns can always be read; rows cannot.
            Four r[4];
            for (long q = 0; q < 4; q++) {
                r[q] = 0;
                if (i + q >= rows) continue;
                for (long part = 0; part < parts; part++) {
                    r[q] += *(const FourLoose *)(x + part * stride + (i + q) * ld + j);
                }
            }
            Four low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
            Four low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5), high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
            Four t[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                         __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
            for (long q = 0; q < 4 && j + q < columns; q++) {
                float *to = c + (j + q) * ldc + i;
                if (i + 4 <= rows) {
                    *(FourLoose *)to = accumulate ? *(const FourLoose *)to + t[q] : t[q];
                } else {
                    for (long r1 = 0; r1 < rows - i; r1++) to[r1] = accumulate ? to[r1] + t[q][r1] : t[q][r1];
                }
            }
        }
    }
}

/// c [columns] (= or +=) the sum of `parts` rows x that lie `stride` apart.
static void addParts(long columns, const float *x, long parts, long stride, float *c, bool accumulate) {
    FOR_VECTORS(columns, {
        V sum = loadN(x + i, w);
        for (long part = 1; part < parts; part++) sum += loadN(x + part * stride + i, w);
        storeN(c + i, accumulate ? loadN(c + i, w) + sum : sum, w);
    });
}
