// Mean and maximum over the steps of each sequence of a packed tensor [N, F]; row offsets[t] + b is (t, b).

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

// dx [N, F] += dy[b] / length. Item (f, n).
__kernel void pooling_mean_backward(INPUT(float, dy), INPUT(int, lengths), INPUT(int, sequences), OUTPUT(float, dx),
                                    const int N, const int F) {
    BIND(dy);
    BIND(lengths);
    BIND(sequences);
    BIND(dx);
    const int f = get_global_id(0), n = get_global_id(1);
    if (f >= F || n >= N) return;
    const int b = sequences[n];
    dx[(size_t)n * F + f] += dy[(size_t)b * F + f] / (float)lengths[b];
}

// dx [N, F] += dy where the row was the maximum. Item (f, n).
__kernel void pooling_max_backward(INPUT(float, dy), INPUT(int, argmax), INPUT(int, sequences), OUTPUT(float, dx),
                                   const int N, const int F) {
    BIND(dy);
    BIND(argmax);
    BIND(sequences);
    BIND(dx);
    const int f = get_global_id(0), n = get_global_id(1);
    if (f >= F || n >= N) return;
    const size_t at = (size_t)sequences[n] * F + f;
    if (argmax[at] == n) dx[(size_t)n * F + f] += dy[at];
}
