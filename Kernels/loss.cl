// Cross entropy from logits with its gradient: one work-item per row, or a work-group where a row has many classes.

// A row's loss from its logits less the highest: the label's, the sum of their exponentials, their sum.
static float softmax_loss(const float chosen, const float total, const float shifted, const int C, const float smoothing) {
    const float target = (1.0f - smoothing) * chosen + (smoothing / (float)C) * shifted;
    return log(total) - target;
}

// Its gradient for one class, by that class's logit less the highest.
static float softmax_gradient(const float shifted, const float total, const int is_label, const int C, const float smoothing) {
    const float probability = exp_1(shifted) / total;
    const float wanted = (is_label ? 1.0f - smoothing : 0.0f) + smoothing / (float)C;
    return probability - wanted;
}

// loss = log sum exp(x) - sum target * x after subtracting the maximum; target = (1 - e) onehot + e / C.
// A label outside 0 ..< C gives NaN.
__kernel void loss_softmax(INPUT(float, logits), INPUT(int, labels), INPUT(float, weights), OUTPUT(float, losses),
                           OUTPUT(float, dlogits), const int B, const int C, const float smoothing,
                           const float scale) {
    BIND(logits);
    BIND(labels);
    BIND(weights);
    BIND(losses);
    BIND(dlogits);
    const int b = get_global_id(0);
    if (b >= B) return;
    const __global float *x = logits + (size_t)b * C;
    const int label = labels[b];
    const float weight = weights ? weights[b] : 1.0f;
    float highest = x[0];
    for (int c = 1; c < C; c++) highest = x[c] > highest ? x[c] : highest;
    float total = 0.0f, shifted = 0.0f;
    for (int c = 0; c < C; c++) {
        total += exp_1(x[c] - highest);
        shifted += x[c] - highest;
    }
    const int known = label >= 0 && label < C;
    losses[b] = weight * softmax_loss(known ? x[known ? label : 0] - highest : NAN, total, shifted, C, smoothing);
    if (!dlogits) return;
    for (int c = 0; c < C; c++) {
        const float gradient = softmax_gradient(x[c] - highest, total, c == label, C, smoothing);
        dlogits[(size_t)b * C + c] = known ? scale * weight * gradient : NAN;
    }
}

#if FAMILY != CPU_FAMILY
DEFINE_TREE(tree_sum, sum_of)
DEFINE_TREE(tree_greatest, greater)

// As loss_softmax. Group b: row b.
__kernel __attribute__((reqd_work_group_size(TREE_ITEMS, 1, 1)))
void loss_softmax_rows(INPUT(float, logits), INPUT(int, labels), INPUT(float, weights), OUTPUT(float, losses),
                       OUTPUT(float, dlogits), const int B, const int C, const float smoothing, const float scale) {
    __local float shared[TREE_ITEMS];
    BIND(logits);
    BIND(labels);
    BIND(weights);
    BIND(losses);
    BIND(dlogits);
    const int b = get_group_id(0), item = get_local_id(0);
    const __global float *x = logits + (size_t)b * C;
    const int label = labels[b], known = label >= 0 && label < C;
    const float weight = weights ? weights[b] : 1.0f;
    // Items beyond the row look at its first element. A NaN that is no maximum here makes the sums below one.
    float highest = x[item < C ? item : 0];
    for (int c = item + TREE_ITEMS; c < C; c += TREE_ITEMS) highest = greater(highest, x[c]);
    highest = tree_greatest(highest, shared);
    float total = 0.0f, shifted = 0.0f;
    for (int c = item; c < C; c += TREE_ITEMS) {
        total += exp_1(x[c] - highest);
        shifted += x[c] - highest;
    }
    total = tree_sum(total, shared);
    shifted = tree_sum(shifted, shared);
    if (item == 0) losses[b] = weight * softmax_loss(known ? x[known ? label : 0] - highest : NAN, total, shifted, C, smoothing);
    if (!dlogits) return;
    for (int c = item; c < C; c += TREE_ITEMS) {
        const float gradient = softmax_gradient(x[c] - highest, total, c == label, C, smoothing);
        dlogits[(size_t)b * C + c] = known ? scale * weight * gradient : NAN;
    }
}
#endif

// loss = max(x, 0) - x y + log(1 + exp(-|x|)); target y = (1 - e) label + e / 2.
__kernel void loss_sigmoid(INPUT(float, logits), INPUT(int, labels), INPUT(float, weights), OUTPUT(float, losses),
                           OUTPUT(float, dlogits), const int B, const float smoothing, const float scale) {
    BIND(logits);
    BIND(labels);
    BIND(weights);
    BIND(losses);
    BIND(dlogits);
    const int b = get_global_id(0);
    if (b >= B) return;
    const float x = logits[b];
    const float weight = weights ? weights[b] : 1.0f;
    const float y = (1.0f - smoothing) * (float)labels[b] + 0.5f * smoothing;
    const float positive = x < 0.0f ? 0.0f : x;
    losses[b] = weight * (positive - x * y + log1p(exp_1(-fabs(x))));
    if (dlogits) dlogits[b] = scale * weight * (sigmoid_1(x) - y);
}
