// Register-tiled products with packed matrices.
//
// A packed matrix [K, N] lies in panels of PANEL vectors of columns (fewer in the last); a panel is K rows of
// its columns one after the other, so a tile reads it front to back. A tile holds up to TILE_ROWS x PANEL
// vectors in registers for all of k.
//
// In bfloat16 the elements of both operands are pairs (Bfloat16.h), and K below counts pairs.

/// Rows whose tile with `vectors` columns still fits the registers.
#if WIDTH == 16
SMALL long tileRows(long vectors) { (void)vectors; return 6; }
#else
SMALL long tileRows(long vectors) { return vectors <= 2 ? 6 : vectors == 3 ? 4 : 3; }
#endif

typedef void (*Tile)(long k, const float *a, long ld, const float *packed, V *out);

// tileMxN reads M rows of a, `ld` apart; acrossMxN reads a packed as [k][M] and b with rows `ld` apart, packed or not;
// pairTile and pairAcross do the same with pairs.
#define UNROLL _Pragma("clang loop unroll(full)")
#define TILE(NAME, M, NV, A, LD, FMA) \
    static void NAME(long K, const float *a, long ld, const float *packed, V *out) { \
        V sum[M][NV]; \
        UNROLL for (int i = 0; i < M; i++) UNROLL for (int j = 0; j < NV; j++) sum[i][j] = 0; \
        for (long k = 0; k < K; k++) { \
            V b[NV]; \
            UNROLL for (int j = 0; j < NV; j++) b[j] = load(packed + j * WIDTH); \
            UNROLL for (int i = 0; i < M; i++) { \
                V x = splat(A); \
                UNROLL for (int j = 0; j < NV; j++) sum[i][j] = FMA(x, b[j], sum[i][j]); \
            } \
            packed += LD; \
        } \
        UNROLL for (int i = 0; i < M; i++) UNROLL for (int j = 0; j < NV; j++) out[i * NV + j] = sum[i][j]; \
    }
#define TILES(M, NV) \
    TILE(tile##M##x##NV, M, NV, a[i * ld + k], NV * WIDTH, fma_) \
    TILE(across##M##x##NV, M, NV, a[k * M + i], ld, fma_) \
    TILE(pairTile##M##x##NV, M, NV, a[i * ld + k], NV * WIDTH, dotPairs) \
    TILE(pairAcross##M##x##NV, M, NV, a[k * M + i], ld, dotPairs)
#define ROW(M) TILES(M, 1) TILES(M, 2) TILES(M, 3) TILES(M, 4)
ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6)
#undef ROW
#undef TILES
#undef TILE
#undef UNROLL
#define ROW(KIND, M) { KIND##M##x1, KIND##M##x2, KIND##M##x3, KIND##M##x4 }
#define TABLE_OF(KIND) { ROW(KIND, 1), ROW(KIND, 2), ROW(KIND, 3), ROW(KIND, 4), ROW(KIND, 5), ROW(KIND, 6) }
// [bfloat16][rows - 1][vectors - 1]
static const Tile tiles[2][6][4] = {TABLE_OF(tile), TABLE_OF(pairTile)};
static const Tile tilesAcross[2][6][4] = {TABLE_OF(across), TABLE_OF(pairAcross)};
#undef TABLE_OF
#undef ROW

/// Rows of the next tile when `rows` are left: equal shares, so that no tile is left with one row.
SMALL long nextTile(long rows, long vectors) {
    long most = tileRows(vectors);
    long tilesLeft = (rows + most - 1) / most;
    return (rows + tilesLeft - 1) / tilesLeft;
}

typedef float Four __attribute__((ext_vector_type(4)));
typedef float FourLoose __attribute__((ext_vector_type(4), aligned(4), may_alias));

/// The first `valid` rows of b [WIDTH, K], `ld` apart, become lanes: blocks of 4 x 4 are transposed in registers.
static void packRows(long K, const float *rows, long ld, long valid, long stride, float *out) {
    for (long lane = 0; lane < WIDTH; lane += 4) {
        const float *b = rows + lane * ld;
        long k = 0;
        for (; lane + 4 <= valid && k + 4 <= K; k += 4) {
            Four r0 = *(const FourLoose *)(b + k), r1 = *(const FourLoose *)(b + ld + k);
            Four r2 = *(const FourLoose *)(b + 2 * ld + k), r3 = *(const FourLoose *)(b + 3 * ld + k);
            Four low01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), high01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
            Four low23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5), high23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
            float *to = out + k * stride + lane;
            *(FourLoose *)to = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
            *(FourLoose *)(to + stride) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
            *(FourLoose *)(to + 2 * stride) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
            *(FourLoose *)(to + 3 * stride) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
        }
        for (; k < K; k++) {
            for (long i = 0; i < 4; i++) out[k * stride + lane + i] = lane + i < valid ? b[i * ld + k] : 0.0f;
        }
    }
}

/// Rows of a transposed b as lanes of pairs, a few k at a time.
static void packPairRows(const cvProduct *p, const float *b, long valid, long stride, float *out) {
    enum { step = 64 };
    float pairs[WIDTH * step / 2];
    for (long k = 0; k < p->k; k += step) {
        long count = cvMin(step, p->k - k);
        pairColumns(valid, count, b + k, p->ldb, pairs);
        packRows(pairsIn(count), pairs, pairsIn(count), valid, stride, out + k / 2 * stride);
    }
}

/// `valid` columns of b from column `n`, as one vector column of a panel whose rows lie `stride` floats apart.
static void packVector(const cvProduct *p, long n, long valid, long stride, float *out) {
    if (valid <= 0) {
        for (long k = 0; k < cvUnits(p->bfloat16, p->k); k++) store(out + k * stride, splat(0.0f));
    } else if (p->transposeB) {
        const float *b = p->b + n * p->ldb;
        if (p->bfloat16) packPairRows(p, b, valid, stride, out); else packRows(p->k, b, p->ldb, valid, stride, out);
    } else if (p->bfloat16) {
        // The unused lanes are zero: nothing of them reaches a result, but they must not be slow.
        if (valid < WIDTH) for (long k = 0; k < pairsIn(p->k); k++) store(out + k * stride, splat(0.0f));
        pairRowsOf(p->storedB, p->k, valid, cvColumn(p->storedB, p->b, n), p->ldb, out, stride);
    } else {
        for (long k = 0; k < p->k; k++) store(out + k * stride, loadN(p->b + k * p->ldb + n, valid));
    }
}

static void packPanel(const cvProduct *p, long panel, float *packed) {
    long column = panel * PANEL * WIDTH, left = p->n - column;
    long vectors = (left + WIDTH - 1) / WIDTH;
    if (vectors > PANEL) vectors = PANEL;
    float *out = packed + column * cvUnits(p->bfloat16, p->k);
    for (long j = 0; j < vectors; j++) {
        packVector(p, column + j * WIDTH, left - j * WIDTH < WIDTH ? left - j * WIDTH : WIDTH, vectors * WIDTH,
                   out + j * WIDTH);
    }
}

/// Gate g of unit group `group` is vector g of the group's panel. w [gates · hidden, state].
static void packGates(bool bfloat16, long hidden, long state, int gates, long group, const float *w, float *packed) {
    long unit = group * WIDTH, valid = hidden - unit < WIDTH ? hidden - unit : WIDTH;
    float *out = packed + group * cvUnits(bfloat16, state) * gates * WIDTH;
    for (int g = 0; g < gates; g++) {
        cvProduct p = {.k = state, .b = w + (g * hidden + unit) * state, .ldb = state, .transposeB = true, .bfloat16 = bfloat16};
        packVector(&p, 0, valid, gates * WIDTH, out + g * WIDTH);
    }
}

// Long sums are cut: it keeps a panel in the cache and bounds the growth of rounding errors, which without fused
// multiply-add needs shorter ones. In elements of packed operands, so that twice as many k are pairs. At most the depth
// Matrix.c has memory for.
enum { depth = WIDTH == 4 ? 64 : 256 };

/// Columns of a transposed a, tile by tile: [tile][k][m], so that a tile reads them front to back.
static void packTransposed(long K, long rows, const float *a, long lda, float *packed) {
    // A few stored rows at a time: each lies on a page of its own.
    for (long k0 = 0; k0 < K; k0 += 16) {
        long count = K - k0 < 16 ? K - k0 : 16;
        for (long i = 0, m; i < rows; i += m) {
            m = nextTile(rows - i, PANEL);
            const float *from = a + k0 * lda + i;
            float *to = packed + i * K + k0 * m;
            if (m >= 4) {
                // Two overlapping halves cover 4 to 6 floats.
                for (long k = 0; k < count; k++, from += lda, to += m) {
                    Four low = *(const FourLoose *)from, high = *(const FourLoose *)(from + m - 4);
                    *(FourLoose *)to = low;
                    *(FourLoose *)(to + m - 4) = high;
                }
            } else {
                for (long k = 0; k < count; k++, from += lda, to += m) {
                    for (long r = 0; r < m; r++) to[r] = from[r];
                }
            }
        }
    }
}

/// Rows row ..< row + rows and `kb` of k from k0 on of op(a) as a tile reads them: one after the other for `tiles`, tile by
/// tile for `tilesAcross`. `area` holds rows x depth floats, twice for pairs of a transposed a.
static void packLeft(const cvProduct *p, long row, long rows, long k0, long kb, float *area) {
    if (!p->transposeA) return pairColumns(rows, kb, p->a + row * p->lda + k0, p->lda, area);
    const float *a = cvColumn(p->storedA, p->a + k0 * p->lda, row);
    if (!p->bfloat16) return packTransposed(kb, rows, a, p->lda, area);
    float *pairs = area + rows * pairsIn(kb);
    pairRowsOf(p->storedA, kb, rows, a, p->lda, pairs, rows);
    packTransposed(pairsIn(kb), rows, pairs, rows, area);
}

/// Rows row ..< row + rows, panels panel ..< panel + panels of c. `areaA` holds what `packLeft` needs.
static void productBlock(const cvProduct *p, const float *packed, long row, long rows, long panel, long panels,
                         float *areaA) {
    V out[6 * PANEL];
    bool pairs = p->bfloat16, packs = p->transposeA || (pairs && !p->storedA);
    long step = pairs ? 2 * depth : depth;
    for (long k0 = 0; k0 == 0 || k0 < p->k; k0 += step) {
        long kb = cvMin(step, p->k - k0), units = cvUnits(pairs, kb), lda = packs ? units : p->lda;
        if (packs) packLeft(p, row, rows, k0, kb, areaA);
        const float *a = packs ? areaA : cvColumn(p->storedA, p->a + row * p->lda, k0);
        for (long q = panel; q < panel + panels; q++) {
            long column = q * PANEL * WIDTH, left = p->n - column;
            long vectors = (left + WIDTH - 1) / WIDTH;
            if (vectors > PANEL) vectors = PANEL;
            const float *b = packed + column * cvUnits(pairs, p->k) + cvUnits(pairs, k0) * vectors * WIDTH;
            for (long i = 0, m; i < rows; i += m) {
                m = nextTile(rows - i, PANEL);
                if (p->transposeA) tilesAcross[pairs][m - 1][vectors - 1](units, a + i * units, vectors * WIDTH, b, out);
                else tiles[pairs][m - 1][vectors - 1](units, a + i * lda, lda, b, out);
                for (long r = 0; r < m; r++) {
                    float *c = p->c + (row + i + r) * p->ldc + column;
                    for (long j = 0; j < vectors; j++) {
                        long w = left - j * WIDTH;
                        V v = out[r * vectors + j];
                        if (k0 == 0 && p->bias) v += loadN(p->bias + column + j * WIDTH, w);
                        if (k0 > 0 || p->accumulate) v += loadN(c + j * WIDTH, w);
                        storeN(c + j * WIDTH, v, w);
                    }
                }
            }
        }
    }
}
