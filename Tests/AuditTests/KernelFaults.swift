/// A mistake planted in the text of a kernel file, and how the audit must name it.
struct KernelFault {
    var name: String
    /// The kernels it is shown in; what both contain is shown in one, since a build takes a second.
    var family: String
    var file: String
    /// Each text must occur exactly once in the file.
    var edits: [(old: String, new: String)]
    /// A tensor that must fail, `kind name`.
    var tensor: String
    /// What the place of its largest error must contain.
    var place = ""
    /// Tensors that must still pass: the fault is told from others by them.
    var passing: [String] = []

    init(_ name: String, _ family: String, _ file: String, _ edits: [(String, String)], fails tensor: String,
         at place: String = "", passing: [String] = []) {
        self.name = name
        self.family = family
        self.file = file
        self.edits = edits.map { (old: $0.0, new: $0.1) }
        self.tensor = tensor
        self.place = place
        self.passing = passing
    }
}

/// Faults by the model of `AuditSamples` that shows them.
enum KernelFaults {
    /// On embedding, LSTM, dense layer, dropout and pooling, with PyTorch's Adam.
    static let lstm = [
        KernelFault("candidate and output gate swapped", "gpu", "lstm.cl",
                    [("F g = ug + LOAD_##S(a + 2 * H)", "F g = uo + LOAD_##S(a + 3 * H)"),
                     ("F o = uo + LOAD_##S(a + 3 * H)", "F o = ug + LOAD_##S(a + 2 * H)")],
                    fails: "output logits", at: "row"),
        KernelFault("the output gate takes the input gate's bias", "cpu", "lstm.cl", [("LOAD_##S(bias + 3 * H)", "LOAD_##S(bias)")],
                    fails: "output logits", at: "row"),
        KernelFault("derivative of the sigmoid on the candidate", "gpu", "lstm.cl",
                    [("activate_backward_##S(ACTIVATION, g, dc * i)", "activate_backward_##S(RECURRENT_ACTIVATION, g, dc * i)")],
                    fails: "gradient rnn.0.bias_ih_l0", at: "lstm 0, gate g", passing: ["output logits", "gradient dense.0.weight"]),
        KernelFault("the forget gate's gradient takes c of this step", "gpu", "lstm.cl",
                    [("activate_backward_##S(RECURRENT_ACTIVATION, f, dc * before)", "activate_backward_##S(RECURRENT_ACTIVATION, f, dc * RESTORE(S, OPERAND, cells))")],
                    fails: "gradient rnn.0.bias_ih_l0", at: "lstm 0, gate f", passing: ["output logits", "gradient dense.0.weight"]),
        KernelFault("h instead of h(t - 1) is kept", "gpu", "lstm.cl", [("SAVE(1, OPERAND, h_state[state], previous_h + at)", "SAVE(1, OPERAND, hidden, previous_h + at)")],
                    fails: "gradient rnn.0.weight_hh_l0", at: "lstm 0", passing: ["output logits", "gradient rnn.0.weight_ih_l0"]),
        KernelFault("the cell's gradient is not carried on", "gpu", "lstm.cl", [("STORE_##S(dc * f, c_carry)", "STORE_##S(0.0f * f, c_carry)")],
                    fails: "gradient rnn.0.weight_hh_l0", at: "lstm 0", passing: ["output logits", "gradient dense.0.weight"]),
        KernelFault("the last step is dropped", "cpu", "lstm.cl", [("for (int t = 0; t < T; t++)", "for (int t = 0; t < T - 1; t++)")],
                    fails: "output logits", at: "row 0"),
        KernelFault("the first step is dropped on the way back", "cpu", "lstm.cl", [("for (int t = T - 1; t >= 0; t--)", "for (int t = T - 1; t > 0; t--)")],
                    fails: "gradient rnn.0.bias_ih_l0", at: "lstm 0", passing: ["output logits", "gradient dense.0.weight"]),
        KernelFault("the shortest running row is left out of a step", "gpu", "lstm.cl",
                    [("""
                        if (j >= H || b >= active) return;
                        const int n = n0 + b;
                        const size_t at = (size_t)n * H + j, state = (size_t)b * H + j;
                        const __global float *u
                    """, """
                        if (j >= H || b >= active - 1) return;
                        const int n = n0 + b;
                        const size_t at = (size_t)n * H + j, state = (size_t)b * H + j;
                        const __global float *u
                    """)], fails: "output logits", at: "row"),
        KernelFault("no barrier before a tile is read", "gpu", "matmul.cl",
                    [("barrier(CLK_LOCAL_MEM_FENCE);\n    int buffer", "int buffer"),
                     ("        }\n        barrier(CLK_LOCAL_MEM_FENCE);\n    }\n#if PARTS", "        }\n    }\n#if PARTS")], fails: "output logits", at: "row"),
        // Only where rows and columns are equally many, so that nothing is read outside the matrix.
        KernelFault("square weights transposed", "cpu", "matmul.cl",
                    [("step_k = transpose ? 1 : ldb, step_n = transpose ? ldb : 1", "step_k = transpose && K != N ? 1 : ldb, step_n = transpose && K != N ? ldb : 1")],
                    fails: "output logits", at: "row"),
        KernelFault("square weights transposed", "gpu", "matmul.cl",
                    [("const int transpose_b) {", "const int right) {\nconst int transpose_b = N == K ? 0 : right;")],
                    fails: "output logits", at: "row"),
        KernelFault("a token's gradients replace each other", "gpu", "embedding.cl",
                    [("sum += SUMMAND(values[(size_t)order[s] * D + d])", "sum = SUMMAND(values[(size_t)order[s] * D + d])")],
                    fails: "gradient embedding.weight", at: "token", passing: ["output logits", "gradient rnn.0.weight_hh_l0"]),
        KernelFault("a token's last occurrence is left out", "cpu", "embedding.cl", [("last = segments[u + 1]", "last = segments[u + 1] - 1")],
                    fails: "gradient embedding.weight", at: "token", passing: ["output logits", "gradient rnn.0.weight_hh_l0"]),
        KernelFault("the mean leaves out the last step", "gpu", "pooling.cl", [("for (int t = 0; t < length; t++) sum", "for (int t = 0; t + 1 < length; t++) sum")],
                    fails: "output logits in inference", at: "row"),
        KernelFault("the maximum leaves out the last step", "cpu", "pooling.cl", [("for (int t = 1; t < length; t++)", "for (int t = 1; t + 1 < length; t++)")],
                    fails: "output logits in inference", at: "row"),
        KernelFault("dropout does not scale what it keeps", "gpu", "vector.cl", [("LOAD_##S(x) * scale", "LOAD_##S(x)")],
                    fails: "output logits", at: "row", passing: ["output logits in inference"]),
        KernelFault("the true class gets all of the target", "gpu", "loss.cl", [("(is_label ? 1.0f - smoothing : 0.0f)", "(is_label ? 1.0f : 0.0f)")],
                    fails: "gradient head.bias", at: "head", passing: ["output logits", "output losses"]),
        KernelFault("the norm forgets the end of each chunk", "cpu", "reduce.cl",
                    [("const int size = (int)min((ulong)chunk, count - first);\n    x += first;", "const int size = (int)min((ulong)chunk, count - first) - 64;\n    x += first;")],
                    fails: "clipping gradient norm", at: "step 1", passing: ["gradient head.weight"]),
        KernelFault("the norm forgets a chain", "gpu", "reduce.cl", [("const float total = tree_sum(own, shared);", "if (get_local_id(0) == 1) own = 0.0f;\n    const float total = tree_sum(own, shared);")],
                    fails: "clipping gradient norm", at: "step 1", passing: ["gradient head.weight"]),
        KernelFault("a wrong limit of the gradient norm", "gpu", "optimizer.cl", [("maximum / (n + 1e-6f)", "maximum / (n + 1.0f)")],
                    fails: "clipping head.weight", at: "step 1", passing: ["gradient head.weight", "clipping gradient norm", "update head.weight"]),
        KernelFault("v averages gradients, not their squares", "cpu", "optimizer.cl", [("fma(one_minus_beta2 * g, g, beta2 * v[i])", "fma(one_minus_beta2, fabs(g), beta2 * v[i])")],
                    fails: "moment v", at: "step", passing: ["gradient head.weight", "moment m"]),
        KernelFault("v is halved where gradients are small", "cpu", "optimizer.cl",
                    [("fma(one_minus_beta2 * g, g, beta2 * v[i])", "fma(one_minus_beta2 * g, fabs(g) < 1e-5f ? 0.5f * g : g, beta2 * v[i])")],
                    fails: "moment v", at: "step", passing: ["gradient head.weight", "clipping head.weight", "moment m"]),
        KernelFault("Adam without the correction of v", "cpu", "optimizer.cl", [("sqrt(square) / root + epsilon", "sqrt(square) + epsilon")],
                    fails: "update head.weight", at: "step 1", passing: ["gradient head.weight", "clipping head.weight", "moment m", "moment v"]),
    ]

    static let recurrentDropout = [
        KernelFault("the carried gradient has no mask", "gpu", "lstm.cl", [("if (mask && b < running_on) dh *= mask[state];", "")],
                    fails: "gradient rnn.0.weight_hh_l0", at: "lstm 0", passing: ["output logits", "gradient head.weight"]),
        KernelFault("every row gets the mask of the first", "cpu", "lstm.cl",
                    [("masked(mask + (size_t)b0 * R, h_state, previous_h + (size_t)n0 * R, rows * R)",
                      "for (int r = 0; r < rows; r++) masked(mask, h_state + (size_t)r * R, previous_h + (size_t)(n0 + r) * R, R)")],
                    fails: "output logits", at: "row", passing: ["output logits in inference"]),
    ]

    static let gruResetAfter = [
        KernelFault("rows step without the correction of v", "gpu", "adam_rows.cl", [("sqrt(*v) / root + epsilon", "sqrt(*v) + epsilon")],
                    fails: "update embedding.weight", at: "step 1, token",
                    passing: ["gradient embedding.weight", "update head.weight", "moment m", "moment v"]),
        KernelFault("the last row does not step", "cpu", "adam_rows.cl", [("if (u >= U) return;", "if (u >= U - 1) return;")],
                    fails: "update embedding.weight", at: "step 1, token", passing: ["gradient embedding.weight", "update head.weight"]),
        KernelFault("no reset gate", "gpu", "gru.cl", [("fma(r, q, LOAD_##S(a + 2 * H) + LOAD_##S(bias + 2 * H))", "(q + LOAD_##S(a + 2 * H) + LOAD_##S(bias + 2 * H))")],
                    fails: "output logits", at: "row"),
        KernelFault("the candidate's second bias is the first again", "gpu", "gru.cl", [("un + LOAD_##S(bias + 3 * H)", "un + LOAD_##S(bias + 2 * H)")],
                    fails: "output logits", at: "row"),
        KernelFault("the carried gradient takes 1 - z", "gpu", "gru.cl", [("STORE_##S(dh * z, carry)", "STORE_##S(dh * (1.0f - z), carry)")],
                    fails: "gradient rnn.0.weight_hh_l0", at: "gru 0", passing: ["output logits", "gradient head.weight"]),
    ]

    static let gruResetBefore = [
        KernelFault("the reset gate's gradient forgets h(t - 1)", "cpu", "gru.cl",
                    [("activate_backward_##S(RECURRENT_ACTIVATION, r, gradient * h)", "activate_backward_##S(RECURRENT_ACTIVATION, r, gradient)")],
                    fails: "gradient rnn.0.bias_ih_l0", at: "gru 0, gate r", passing: ["output logits", "gradient head.weight"]),
        KernelFault("the update gate's gradient has the wrong sign", "cpu", "gru.cl",
                    [("activate_backward_##S(RECURRENT_ACTIVATION, z, dh * (h - n))", "activate_backward_##S(RECURRENT_ACTIVATION, z, dh * (n - h))")],
                    fails: "gradient rnn.0.bias_hh_l0", at: "gru 0, gate z", passing: ["output logits", "gradient head.weight"]),
    ]

    static let rnn = [
        KernelFault("the gradient of the output replaces the carried one", "cpu", "rnn.cl", [("if (dy) dh += LOAD_##S(dy)", "if (dy) dh = LOAD_##S(dy)")],
                    fails: "gradient rnn.0.weight_hh_l0", at: "rnn 0", passing: ["output logits", "gradient head.weight"]),
    ]
}
