// Element-wise functions, reductions and optimizer updates over contiguous arrays.

static void addTo(long n, const float *x, float *y) {
    FOR_VECTORS(n, storeN(y + i, loadN(y + i, w) + loadN(x + i, w), w););
}

static void columnSums(long rows, long columns, const float *x, long ld, bool stored, float *sums) {
    FOR_VECTORS(columns, {
        V sum = 0;
        if (stored) for (long m = 0; m < rows; m++) sum += loadOf(true, x + m * ld, i, w);
        else for (long m = 0; m < rows; m++) sum += loadOf(false, x + m * ld, i, w);
        storeN(sums + i, sum, w);
    });
}

/// Rows of numbers that lie `ld` floats apart, of bfloat16 if `stored`.
typedef struct {
    const float *base;
    long ld;
} Values;

/// Columns i ..< i + `vectors` vectors of the sum of the rows `index` of values; `w` lanes of the last vector.
SMALL void sumColumns(Values x, bool stored, const int32_t *index, long count, long i, int vectors, long w, float *sum) {
    V total[8];
    for (int j = 0; j < vectors; j++) total[j] = splat(0.0f);
    for (long k = 0; k < count; k++) {
        // The rows lie anywhere in memory, but which ones are to come is known.
        const float *coming = cvColumn(stored, x.base + index[k + 4 < count ? k + 4 : k] * x.ld, i);
        for (int j = 0; j < vectors; j += stored ? 2 : 1) __builtin_prefetch(cvColumn(stored, coming, j * WIDTH));
        const float *row = x.base + index[k] * x.ld;
        for (int j = 0; j < vectors; j++) total[j] += loadOf(stored, row, i + j * WIDTH, j < vectors - 1 ? WIDTH : w);
    }
    for (int j = 0; j < vectors; j++) storeN(sum + i + j * WIDTH, total[j], j < vectors - 1 ? WIDTH : w);
}

SMALL void sumRowsOf(long width, Values x, bool stored, const int32_t *index, long count, float *sum) {
    long i = 0;
    for (; i + 8 * WIDTH <= width; i += 8 * WIDTH) sumColumns(x, stored, index, count, i, 8, WIDTH, sum);
    for (; i + 2 * WIDTH <= width; i += 2 * WIDTH) sumColumns(x, stored, index, count, i, 2, WIDTH, sum);
    for (; i < width; i += WIDTH) sumColumns(x, stored, index, count, i, 1, width - i, sum);
}

static void sumRows(long width, const float *values, long ld, bool stored, const int32_t *index, long count, float *sum) {
    Values x = {values, ld};
    if (stored) sumRowsOf(width, x, true, index, count, sum); else sumRowsOf(width, x, false, index, count, sum);
}

static void scaledCopy(long n, float scale, const float *x, float *y, bool accumulate) {
    if (accumulate) {
        FOR_VECTORS(n, storeN(y + i, loadN(y + i, w) + splat(scale) * loadN(x + i, w), w););
    } else {
        FOR_VECTORS(n, storeN(y + i, splat(scale) * loadN(x + i, w), w););
    }
}

static void multiply(long n, const float *a, const float *b, float *c, bool accumulate) {
    if (accumulate) {
        FOR_VECTORS(n, storeN(c + i, loadN(c + i, w) + loadN(a + i, w) * loadN(b + i, w), w););
    } else {
        FOR_VECTORS(n, storeN(c + i, loadN(a + i, w) * loadN(b + i, w), w););
    }
}

#define FOR_ACTIVATIONS(BODY) \
    switch (activation) { \
    case cvTanh: BODY(cvTanh); break; \
    case cvSigmoid: BODY(cvSigmoid); break; \
    case cvReLU: BODY(cvReLU); break; \
    case cvHardSigmoid: BODY(cvHardSigmoid); break; \
    default: BODY(cvLinear); break; \
    }

static void activate(int activation, long n, const float *x, float *y) {
#define BODY(f) FOR_VECTORS(n, storeN(y + i, activated(f, loadN(x + i, w)), w);)
    FOR_ACTIVATIONS(BODY)
#undef BODY
}

static void activateBackward(int activation, long n, const float *y, const float *dy, float *dx) {
#define BODY(f) FOR_VECTORS(n, storeN(dx + i, loadN(dy + i, w) * derivative(f, loadN(y + i, w)), w);)
    FOR_ACTIVATIONS(BODY)
#undef BODY
}

/// Philox-2x32 of ten rounds for 16 elements at a time; see RandomGenerator.
static void dropout(long n, uint64_t element, uint32_t key, uint32_t threshold, float scale, const float *x, float *y) {
    for (long i = 0; i < n; i += 16) {
        uint32_t low[16], high[16];
        for (int j = 0; j < 16; j++) {
            low[j] = (uint32_t)(element + (uint64_t)(i + j));
            high[j] = (uint32_t)((element + (uint64_t)(i + j)) >> 32);
        }
        uint32_t k = key;
        for (int round = 0; round < 10; round++) {
            for (int j = 0; j < 16; j++) {
                uint64_t product = (uint64_t)low[j] * 0xD256D193u;
                low[j] = (uint32_t)(product >> 32) ^ k ^ high[j];
                high[j] = (uint32_t)product;
            }
            k += 0x9E3779B9u;
        }
        long count = n - i < 16 ? n - i : 16;
        for (long j = 0; j < count; j++) y[i + j] = low[j] >= threshold ? x[i + j] * scale : 0.0f;
    }
}

static void maximum(long n, const float *x, float *y, int32_t *argmax, int32_t row) {
    for (long i = 0; i < n; i++) {
        bool greater = x[i] > y[i];
        y[i] = greater ? x[i] : y[i];
        argmax[i] = greater ? row : argmax[i];
    }
}

static void softmax(long n, const float *logits, float *highest, float *sum) {
    float m = logits[0];
    for (long i = 1; i < n; i++) m = logits[i] > m ? logits[i] : m;
    V total = 0;
    FOR_VECTORS(n, {
        V e = exp_(loadN(logits + i, w) - splat(m));
        if (w < WIDTH) {
            float lanes[WIDTH];
            store(lanes, e);
            for (long j = w; j < WIDTH; j++) lanes[j] = 0;
            e = load(lanes);
        }
        total += e;
    });
    *highest = m;
    *sum = sumOfLanes(total);
}

/// dLogits = (p − target) · factor with p = exp(logits − maximum) / sum
static void softmaxGradient(long n, const float *logits, float highest, float sum, float target, float factor,
                            float *dLogits) {
    FOR_VECTORS(n, {
        V p = exp_(loadN(logits + i, w) - splat(highest)) / splat(sum);
        storeN(dLogits + i, (p - splat(target)) * splat(factor), w);
    });
}

static float sumOfSquares(long n, const float *x) {
    V sum[4] = {0, 0, 0, 0};
    long i = 0;
    for (; i + 4 * WIDTH <= n; i += 4 * WIDTH) {
        for (int j = 0; j < 4; j++) {
            V v = load(x + i + j * WIDTH);
            sum[j] += v * v;
        }
    }
    for (; i < n; i += WIDTH) {
        V v = loadN(x + i, n - i);
        sum[0] += v * v;
    }
    return sumOfLanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static void clip(long n, float limit, float *x) {
    FOR_VECTORS(n, storeN(x + i, minimum_(maximum_(loadN(x + i, w), splat(-limit)), splat(limit)), w););
}

static void sgd(const cvSGD *s, long n, float *weights, const float *g, float *velocity) {
    V rate = splat(s->rate), momentum = splat(s->momentum), decay = splat(s->weightDecay);
    if (!velocity) {
        FOR_VECTORS(n, {
            V x = loadN(weights + i, w);
            V d = loadN(g + i, w) + decay * x;
            storeN(weights + i, x - rate * d, w);
        });
        return;
    }
    FOR_VECTORS(n, {
        V x = loadN(weights + i, w);
        V d = loadN(g + i, w) + decay * x;
        V v = loadN(velocity + i, w);
        if (s->keras) {
            v = momentum * v - rate * d;
            x += s->nesterov ? momentum * v - rate * d : v;
        } else {
            v = s->first ? d : momentum * v + d;
            x -= rate * (s->nesterov ? d + momentum * v : v);
        }
        storeN(velocity + i, v, w);
        storeN(weights + i, x, w);
    });
}

/// One step of Adam for one vector: of w, m and v with gradient g. Returns what was subtracted from w.
SMALL V adamUpdate(const cvAdam *s, V rate, V decay, V root, V g, V *w, V *m, V *v) {
    *w -= decay * *w;
    *m = splat(s->beta1) * *m + splat(s->oneMinusBeta1) * g;
    *v = splat(s->beta2) * *v + splat(s->oneMinusBeta2) * (g * g);
    V update = rate * (*m / (__builtin_elementwise_sqrt(*v) * root + splat(s->epsilon)));
    *w -= update;
    return update;
}

static void adam(const cvAdam *s, long n, float *weights, const float *g, float *m, float *v) {
    V rate = splat(s->rate), decay = splat(s->decay), root = splat(s->rootScale);
    FOR_VECTORS(n, {
        V x = loadN(weights + i, w);
        V first = loadN(m + i, w);
        V second = loadN(v + i, w);
        adamUpdate(s, rate, decay, root, loadN(g + i, w), &x, &first, &second);
        storeN(m + i, first, w);
        storeN(v + i, second, w);
        storeN(weights + i, x, w);
    });
}

static void rmsprop(const cvRMSprop *s, long n, float *weights, const float *g, float *v, float *momentum) {
    V rate = splat(s->rate), epsilon = splat(s->epsilon), mu = splat(s->momentum);
    FOR_VECTORS(n, {
        V d = loadN(g + i, w);
        V second = splat(s->rho) * loadN(v + i, w) + splat(s->oneMinusRho) * (d * d);
        storeN(v + i, second, w);
        d = s->keras ? d / __builtin_elementwise_sqrt(second + epsilon)
                     : d / (__builtin_elementwise_sqrt(second) + epsilon);
        V x = loadN(weights + i, w);
        if (momentum) {
            V b = mu * loadN(momentum + i, w) + (s->keras ? rate * d : d);
            storeN(momentum + i, b, w);
            x -= s->keras ? b : rate * b;
        } else {
            x -= rate * d;
        }
        storeN(weights + i, x, w);
    });
}

static void average(long n, float decay, float complement, const float *weights, float *mean) {
    FOR_VECTORS(n, storeN(mean + i, splat(decay) * loadN(mean + i, w) + splat(complement) * loadN(weights + i, w), w););
}
