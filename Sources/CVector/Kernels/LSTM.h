// i, f, o = σ(a + u), g = f(a + u), c = f ⊙ c(t−1) + i ⊙ g, h = o ⊙ f(c); with projection h = W_hr (o ⊙ f(c)).

typedef struct {
    const float *a, *bias, *c0;
    float *gates, *c, *h;
    long H, Hp;
} LSTMRow;

/// One vector of units from their four finished products u.
SMALL void lstmUnits(LSTMRow x, const V *u, long i, long w, int f, int sigma) {
    V in = activated(sigma, loadN(x.a + i, w) + load(x.bias + i) + u[0]);
    V forget = activated(sigma, loadN(x.a + x.H + i, w) + load(x.bias + x.Hp + i) + u[1]);
    V g = activated(f, loadN(x.a + 2 * x.H + i, w) + load(x.bias + 2 * x.Hp + i) + u[2]);
    V out = activated(sigma, loadN(x.a + 3 * x.H + i, w) + load(x.bias + 3 * x.Hp + i) + u[3]);
    V c = fma_(forget, loadN(x.c0 + i, w), in * g);
    storeN(x.c + i, c, w);
    storeN(x.h + i, out * activated(f, c), w);
    if (x.gates) {
        storeN(x.gates + i, in, w);
        storeN(x.gates + x.H + i, forget, w);
        storeN(x.gates + 2 * x.H + i, g, w);
        storeN(x.gates + 3 * x.H + i, out, w);
    }
}

static void lstmForward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden, R = p->state, Hp = cvRound(H, WIDTH);
    bool usual = p->activation == cvTanh && p->recurrentActivation == cvSigmoid;
    float *cell = work, *unprojected = cell + s->block * H, *pairs = pairsArea(s, work);
    V *u = (V *)(work + cvRound(2 * s->block * H, WIDTH));
    keepFinal(p, s, row, -1, NULL);
    for (long t = 0, m; (m = stepRows(p, s, row, t)) > 0; t++) {
        long n = p->offsets[t] + row;
        Rows h = before(p, s, row, t, p->y, p->h0, R);
        Rows c0 = before(p, s, row, t, p->c, p->c0, H);
        if (!p->c && t > 0) c0 = (Rows){cell, H};
        float *c = p->c ? p->c + n * H : cell;
        float *hidden = !p->wHR ? p->y + n * R : p->projected ? p->projected + n * H : unprojected;
        h = keepPrevious(p, row, n, m, h);
        Coming coming = {.count = 0};
        expectForward(p, &coming, n, m, 4 * H);
        gateProducts(s, work, m, H, R, 4, h, u, &coming);
        for (long r = 0; r < m; r++) {
            LSTMRow x = {projectionRow(p, n + r, 4 * H), s->bias, c0.base + r * c0.ld,
                         p->gates ? p->gates + (n + r) * 4 * H : NULL, c + r * H, hidden + r * H, H, Hp};
            const V *ur = u + r * 4;
            if (usual) {
                FOR_VECTORS(H, lstmUnits(x, ur, i, w, cvTanh, cvSigmoid); ur += gateStride(s, 4););
            } else {
                FOR_VECTORS(H, lstmUnits(x, ur, i, w, p->activation, p->recurrentActivation); ur += gateStride(s, 4););
            }
        }
        if (p->wHR) stepProduct(m, H, hidden, H, s->second, R, p->y + n * R, R, false, pairs);
        keepFinal(p, s, row, t, c);
    }
}

/// Replaces one row of gates by their gradients. d: gradient of o ⊙ f(c), dc: running gradient of c.
SMALL void lstmGradients(long H, float *gates, const float *c, const float *c0, const float *d, const float *dy,
                         float *dc, int f, int sigma) {
    FOR_VECTORS(H, {
        V in = loadN(gates + i, w);
        V forget = loadN(gates + H + i, w);
        V g = loadN(gates + 2 * H + i, w);
        V out = loadN(gates + 3 * H + i, w);
        V squashed = activated(f, loadN(c + i, w));
        V dh = loadN(d + i, w) + optional(dy, i, w);
        V total = loadN(dc + i, w) + dh * out * derivative(f, squashed);
        storeN(gates + i, total * g * derivative(sigma, in), w);
        storeN(gates + H + i, total * loadN(c0 + i, w) * derivative(sigma, forget), w);
        storeN(gates + 2 * H + i, total * in * derivative(f, g), w);
        storeN(gates + 3 * H + i, dh * squashed * derivative(sigma, out), w);
        storeN(dc + i, total * forget, w);
    });
}

static void lstmBackward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden, R = p->state;
    bool usual = p->activation == cvTanh && p->recurrentActivation == cvSigmoid;
    float *dh = work, *dc = dh + s->block * R, *dHidden = dc + s->block * H, *pairs = pairsArea(s, work);
    for (long t = p->steps - 1; t >= 0; t--) {
        long m = stepRows(p, s, row, t), n = p->offsets[t] + row;
        if (m == 0) continue;
        startGradients(p, s, row, t, dh, dc);
        Rows c0 = before(p, s, row, t, p->c, p->c0, H);
        if (p->wHR) {
            for (long r = 0; r < m; r++) {
                const float *dy = rowOf(p->dy, n + r, R);
                FOR_VECTORS(R, storeN(p->dhAll + (n + r) * R + i, loadN(dh + r * R + i, w) + optional(dy, i, w), w););
            }
            stepProduct(m, R, p->dhAll + n * R, R, s->second, H, dHidden, H, false, pairs);
        }
        for (long r = 0; r < m; r++) {
            float *gates = p->gates + (n + r) * 4 * H;
            const float *c = p->c + (n + r) * H;
            const float *cBefore = c0.base + r * c0.ld;
            const float *d = p->wHR ? dHidden + r * H : dh + r * R;
            const float *dy = p->wHR ? NULL : rowOf(p->dy, n + r, R);
            if (usual) lstmGradients(H, gates, c, cBefore, d, dy, dc + r * H, cvTanh, cvSigmoid);
            else lstmGradients(H, gates, c, cBefore, d, dy, dc + r * H, p->activation, p->recurrentActivation);
        }
        if (t > 0 || p->dh0) maskedProduct(m, 4 * H, p->gates + n * 4 * H, 4 * H, s->first, R, dh, R, false, rowOf(p->mask, row, R), pairs);
    }
    keepInitialGradients(p, s, row, dh, dc);
}
