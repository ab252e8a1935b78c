// r, z = σ(a + u); reset after: n = f(a_n + r ⊙ u_n), before: n = f(a_n + W_hn (r ⊙ h(t−1)) + b_hn);
// h = z ⊙ h(t−1) + (1 − z) ⊙ n.

typedef struct {
    const float *a, *bias, *h0;
    /// Kept in training, else NULL.
    float *gates, *candidate;
    float *h;
    long H, Hp;
} GRURow;

SMALL void gruUnitsAfter(GRURow x, const V *u, long i, long w, bool compact, int f, int sigma) {
    V r = activated(sigma, loadN(x.a + i, w) + load(x.bias + i) + u[0]);
    V z = activated(sigma, loadN(x.a + x.H + i, w) + load(x.bias + x.Hp + i) + u[1]);
    V un = u[2] + load(x.bias + 3 * x.Hp + i);
    V n = activated(f, fma_(r, un, loadN(x.a + 2 * x.H + i, w) + load(x.bias + 2 * x.Hp + i)));
    storeN(x.h + i, fma_(z, loadN(x.h0 + i, w) - n, n), w);
    if (!x.gates) return;
    storeSigmoidOf(compact, x.gates, i, r, w);
    storeSigmoidOf(compact, x.gates, x.H + i, z, w);
    storeTanhOf(compact, x.gates, 2 * x.H + i, n, w);
    storeOf(compact, x.candidate, i, un, w);
}

static void gruForwardAfter(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden, Hp = cvRound(H, WIDTH);
    bool usual = p->activation == cvTanh && p->recurrentActivation == cvSigmoid;
    bool compact = p->compact && p->gates, inPlace = p->projection == p->gates;
    V *u = (V *)work;
    // Where the row still holds its projection, the numbers that replace it wait here.
    float *waiting = (float *)(u + gateStride(s, 3) * cvPieces(H, WIDTH));
    for (long t = 0, m; (m = stepRows(p, s, row, t)) > 0; t++) {
        long n = p->offsets[t] + row;
        Rows h = before(p, s, row, t, p->y, p->h0, H);
        Rows multiplied = keepPrevious(p, row, n, m, h);
        Coming coming = {.count = 0};
        expectForward(p, &coming, n, m, 3 * H);
        gateProducts(s, work, m, H, H, 3, multiplied, u, &coming);
        for (long r = 0; r < m; r++) {
            float *gates = p->gates ? p->gates + (n + r) * p->gatesLd : NULL;
            GRURow x = {.a = projectionRow(p, n + r, 3 * H), .bias = s->bias, .h0 = h.base + r * h.ld,
                        .gates = compact && inPlace ? waiting : gates, .candidate = gates ? keptRow(p, p->candidate, n + r) : NULL,
                        .h = p->y + (n + r) * H, .H = H, .Hp = Hp};
            const V *ur = u + r * 3;
            if (compact) {
                FOR_VECTORS(H, gruUnitsAfter(x, ur, i, w, true, cvTanh, cvSigmoid); ur += gateStride(s, 3););
            } else if (usual) {
                FOR_VECTORS(H, gruUnitsAfter(x, ur, i, w, false, cvTanh, cvSigmoid); ur += gateStride(s, 3););
            } else {
                FOR_VECTORS(H, gruUnitsAfter(x, ur, i, w, false, p->activation, p->recurrentActivation); ur += gateStride(s, 3););
            }
            if (compact && inPlace) memcpy(gates, waiting, sizeof(Half) * (size_t)(3 * H));
        }
        keepFinal(p, s, row, t, NULL);
    }
}

static void gruForwardBefore(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden, Hp = cvRound(H, WIDTH);
    int f = p->activation, sigma = p->recurrentActivation;
    float *zArea = work, *resetArea = work + s->block * H;
    V *u = (V *)(work + cvRound(2 * s->block * H, WIDTH));
    for (long t = 0, m; (m = stepRows(p, s, row, t)) > 0; t++) {
        long n = p->offsets[t] + row;
        Rows h = before(p, s, row, t, p->y, p->h0, H);
        Rows multiplied = keepPrevious(p, row, n, m, h);
        float *reset = p->gates ? p->candidate + n * H : resetArea;
        Coming coming = {.count = 0};
        expectForward(p, &coming, n, m, 3 * H);
        gateProducts(s, work, m, H, H, 2, multiplied, u, &coming);
        for (long q = 0; q < m; q++) {
            const float *a = projectionRow(p, n + q, 3 * H), *x = multiplied.base + q * multiplied.ld;
            float *kept = p->gates ? p->gates + (n + q) * 3 * H : NULL;
            const V *uq = u + q * 2;
            FOR_VECTORS(H, {
                V r = activated(sigma, loadN(a + i, w) + load(s->bias + i) + uq[0]);
                V z = activated(sigma, loadN(a + H + i, w) + load(s->bias + Hp + i) + uq[1]);
                storeN(reset + q * H + i, r * loadN(x + i, w), w);
                storeN(kept ? kept + H + i : zArea + q * H + i, z, w);
                if (kept) storeN(kept + i, r, w);
                uq += gateStride(s, 2);
            });
        }
        stepProduct(s, work, m, H, (Rows){reset, h.ld ? H : 0}, s->second, H, p->y + n * H, false, NULL);
        for (long q = 0; q < m; q++) {
            const float *a = projectionRow(p, n + q, 3 * H) + 2 * H;
            const float *zRow = p->gates ? p->gates + (n + q) * 3 * H + H : zArea + q * H;
            const float *h0 = h.base + q * h.ld;
            float *y = p->y + (n + q) * H;
            float *kept = p->gates ? p->gates + (n + q) * 3 * H + 2 * H : NULL;
            FOR_VECTORS(H, {
                V c = activated(f, loadN(a + i, w) + load(s->bias + 2 * Hp + i) + loadN(y + i, w));
                if (kept) storeN(kept + i, c, w);
                storeN(y + i, fma_(loadN(zRow + i, w), loadN(h0 + i, w) - c, c), w);
            });
        }
        keepFinal(p, s, row, t, NULL);
    }
}

static void gruForward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    keepFinal(p, s, row, -1, NULL);
    if (p->resetAfter) gruForwardAfter(p, s, row, work); else gruForwardBefore(p, s, row, work);
}

/// Reset after: gates become the gradients of a, `candidate` that of u_n, `dU` [rows, 3H] those of u for the
/// product; dh keeps the part that passes by the gates.
SMALL void gruGradientsAfter(long H, float *gates, float *candidate, const float *h0, const float *dy, float *dh,
                             float *dU, bool compact, int f, int sigma) {
    FOR_VECTORS(H, {
        V r = sigmoidOf(compact, gates, i, w);
        V z = sigmoidOf(compact, gates, H + i, w);
        V n = tanhOf(compact, gates, 2 * H + i, w);
        V d = loadN(dh + i, w) + optional(dy, i, w);
        V dn = d * (splat(1.0f) - z) * derivative(f, n);
        V dz = d * (loadN(h0 + i, w) - n) * derivative(sigma, z);
        V dr = dn * loadOf(compact, candidate, i, w) * derivative(sigma, r);
        V dun = dn * r;
        storeOf(compact, gates, i, dr, w);
        storeOf(compact, gates, H + i, dz, w);
        storeOf(compact, gates, 2 * H + i, dn, w);
        storeOf(compact, candidate, i, dun, w);
        storeOf(compact, dU, i, dr, w);
        storeOf(compact, dU, H + i, dz, w);
        storeOf(compact, dU, 2 * H + i, dun, w);
        storeN(dh + i, d * z, w);
    });
    if (!compact) return;
    endPair((Half *)gates, 3 * H);
    endPair((Half *)candidate, H);
    endPair((Half *)dU, 3 * H);
}

static void gruBackward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden, G = 3 * H;
    int f = p->activation, sigma = p->recurrentActivation;
    bool usual = f == cvTanh && sigma == cvSigmoid;
    float *dh = work, *dU = dh + s->block * H, *dReset = dU;
    for (long t = p->steps - 1; t >= 0; t--) {
        long m = stepRows(p, s, row, t), n = p->offsets[t] + row;
        if (m == 0) continue;
        startGradients(p, s, row, t, dh, NULL);
        const float *mask = rowOf(p->mask, row, H);
        // h(t−1) itself, which previousH holds masked or rounded.
        Rows h0 = before(p, s, row, t, p->y, p->h0, H);
        if (p->resetAfter) {
            for (long q = 0; q < m; q++) {
                const float *dy = rowOf(p->dy, n + q, H), *h = h0.base + q * h0.ld;
                float *gates = p->gates + (n + q) * p->gatesLd, *candidate = keptRow(p, p->candidate, n + q);
                if (p->compact) {
                    fetchBackward(p, n + q + fetchAhead);
                    gruGradientsAfter(H, gates, candidate, h, dy, dh + q * H, dU + q * pairsIn(G), true, cvTanh, cvSigmoid);
                } else if (usual) {
                    gruGradientsAfter(H, gates, candidate, h, dy, dh + q * H, dU + q * G, false, cvTanh, cvSigmoid);
                } else {
                    gruGradientsAfter(H, gates, candidate, h, dy, dh + q * H, dU + q * G, false, f, sigma);
                }
            }
            fetchBefore(p, row, t);
            Rows gradients = {dU, p->compact ? pairsIn(G) : G, p->compact};
            if (t > 0 || p->dh0) stepProduct(s, work, m, G, gradients, s->first, H, dh, true, mask);
            continue;
        }
        float *gates = p->gates + n * G;
        for (long q = 0; q < m; q++) {
            const float *dy = rowOf(p->dy, n + q, H), *h = h0.base + q * h0.ld;
            float *gate = gates + q * G;
            float *d = dh + q * H;
            FOR_VECTORS(H, {
                V z = loadN(gate + H + i, w);
                V c = loadN(gate + 2 * H + i, w);
                V total = loadN(d + i, w) + optional(dy, i, w);
                storeN(gate + 2 * H + i, total * (splat(1.0f) - z) * derivative(f, c), w);
                storeN(gate + H + i, total * (loadN(h + i, w) - c) * derivative(sigma, z), w);
                storeN(d + i, total * z, w);
            });
        }
        // Masked: the gradient of r ⊙ h(t − 1) before the mask.
        stepProduct(s, work, m, H, (Rows){gates + 2 * H, G}, s->second, H, dReset, false, mask);
        for (long q = 0; q < m; q++) {
            const float *h = h0.base + q * h0.ld;
            float *gate = gates + q * G;
            float *d = dh + q * H;
            FOR_VECTORS(H, {
                V r = loadN(gate + i, w);
                V dr = loadN(dReset + q * H + i, w);
                storeN(d + i, fma_(dr, r, loadN(d + i, w)), w);
                storeN(gate + i, dr * loadN(h + i, w) * derivative(sigma, r), w);
            });
        }
        if (t > 0 || p->dh0) stepProduct(s, work, m, 2 * H, (Rows){gates, G}, s->first, H, dh, true, mask);
    }
    keepInitialGradients(p, s, row, dh, NULL);
}
