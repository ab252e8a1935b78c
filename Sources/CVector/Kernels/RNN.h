// h = f(a + u)

static void rnnForward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden, f = p->activation;
    float *pairs = pairsArea(s, work);
    keepFinal(p, s, row, -1, NULL);
    for (long t = 0, m; (m = stepRows(p, s, row, t)) > 0; t++) {
        long n = p->offsets[t] + row;
        Rows h = before(p, s, row, t, p->y, p->h0, H);
        h = keepPrevious(p, row, n, m, h);
        stepProduct(m, h.ld ? H : 0, h.base, h.ld, s->first, H, p->y + n * H, H, false, pairs);
        for (long r = 0; r < m; r++) {
            const float *a = projectionRow(p, n + r, H);
            float *y = p->y + (n + r) * H;
            float *kept = p->gates ? p->gates + (n + r) * H : y;
            FOR_VECTORS(H, {
                V x = loadN(a + i, w) + load(s->bias + i) + loadN(y + i, w);
                x = f == cvTanh ? tanh_(x) : activated((int)f, x);
                storeN(y + i, x, w);
                storeN(kept + i, x, w);
            });
        }
        keepFinal(p, s, row, t, NULL);
    }
}

static void rnnBackward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden;
    float *dh = work, *pairs = pairsArea(s, work);
    for (long t = p->steps - 1; t >= 0; t--) {
        long m = stepRows(p, s, row, t), n = p->offsets[t] + row;
        if (m == 0) continue;
        startGradients(p, s, row, t, dh, NULL);
        for (long r = 0; r < m; r++) {
            const float *d = dh + r * H;
            const float *dy = rowOf(p->dy, n + r, H);
            float *gate = p->gates + (n + r) * H;
            FOR_VECTORS(H, {
                V total = loadN(d + i, w) + optional(dy, i, w);
                storeN(gate + i, total * derivative(p->activation, loadN(gate + i, w)), w);
            });
        }
        if (t > 0 || p->dh0) maskedProduct(m, H, p->gates + n * H, H, s->first, H, dh, H, false, rowOf(p->mask, row, H), pairs);
    }
    keepInitialGradients(p, s, row, dh, NULL);
}
