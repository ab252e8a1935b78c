// Register-tiled products with packed matrices.
//
// A packed matrix [K, N] lies in panels of PANEL vectors of columns (fewer in the last); a panel is K rows of
// its columns one after the other, so a tile reads it front to back. A tile holds up to TILE_ROWS x PANEL
// vectors in registers for all of k.

/// Rows whose tile with `vectors` columns still fits the registers.
#if WIDTH == 16
SMALL long tileRows(long vectors) { (void)vectors; return 6; }
#else
SMALL long tileRows(long vectors) { return vectors <= 2 ? 6 : vectors == 3 ? 4 : 3; }
#endif

typedef void (*Tile)(long k, const float *a, long lda, const float *packed, V *out);

#define TILE(M, NV) \
    static void tile##M##x##NV(long K, const float *a, long lda, const float *packed, V *out) { \
        V sum[M][NV]; \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < M; i++) \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < NV; j++) sum[i][j] = 0; \
        for (long k = 0; k < K; k++) { \
            V b[NV]; \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < NV; j++) b[j] = load(packed + j * WIDTH); \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < M; i++) { \
                V x = splat(a[i * lda + k]); \
                _Pragma("clang loop unroll(full)") for (int j = 0; j < NV; j++) sum[i][j] = fma_(x, b[j], sum[i][j]); \
            } \
            packed += NV * WIDTH; \
        } \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < M; i++) \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < NV; j++) out[i * NV + j] = sum[i][j]; \
    }
#define TILES(M) TILE(M, 1) TILE(M, 2) TILE(M, 3) TILE(M, 4)
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#undef TILES
#undef TILE
#define TILES(M) { tile##M##x1, tile##M##x2, tile##M##x3, tile##M##x4 }
static const Tile tiles[6][4] = { TILES(1), TILES(2), TILES(3), TILES(4), TILES(5), TILES(6) };
#undef TILES

/// Rows of the next tile when `rows` are left: equal shares, so that no tile is left with one row.
SMALL long nextTile(long rows, long vectors) {
    long most = tileRows(vectors);
    long tilesLeft = (rows + most - 1) / most;
    return (rows + tilesLeft - 1) / tilesLeft;
}

/// `valid` columns of b from column `n`, as one vector column of a panel whose rows lie `stride` floats apart.
static void packVector(const cvProduct *p, long n, long valid, long stride, float *out) {
    if (valid <= 0) {
        for (long k = 0; k < p->k; k++) store(out + k * stride, splat(0.0f));
    } else if (!p->transposeB) {
        for (long k = 0; k < p->k; k++) store(out + k * stride, loadN(p->b + k * p->ldb + n, valid));
    } else {
        // 16 steps of k at a time keep both sides of the transposition in the first cache.
        for (long k0 = 0; k0 < p->k; k0 += 16) {
            long k1 = k0 + 16 < p->k ? k0 + 16 : p->k;
            for (long lane = 0; lane < WIDTH; lane++) {
                const float *row = p->b + (n + lane) * p->ldb;
                for (long k = k0; k < k1; k++) out[k * stride + lane] = lane < valid ? row[k] : 0.0f;
            }
        }
    }
}

static void packPanel(const cvProduct *p, long panel, float *packed) {
    long column = panel * PANEL * WIDTH, left = p->n - column;
    long vectors = (left + WIDTH - 1) / WIDTH;
    if (vectors > PANEL) vectors = PANEL;
    float *out = packed + column * p->k;
    for (long j = 0; j < vectors; j++) {
        packVector(p, column + j * WIDTH, left - j * WIDTH < WIDTH ? left - j * WIDTH : WIDTH, vectors * WIDTH,
                   out + j * WIDTH);
    }
}

/// Gate g of unit group `group` is vector g of the group's panel. w [gates · hidden, state].
static void packGates(long hidden, long state, int gates, long group, const float *w, float *packed) {
    long unit = group * WIDTH, valid = hidden - unit < WIDTH ? hidden - unit : WIDTH;
    float *out = packed + group * state * gates * WIDTH;
    for (int g = 0; g < gates; g++) {
        cvProduct p = {.k = state, .b = w + (g * hidden + unit) * state, .ldb = state, .transposeB = true};
        packVector(&p, 0, valid, gates * WIDTH, out + g * WIDTH);
    }
}

enum { depth = 256 };

/// Rows row ..< row + rows, panels panel ..< panel + panels of c. `areaA` holds rows x depth floats if a is transposed.
static void productBlock(const cvProduct *p, const float *packed, long row, long rows, long panel, long panels,
                         float *areaA) {
    V out[6 * PANEL];
    for (long k0 = 0; k0 == 0 || k0 < p->k; k0 += depth) {
        long kb = p->k - k0 < depth ? p->k - k0 : depth;
        const float *a = p->a + row * p->lda + k0;
        long lda = p->lda;
        if (p->transposeA) {
            for (long i0 = 0; i0 < rows; i0 += 16) {
                long i1 = i0 + 16 < rows ? i0 + 16 : rows;
                for (long k = 0; k < kb; k++) {
                    const float *source = p->a + (k0 + k) * p->lda + row;
                    for (long i = i0; i < i1; i++) areaA[i * depth + k] = source[i];
                }
            }
            a = areaA;
            lda = depth;
        }
        for (long q = panel; q < panel + panels; q++) {
            long column = q * PANEL * WIDTH, left = p->n - column;
            long vectors = (left + WIDTH - 1) / WIDTH;
            if (vectors > PANEL) vectors = PANEL;
            const float *b = packed + column * p->k + k0 * vectors * WIDTH;
            for (long i = 0, m; i < rows; i += m) {
                m = nextTile(rows - i, vectors);
                tiles[m - 1][vectors - 1](kb, a + i * lda, lda, b, out);
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

/// out [rows, n] (= or +=) a [rows, K] · packed [K, n]; the step of a time loop.
static void stepProduct(long rows, long K, const float *a, long lda, const float *packed, long n, float *out, long ldo,
                        bool accumulate) {
    V tile[6 * PANEL];
    for (long column = 0; column < n; column += PANEL * WIDTH) {
        long vectors = (n - column + WIDTH - 1) / WIDTH;
        if (vectors > PANEL) vectors = PANEL;
        const float *b = packed + column * K;
        for (long i = 0, m; i < rows; i += m) {
            m = nextTile(rows - i, vectors);
            tiles[m - 1][vectors - 1](K, a + i * lda, lda, b, tile);
            for (long r = 0; r < m; r++) {
                float *to = out + (i + r) * ldo + column;
                for (long j = 0; j < vectors; j++) {
                    long w = n - column - j * WIDTH;
                    V v = tile[r * vectors + j];
                    if (accumulate) v += loadN(to + j * WIDTH, w);
                    storeN(to + j * WIDTH, v, w);
                }
            }
        }
    }
}
