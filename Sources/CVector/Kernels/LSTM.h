// i, f, o = σ(a + u), g = f(a + u), c = f ⊙ c(t−1) + i ⊙ g, h = o ⊙ f(c); with projection h = W_hr (o ⊙ f(c)).

typedef struct {
    const float *a, *bias, *c0;
    float *c, *h;
    /// Kept in training, else NULL; `kept` is c in compact form.
    float *gates, *kept;
    long H, Hp;
} LSTMRow;

/// One vector of units from their four finished products u; leaves o in place of h. f(c) waits for `lstmOutput`: so all units have
/// a short chain of dependent operations and their arithmetic overlaps.
SMALL void lstmUnits(LSTMRow x, const V *u, long i, long w, bool compact, int f, int sigma) {
    V in = activated(sigma, loadN(x.a + i, w) + load(x.bias + i) + u[0]);
    V forget = activated(sigma, loadN(x.a + x.H + i, w) + load(x.bias + x.Hp + i) + u[1]);
    V g = activated(f, loadN(x.a + 2 * x.H + i, w) + load(x.bias + 2 * x.Hp + i) + u[2]);
    V out = activated(sigma, loadN(x.a + 3 * x.H + i, w) + load(x.bias + 3 * x.Hp + i) + u[3]);
    V c = fma_(forget, loadN(x.c0 + i, w), in * g);
    storeN(x.c + i, c, w);
    storeN(x.h + i, out, w);
    if (!x.gates) return;
    storeSigmoidOf(compact, x.gates, i, in, w);
    storeSigmoidOf(compact, x.gates, x.H + i, forget, w);
    storeTanhOf(compact, x.gates, 2 * x.H + i, g, w);
    storeSigmoidOf(compact, x.gates, 3 * x.H + i, out, w);
    if (compact) storeOf(true, x.kept, i, c, w);
}

/// h = o ⊙ f(c) of a row.
SMALL void lstmOutput(LSTMRow x, int f) { FOR_VECTORS(x.H, storeN(x.h + i, loadN(x.h + i, w) * activated(f, loadN(x.c + i, w)), w);); }

static void lstmForward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden, R = p->state, Hp = cvRound(H, WIDTH);
    bool usual = p->activation == cvTanh && p->recurrentActivation == cvSigmoid;
    bool compact = p->compact && p->gates, inPlace = p->projection == p->gates, keepsC = p->c && !compact;
    float *cell = work, *unprojected = cell + s->block * H;
    V *u = (V *)(work + cvRound(2 * s->block * H, WIDTH));
    // Where the row still holds its projection, the numbers that replace it wait here.
    float *waiting = (float *)(u + gateStride(s, 4) * cvPieces(H, WIDTH));
    keepFinal(p, s, row, -1, NULL);
    for (long t = 0, m; (m = stepRows(p, s, row, t)) > 0; t++) {
        long n = p->offsets[t] + row;
        Rows h = before(p, s, row, t, p->y, p->h0, R);
        Rows c0 = before(p, s, row, t, p->c, p->c0, H);
        if (!keepsC && t > 0) c0 = (Rows){cell, H};
        float *c = keepsC ? p->c + n * H : cell;
        float *hidden = !p->wHR ? p->y + n * R : p->projected ? p->projected + n * H : unprojected;
        h = keepPrevious(p, row, n, m, h);
        Coming coming = {.count = 0};
        expectForward(p, &coming, n, m, 4 * H);
        gateProducts(s, work, m, H, R, 4, h, u, &coming);
        for (long r = 0; r < m; r++) {
            float *gates = p->gates ? p->gates + (n + r) * p->gatesLd : NULL;
            LSTMRow x = {.a = projectionRow(p, n + r, 4 * H), .bias = s->bias, .c0 = c0.base + r * c0.ld, .c = c + r * H,
                         .h = hidden + r * H, .gates = compact && inPlace ? waiting : gates,
                         .kept = compact ? keptRow(p, p->c, n + r) : NULL, .H = H, .Hp = Hp};
            const V *ur = u + r * 4;
            if (compact) {
                FOR_VECTORS(H, lstmUnits(x, ur, i, w, true, cvTanh, cvSigmoid); ur += gateStride(s, 4););
                lstmOutput(x, cvTanh);
            } else if (usual) {
                FOR_VECTORS(H, lstmUnits(x, ur, i, w, false, cvTanh, cvSigmoid); ur += gateStride(s, 4););
                lstmOutput(x, cvTanh);
            } else {
                FOR_VECTORS(H, lstmUnits(x, ur, i, w, false, p->activation, p->recurrentActivation); ur += gateStride(s, 4););
                lstmOutput(x, p->activation);
            }
            if (compact && inPlace) memcpy(gates, waiting, sizeof(Half) * (size_t)(4 * H));
        }
        if (p->wHR) stepProduct(s, work, m, H, (Rows){hidden, H}, s->second, R, p->y + n * R, false, NULL);
        keepFinal(p, s, row, t, c);
    }
}

/// One row of the way back.
typedef struct {
    /// Become their gradients.
    float *gates;
    const float *c, *c0;
    /// Whether c0 is in the form of c: an initial state never is.
    bool c0Kept;
    /// d: gradient of o ⊙ f(c), dc: running gradient of c.
    const float *d, *dy;
    float *dc;
} LSTMBackRow;

SMALL void lstmGradients(LSTMBackRow x, long H, bool compact, int f, int sigma) {
    FOR_VECTORS(H, {
        V in = sigmoidOf(compact, x.gates, i, w);
        V forget = sigmoidOf(compact, x.gates, H + i, w);
        V g = tanhOf(compact, x.gates, 2 * H + i, w);
        V out = sigmoidOf(compact, x.gates, 3 * H + i, w);
        V squashed = activated(f, loadOf(compact, x.c, i, w));
        V dh = loadN(x.d + i, w) + optional(x.dy, i, w);
        V total = loadN(x.dc + i, w) + dh * out * derivative(f, squashed);
        storeOf(compact, x.gates, i, total * g * derivative(sigma, in), w);
        storeOf(compact, x.gates, H + i, total * loadOf(compact && x.c0Kept, x.c0, i, w) * derivative(sigma, forget), w);
        storeOf(compact, x.gates, 2 * H + i, total * in * derivative(f, g), w);
        storeOf(compact, x.gates, 3 * H + i, dh * squashed * derivative(sigma, out), w);
        storeN(x.dc + i, total * forget, w);
    });
}

static void lstmBackward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden, R = p->state;
    bool usual = p->activation == cvTanh && p->recurrentActivation == cvSigmoid;
    float *dh = work, *dc = dh + s->block * R, *dHidden = dc + s->block * H;
    for (long t = p->steps - 1; t >= 0; t--) {
        long m = stepRows(p, s, row, t), n = p->offsets[t] + row;
        if (m == 0) continue;
        startGradients(p, s, row, t, dh, dc);
        Rows c0 = before(p, s, row, 0, NULL, p->c0, H);
        if (p->wHR) {
            for (long r = 0; r < m; r++) {
                const float *dy = rowOf(p->dy, n + r, R);
                FOR_VECTORS(R, storeN(p->dhAll + (n + r) * R + i, loadN(dh + r * R + i, w) + optional(dy, i, w), w););
            }
            stepProduct(s, work, m, R, (Rows){p->dhAll + n * R, R}, s->second, H, dHidden, false, NULL);
        }
        for (long r = 0; r < m; r++) {
            fetchBackward(p, n + r + fetchAhead);
            LSTMBackRow x = {.gates = p->gates + (n + r) * p->gatesLd, .c = keptRow(p, p->c, n + r), .c0Kept = t > 0,
                             .c0 = t > 0 ? keptRow(p, p->c, p->offsets[t - 1] + row + r) : c0.base + r * c0.ld,
                             .d = p->wHR ? dHidden + r * H : dh + r * R, .dy = p->wHR ? NULL : rowOf(p->dy, n + r, R),
                             .dc = dc + r * H};
            if (p->compact) lstmGradients(x, H, true, cvTanh, cvSigmoid);
            else if (usual) lstmGradients(x, H, false, cvTanh, cvSigmoid);
            else lstmGradients(x, H, false, p->activation, p->recurrentActivation);
        }
        fetchBefore(p, row, t);
        if (t == 0 && !p->dh0) continue;
        stepProduct(s, work, m, 4 * H, gateRows(p, n), s->first, R, dh, false, rowOf(p->mask, row, R));
    }
    keepInitialGradients(p, s, row, dh, dc);
}
