// Clipping and parameter updates over flat buffers: one work-item per element. Factors that depend on the
// step are computed on the host in double precision. `fault` is a number that is 0 as long as all losses and norms
// were finite (null = not watched); afterwards updates leave everything as it is.
#ifndef KERAS
#define KERAS 0     // follow Keras where it differs from PyTorch
#endif

// x *= factor with n = sqrt(squared_norm[0]).
__kernel void optimizer_clip_norm(OUTPUT(float, x), const ulong count, INPUT(float, squared_norm),
                                  const float maximum) {
    BIND(x);
    BIND(squared_norm);
    const size_t i = get_global_id(0);
    if (i >= count) return;
    const float n = sqrt(squared_norm[0]);
#if KERAS
    const float factor = n > maximum ? maximum / n : 1.0f;
#else
    const float ratio = maximum / (n + 1e-6f);
    const float factor = ratio > 1.0f ? 1.0f : ratio;
#endif
    x[i] *= factor;
}

// x *= factor[0].
__kernel void optimizer_scale(OUTPUT(float, x), const ulong count, INPUT(float, factor)) {
    BIND(x);
    BIND(factor);
    const size_t i = get_global_id(0);
    if (i < count) x[i] *= factor[0];
}

// state: scale, 1 / scale, good steps in a row. A step whose norm is not finite is left out (skip = 1) and halves the scale;
// at the smallest scale it is a fault. `interval` good steps double it. One item.
__kernel void optimizer_adjust_loss_scale(OUTPUT(float, state), INPUT(float, squared_norm), OUTPUT(float, fault),
                                          OUTPUT(float, skip), const float interval, const float smallest,
                                          const float largest) {
    BIND(state);
    BIND(squared_norm);
    BIND(fault);
    BIND(skip);
    skip[0] = 1.0f;
    if (!(fault[0] == 0.0f)) return;
    const float scale = state[0], good = state[2] + 1.0f;
    if (isfinite(squared_norm[0])) {
        const int grows = good == interval;
        skip[0] = 0.0f;
        state[0] = grows ? min(2.0f * scale, largest) : scale;
        state[2] = grows ? 0.0f : good;
    } else {
        if (scale > smallest) state[0] = 0.5f * scale;
        else fault[0] = 1.0f;
        state[2] = 0.0f;
    }
    state[1] = 1.0f / state[0];
}

__kernel void optimizer_clip_value(OUTPUT(float, x), const ulong count, const float limit) {
    BIND(x);
    const size_t i = get_global_id(0);
    if (i >= count) return;
    float value = x[i];
    value = value < -limit ? -limit : value;
    x[i] = value > limit ? limit : value;
}

__kernel void optimizer_sgd(OUTPUT(float, weights), INPUT(float, gradients), OUTPUT(float, velocity),
                            const ulong count, const float rate, const float momentum, const int nesterov,
                            const float decay, const int first, INPUT(float, fault)) {
    BIND(weights);
    BIND(gradients);
    BIND(velocity);
    BIND(fault);
    const size_t i = get_global_id(0);
    if (i >= count || (fault && !(fault[0] == 0.0f))) return;
    const float w = weights[i];
    const float g = fma(decay, w, gradients[i]);
    if (!velocity) {
        weights[i] = fma(-rate, g, w);
        return;
    }
#if KERAS
    const float v = momentum * velocity[i] - rate * g;
    weights[i] = w + (nesterov ? momentum * v - rate * g : v);
#else
    const float v = first ? g : fma(momentum, velocity[i], g);
    weights[i] = fma(-rate, nesterov ? fma(momentum, v, g) : v, w);
#endif
    velocity[i] = v;
}

// `rate` is the bias-corrected learning rate, `shrink` 1 - lr * weight decay, `root` sqrt(1 - beta2^t)
// (PyTorch; 1 for Keras, whose rate has it).
__kernel void optimizer_adam(OUTPUT(float, weights), INPUT(float, gradients), OUTPUT(float, m), OUTPUT(float, v),
                             const ulong count, const float rate, const float beta1, const float beta2,
                             const float one_minus_beta1, const float one_minus_beta2, const float epsilon,
                             const float shrink, const float root, INPUT(float, fault)) {
    BIND(weights);
    BIND(gradients);
    BIND(m);
    BIND(v);
    BIND(fault);
    const size_t i = get_global_id(0);
    if (i >= count || (fault && !(fault[0] == 0.0f))) return;
    const float g = gradients[i];
    const float mean = fma(one_minus_beta1, g, beta1 * m[i]);
    const float square = fma(one_minus_beta2 * g, g, beta2 * v[i]);
    m[i] = mean;
    v[i] = square;
    weights[i] = fma(-rate, mean / (sqrt(square) / root + epsilon), weights[i] * shrink);
}

__kernel void optimizer_rmsprop(OUTPUT(float, weights), INPUT(float, gradients), OUTPUT(float, v),
                                OUTPUT(float, moment), const ulong count, const float rate, const float rho,
                                const float one_minus_rho, const float momentum, const float epsilon,
                                INPUT(float, fault)) {
    BIND(weights);
    BIND(gradients);
    BIND(v);
    BIND(moment);
    BIND(fault);
    const size_t i = get_global_id(0);
    if (i >= count || (fault && !(fault[0] == 0.0f))) return;
    const float g = gradients[i];
    const float square = fma(one_minus_rho * g, g, rho * v[i]);
    v[i] = square;
#if KERAS
    const float d = g / sqrt(square + epsilon);
    const float change = moment ? fma(momentum, moment[i], rate * d) : rate * d;
    if (moment) moment[i] = change;
    weights[i] -= change;
#else
    const float d = g / (sqrt(square) + epsilon);
    const float change = moment ? fma(momentum, moment[i], d) : d;
    if (moment) moment[i] = change;
    weights[i] = fma(-rate, change, weights[i]);
#endif
}

// average = decay * average + (1 - decay) * weights.
__kernel void optimizer_average(INPUT(float, weights), OUTPUT(float, average), const ulong count, const float decay,
                                const float one_minus_decay) {
    BIND(weights);
    BIND(average);
    const size_t i = get_global_id(0);
    if (i < count) average[i] = fma(one_minus_decay, weights[i], decay * average[i]);
}
