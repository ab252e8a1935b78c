// Rows of a table that take Adam's steps when they are needed: what they were left out of, then perhaps one with a
// gradient. Each lane goes through the operations of `adam` and `average`, so its bits are theirs.

/// Vectors of a row that go through its events together, as many as the registers hold.
enum { tileOfAdamRow = WIDTH == 16 ? 4 : 2 };

/// Whether no lane of w can be changed by this or any later update (see `AdamRowsPass.reach`).
SMALL bool isCalm(V update, V w, V m) {
    VI none = m == splat(0.0f);
    VI beyond = (absolute(update) * splat(0x1p26f) <= absolute(w)) & (absolute(w) >= splat(0x1p-20f));
    return __builtin_reduce_and(none | beyond) != 0;
}

/// `count` events of `tile` vectors of one row, the last vector with w valid lanes, then the step with gradients if there
/// are any. Events from `calm` on may show that the weights have come to rest.
SMALL void adamTile(const cvAdamRows *p, const int tile, long w, const cvAdamEvent *events, long count, long calm,
                    const float *gradients, float *weights, float *moment, float *square, float *average) {
    V x[tileOfAdamRow], m[tileOfAdamRow], v[tileOfAdamRow], mean[tileOfAdamRow];
    bool rests = true, isUntouched = true;
    for (int j = 0; j < tile; j++) {
        m[j] = loadN(moment + j * WIDTH, w);
        v[j] = loadN(square + j * WIDTH, w);
        rests &= __builtin_reduce_and((m[j] == splat(0.0f)) & (v[j] == v[j])) != 0;
        x[j] = loadN(weights + j * WIDTH, w);
        // By their bits: a step makes 0 of what is too small and of -0, though comparisons take them for it.
        VI changed = floatToBits(m[j]) | floatToBits(v[j]) | (floatToBits(x[j]) ^ floatToBits(x[j] - splat(0.0f) * x[j]));
        isUntouched &= __builtin_reduce_or(changed) == 0;
    }
    // Without moments and decay nothing happens to a weight.
    if (isUntouched && !p->decays && !average && !gradients) return;
    for (int j = 0; j < tile; j++) {
        mean[j] = average ? loadN(average + j * WIDTH, w) : splat(0.0f);
    }
#define AVERAGE(e) for (int j = 0; j < tile; j++) mean[j] = splat((e).averageDecay) * mean[j] + splat((e).complement) * x[j]
    long t = 0, taken = 0;
    for (; t < count && !rests; t++) {
        const cvAdamEvent e = events[t];
        if (e.isAverage != 0.0f) { AVERAGE(e); continue; }
        V update[tileOfAdamRow];
        for (int j = 0; j < tile; j++) {
            update[j] = adamUpdate(&p->step, splat(e.rate), splat(e.decay), splat(e.rootScale), splat(0.0f), &x[j], &m[j], &v[j]);
        }
        if (++taken % 8 != 0 || t < calm) continue;
        rests = true;
        for (int j = 0; j < tile; j++) rests &= isCalm(update[j], x[j], m[j]);
    }
    bool isStep = false;
    for (; t < count; t++) {
        const cvAdamEvent e = events[t];
        if (e.isAverage != 0.0f) { AVERAGE(e); continue; }
        isStep = true;
        for (int j = 0; j < tile; j++) {
            x[j] -= splat(e.decay) * x[j];
            m[j] *= splat(p->step.beta1);
            v[j] *= splat(p->step.beta2);
        }
    }
#undef AVERAGE
    for (int j = 0; j < tile; j++) {
        // In a step the product with gradient 0 is added, and that of the weight with no decay taken away: -0 becomes 0.
        if (isStep) {
            m[j] += splat(0.0f);
            x[j] -= splat(0.0f) * x[j];
        }
        if (gradients) {
            adamUpdate(&p->step, splat(p->step.rate), splat(p->step.decay), splat(p->step.rootScale),
                       loadN(gradients + j * WIDTH, w), &x[j], &m[j], &v[j]);
        }
        storeN(weights + j * WIDTH, x[j], w);
        storeN(moment + j * WIDTH, m[j], w);
        storeN(square + j * WIDTH, v[j], w);
        if (average) storeN(average + j * WIDTH, mean[j], w);
    }
}

static void adamRow(const cvAdamRows *p, long index, long width) {
    const long row = p->rows ? p->rows[index] : index, mark = p->marks[row];
    const long count = cvMax(0, p->last - mark), calm = p->calmFrom - mark - 1;
    const float *gradients = p->gradients ? p->gradients + index * width : NULL;
    if (count == 0 && !gradients) return;
    const cvAdamEvent *events = p->events + mark;
    float *weights = p->w + row * width, *m = p->m + row * width, *v = p->v + row * width;
    float *average = p->average ? p->average + row * width : NULL;
#define TILE(tile, lanes) \
    adamTile(p, tile, lanes, events, count, calm, gradients ? gradients + i : NULL, weights + i, m + i, v + i, average ? average + i : NULL)
    long i = 0;
    for (; i + tileOfAdamRow * WIDTH <= width; i += tileOfAdamRow * WIDTH) TILE(tileOfAdamRow, WIDTH);
    for (; i < width; i += WIDTH) TILE(1, cvMin(WIDTH, width - i));
#undef TILE
    p->marks[row] = gradients ? p->number : (int32_t)cvMax(mark, p->last);
}
