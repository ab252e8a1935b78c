// Mean and maximum over the steps of each sequence of a packed tensor [N, F]; row offsets[t] + b is (t, b).

#if FAMILY != CPU_FAMILY
// y [B, F]. Item (f, b).
__kernel void pooling_mean(INPUT(float, x), INPUT(int, lengths), INPUT(int, offsets), OUTPUT(float, y), const int B,
                           const int F) {
    BIND(x);
    BIND(lengths);
    BIND(offsets);
    BIND(y);
    const int f = get_global_id(0), b = get_global_id(1);
    if (f >= F || b >= B) return;
    const int length = lengths[b];
    float sum = 0.0f;
    for (int t = 0; t < length; t++) sum += x[(size_t)(offsets[t] + b) * F + f];
    y[(size_t)b * F + f] = length > 0 ? sum / (float)length : 0.0f;
}

// y and argmax [B, F]; the earliest of equals wins. Item (f, b).
__kernel void pooling_max(INPUT(float, x), INPUT(int, lengths), INPUT(int, offsets), OUTPUT(float, y),
                          OUTPUT(int, argmax), const int B, const int F) {
    BIND(x);
    BIND(lengths);
    BIND(offsets);
    BIND(y);
    BIND(argmax);
    const int f = get_global_id(0), b = get_global_id(1);
    if (f >= F || b >= B) return;
    const int length = lengths[b];
    float best = 0.0f;
    int row = -1;
    for (int t = 0; t < length; t++) {
        const int n = offsets[t] + b;
        const float value = x[(size_t)n * F + f];
        if (row < 0 || value > best) {
            best = value;
            row = n;
        }
    }
    y[(size_t)b * F + f] = best;
    if (argmax) argmax[(size_t)b * F + f] = row;
}

#endif

#if FAMILY != GPU_FAMILY
// As pooling_mean. Item (0, b): step after step over all columns, so that rows are read as they lie.
__kernel void pooling_mean_rows(INPUT(float, x), INPUT(int, lengths), INPUT(int, offsets), OUTPUT(float, y),
                                const int B, const int F) {
    BIND(x);
    BIND(lengths);
    BIND(offsets);
    BIND(y);
    const int b = get_global_id(1);
    if (b >= B) return;
    const int length = lengths[b];
    y += (size_t)b * F;
    for (int f = 0; f < F; f++) y[f] = 0.0f;
    for (int t = 0; t < length; t++) {
        const __global float *row = x + (size_t)(offsets[t] + b) * F;
        for (int f = 0; f < F; f++) y[f] += row[f];
    }
    for (int f = 0; f < F && length > 0; f++) y[f] /= (float)length;
}

// As pooling_max. Item (0, b).
__kernel void pooling_max_rows(INPUT(float, x), INPUT(int, lengths), INPUT(int, offsets), OUTPUT(float, y),
                               OUTPUT(int, argmax), const int B, const int F) {
    BIND(x);
    BIND(lengths);
    BIND(offsets);
    BIND(y);
    BIND(argmax);
    const int b = get_global_id(1);
    if (b >= B) return;
    const int length = lengths[b];
    y += (size_t)b * F;
    for (int f = 0; f < F; f++) y[f] = length > 0 ? x[(size_t)(offsets[0] + b) * F + f] : 0.0f;
    if (argmax) {
        argmax += (size_t)b * F;
        for (int f = 0; f < F; f++) argmax[f] = length > 0 ? offsets[0] + b : -1;
    }
    for (int t = 1; t < length; t++) {
        const int n = offsets[t] + b;
        const __global float *row = x + (size_t)n * F;
        if (argmax)
            for (int f = 0; f < F; f++) argmax[f] = row[f] > y[f] ? n : argmax[f];
        for (int f = 0; f < F; f++) y[f] = row[f] > y[f] ? row[f] : y[f];
    }
}
#endif

// dx [N, F] += dy[b] / length. Item (columns, n).
__kernel void pooling_mean_backward(INPUT(float, dy), INPUT(int, lengths), INPUT(int, sequences), OUTPUT(float, dx),
                                    const int N, const int F) {
    BIND(dy);
    BIND(lengths);
    BIND(sequences);
    BIND(dx);
    const int n = get_global_id(1);
    if (n >= N) return;
    const int b = sequences[n];
    const float length = (float)lengths[b];
    dx += (size_t)n * F;
    dy += (size_t)b * F;
    EACH_COLUMN(f, F) dx[f] += dy[f] / length;
}

// dx [N, F] += dy where the row was the maximum. Item (columns, n).
__kernel void pooling_max_backward(INPUT(float, dy), INPUT(int, argmax), INPUT(int, sequences), OUTPUT(float, dx),
                                   const int N, const int F) {
    BIND(dy);
    BIND(argmax);
    BIND(sequences);
    BIND(dx);
    const int n = get_global_id(1);
    if (n >= N) return;
    dx += (size_t)n * F;
    dy += (size_t)sequences[n] * F;
    argmax += (size_t)sequences[n] * F;
    EACH_COLUMN(f, F) dx[f] = argmax[f] == n ? dx[f] + dy[f] : dx[f];
}
