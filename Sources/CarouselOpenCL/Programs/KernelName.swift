import CarouselCore

/// A kernel function and the file it is in: one spelling of each name.
struct KernelName: Hashable {
    /// What its program is made of, behind `common.cl` and `families.cl`; the last is its own.
    let files: [String]
    let function: String

    private init(_ file: String, _ function: String) {
        files = [file + ".cl"]
        self.function = function
    }

    /// A kernel compiled behind another file.
    private init(behind first: String, _ file: String, _ function: String) {
        files = [first + ".cl", file + ".cl"]
        self.function = function
    }

    /// A kernel that serves every cell, compiled behind the file of one.
    private init(_ cell: RecurrentCell.Kind, _ file: String, _ function: String) {
        files = [cell.rawValue + ".cl", "recurrent.cl", file + ".cl"]
        self.function = function
    }

    static let matmulTiled = KernelName("matmul", "matmul_tiled")
    static let matmulUnits = KernelName(behind: "matmul_units_slabs", "matmul_units", "matmul_units")
    static let matmulSumSlices = KernelName("matmul", "matmul_sum_slices")
    static let matmulPackPanels = KernelName("matmul", "matmul_pack_panels")
    static let matmulPackRows = KernelName("matmul", "matmul_pack_rows")
    static let matmulLong = KernelName("matmul_long", "matmul_long")
    static let matmulAddLong = KernelName("matmul_long", "matmul_add_long")
    static let matmulPanels = KernelName("matmul", "matmul_panels")

    static let fill = KernelName("vector", "vector_fill")
    static let copyColumns = KernelName("vector", "vector_copy_columns")
    static let multiply = KernelName("vector", "vector_multiply")
    static let storeOperands = KernelName("vector", "vector_store_operands")
    static let activate = KernelName("vector", "vector_activate")
    static let activateChunks = KernelName("vector", "vector_activate_chunks")
    static let activateBackward = KernelName("vector", "vector_activate_backward")
    static let activateBackwardChunks = KernelName("vector", "vector_activate_backward_chunks")
    static let dropout = KernelName("vector", "vector_dropout")
    static let dropoutRows = KernelName("vector", "vector_dropout_rows")
    static let combineBiases = KernelName("vector", "vector_combine_biases")

    static let gather = KernelName("embedding", "embedding_gather")
    static let sumBlocks = KernelName("embedding", "embedding_sum_blocks")
    static let sumSpans = KernelName("embedding", "embedding_sum_spans")
    static let segmentSumPanels = KernelName("embedding", "embedding_segment_sum_panels")
    static let scatterAdd = KernelName("embedding", "embedding_scatter_add")

    static let reduceRows = KernelName("reduce", "reduce_rows")
    static let reduceStrided = KernelName("reduce", "reduce_strided")
    static let reduceTree = KernelName("reduce", "reduce_tree")
    static let reduceRowPanels = KernelName("reduce", "reduce_row_panels")
    static let reduceChunks = KernelName("reduce", "reduce_chunks")

    static let rnnStep = KernelName("rnn", "rnn_step")
    static let rnnStepBackward = KernelName("rnn", "rnn_step_backward")
    static let rnnRows = KernelName("rnn", "rnn_rows")
    static let rnnRowsBackward = KernelName("rnn", "rnn_rows_backward")

    static let lstmStep = KernelName("lstm", "lstm_step")
    static let lstmStepBackward = KernelName("lstm", "lstm_step_backward")
    static let lstmRows = KernelName("lstm", "lstm_rows")
    static let lstmRowsBackward = KernelName("lstm", "lstm_rows_backward")

    static let gruStep = KernelName("gru", "gru_step")
    static let gruReset = KernelName("gru", "gru_reset")
    static let gruUpdate = KernelName("gru", "gru_update")
    static let gruStepBackward = KernelName("gru", "gru_step_backward")
    static let gruResetBackward = KernelName("gru", "gru_reset_backward")
    static let gruRows = KernelName("gru", "gru_rows")
    static let gruRowsBackward = KernelName("gru", "gru_rows_backward")

    static func recurrentForward(_ cell: RecurrentCell.Kind, _ function: RecurrentFunction) -> KernelName {
        KernelName(cell, "recurrent_forward", function == .pack ? "recurrent_pack" : "recurrent_forward_\(function.rawValue)")
    }

    static func recurrentBackward(_ cell: RecurrentCell.Kind, _ function: RecurrentFunction) -> KernelName {
        KernelName(cell, "recurrent_backward", function == .pack ? "recurrent_pack" : "recurrent_backward_\(function.rawValue)")
    }

    /// The kernels of the plans whose work-groups own units.
    enum RecurrentFunction: String { case pack, step, sequence }

    static let poolingMean = KernelName("pooling", "pooling_mean")
    static let poolingMax = KernelName("pooling", "pooling_max")
    static let poolingMeanRows = KernelName("pooling", "pooling_mean_rows")
    static let poolingMaxRows = KernelName("pooling", "pooling_max_rows")
    static let poolingMeanBackward = KernelName("pooling", "pooling_mean_backward")
    static let poolingMaxBackward = KernelName("pooling", "pooling_max_backward")

    static let lossSoftmax = KernelName("loss", "loss_softmax")
    static let lossSoftmaxRows = KernelName("loss", "loss_softmax_rows")
    static let lossSigmoid = KernelName("loss", "loss_sigmoid")

    static let clipNorm = KernelName("optimizer", "optimizer_clip_norm")
    static let scale = KernelName("optimizer", "optimizer_scale")
    static let adjustLossScale = KernelName("optimizer", "optimizer_adjust_loss_scale")
    static let clipValue = KernelName("optimizer", "optimizer_clip_value")
    static let sgd = KernelName("optimizer", "optimizer_sgd")
    static let adam = KernelName("optimizer", "optimizer_adam")
    static let rmsprop = KernelName("optimizer", "optimizer_rmsprop")
    static let adamRows = KernelName("adam_rows", "adam_rows")
    static let recordEvent = KernelName("adam_rows", "adam_rows_record")
    static let markRows = KernelName("adam_rows", "adam_rows_mark")
    static let average = KernelName("optimizer", "optimizer_average")
}
