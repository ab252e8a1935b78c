// h = f(a + u)

static void rnnForward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden, f = p->activation;
    bool compact = p->compact && p->gates;
    keepFinal(p, s, row, -1, NULL);
    for (long t = 0, m; (m = stepRows(p, s, row, t)) > 0; t++) {
        long n = p->offsets[t] + row;
        Rows h = before(p, s, row, t, p->y, p->h0, H);
        h = keepPrevious(p, row, n, m, h);
        stepProduct(s, work, m, H, h, s->first, H, p->y + n * H, false, NULL);
        for (long r = 0; r < m; r++) {
            const float *a = projectionRow(p, n + r, H);
            float *y = p->y + (n + r) * H;
            float *kept = p->gates ? p->gates + (n + r) * p->gatesLd : y;
            FOR_VECTORS(H, {
                V x = loadN(a + i, w) + load(s->bias + i) + loadN(y + i, w);
                x = f == cvTanh ? tanh_(x) : activated((int)f, x);
                storeN(y + i, x, w);
                // In compact form no unit of a projection in the same place is reached before it was read.
                if (compact) storeTanh((Half *)kept + i, x, w); else storeN(kept + i, x, w);
            });
        }
        keepFinal(p, s, row, t, NULL);
    }
}

static void rnnBackward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    long H = p->hidden;
    float *dh = work;
    for (long t = p->steps - 1; t >= 0; t--) {
        long m = stepRows(p, s, row, t), n = p->offsets[t] + row;
        if (m == 0) continue;
        startGradients(p, s, row, t, dh, NULL);
        for (long r = 0; r < m; r++) {
            const float *d = dh + r * H;
            const float *dy = rowOf(p->dy, n + r, H);
            float *gate = p->gates + (n + r) * p->gatesLd;
            if (p->compact) {
                fetchBackward(p, n + r + fetchAhead);
                Half *kept = (Half *)gate;
                FOR_VECTORS(H, {
                    V total = loadN(d + i, w) + optional(dy, i, w);
                    storeBfloat16(kept + i, total * derivative(cvTanh, loadTanh(kept + i, w)), w);
                });
                endPair(kept, H);
                continue;
            }
            FOR_VECTORS(H, {
                V total = loadN(d + i, w) + optional(dy, i, w);
                storeN(gate + i, total * derivative(p->activation, loadN(gate + i, w)), w);
            });
        }
        fetchBefore(p, row, t);
        if (t == 0 && !p->dh0) continue;
        stepProduct(s, work, m, H, gateRows(p, n), s->first, H, dh, false, rowOf(p->mask, row, H));
    }
    keepInitialGradients(p, s, row, dh, NULL);
}
