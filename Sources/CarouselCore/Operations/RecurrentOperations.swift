/// The kind of a recurrent cell with its variants.
public struct RecurrentCell: Sendable, Codable, Hashable {
    public enum Kind: String, Sendable, Codable, CaseIterable { case rnn, lstm, gru }

    public var kind: Kind
    /// RNN: the cell's function. LSTM: of the candidate g and of c. GRU: of the candidate n.
    public var activation: Activation
    /// Of the gates i, f, o or r, z; unused by the RNN.
    public var recurrentActivation: Activation
    /// GRU: the reset gate multiplies the recurrent product (true: Cho et al. v3, cuDNN, Keras' default) or
    /// the state before it (false: Cho et al. 2014).
    public var resetAfter: Bool

    public init(_ kind: Kind, activation: Activation = .tanh, recurrentActivation: Activation = .sigmoid,
                resetAfter: Bool = true) {
        self.kind = kind
        self.activation = activation
        self.recurrentActivation = recurrentActivation
        self.resetAfter = resetAfter
    }

    /// G: blocks of H rows in the weights. LSTM i, f, g, o; GRU r, z, n; RNN one.
    public var gateCount: Int {
        switch kind {
        case .rnn: 1
        case .lstm: 4
        case .gru: 3
        }
    }
}

/// What a recurrent layer reads.
public enum RecurrentInput {
    /// [N, I]
    case dense(Tensor)
    /// Packed row n is `rows`[index.positions[n]]; rows [U, I]. The projection is computed once per
    /// distinct row, and gradients of `rows` are segment sums.
    case indexed(rows: Tensor, index: RowIndex)

    /// The rows that are projected: [N, I] or [U, I].
    public var values: Tensor {
        switch self {
        case .dense(let x): x
        case .indexed(let rows, _): rows
        }
    }

    /// I
    public var width: Int { values.shape[1] }
}

/// Weights of one direction of one layer, or their gradients. Gate order as in `RecurrentCell.gateCount`.
public struct RecurrentWeights {
    /// [G·H, I]
    public var wIH: Tensor
    /// [G·H, R], R = the width of h: H, or the projection's.
    public var wHH: Tensor
    /// [R, H], LSTM with projection only.
    public var wHR: Tensor?
    /// [G·H]
    public var bIH: Tensor?
    /// [G·H]. Matters apart from `bIH` only in a GRU with `resetAfter`, where its part of n is inside r ⊙ (…).
    public var bHH: Tensor?

    public init(wIH: Tensor, wHH: Tensor, wHR: Tensor? = nil, bIH: Tensor? = nil, bHH: Tensor? = nil) {
        self.wIH = wIH
        self.wHH = wHH
        self.wHR = wHR
        self.bIH = bIH
        self.bHH = bHH
    }

    /// R
    public var stateWidth: Int { wHH.shape[1] }
}

/// What a forward pass keeps for the backward pass. Made by the caller with these shapes, filled by the
/// backend; the backward pass may overwrite it.
public struct RecurrentActivations {
    /// [N, G·H] activated gates (RNN: h).
    public var gates: Tensor
    /// [N, R] what W_hh multiplied in each row: the state it started from, h(t − 1), times the pass's mask if it has one.
    public var previousH: Tensor
    /// [N, H] LSTM: c.
    public var c: Tensor?
    /// [N, H] GRU: W_hn h + b_hn if `resetAfter`, else r ⊙ h(t − 1), with the mask in h(t − 1).
    public var candidate: Tensor?
    /// [N, H] LSTM with projection: o ⊙ f(c).
    public var hidden: Tensor?
    /// Whether only the backend's backward pass reads them: then it may keep them in a form of its own, in fewer bytes. Their tensors
    /// then all have its `opaqueActivationType`, or all its scalar type.
    public var isOpaque = false

    /// Allocates what `cell` needs for `rows` packed rows.
    public init(cell: RecurrentCell, rows: Int, hidden width: Int, state: Int, projected: Bool, isOpaque: Bool = false,
                on backend: any Backend) throws {
        let type = isOpaque ? backend.opaqueActivationType(of: cell) : backend.scalarType
        gates = try backend.makeTensor(shape: [rows, cell.gateCount * width], type: type)
        previousH = try backend.makeTensor(shape: [rows, state], type: type)
        c = cell.kind == .lstm ? try backend.makeTensor(shape: [rows, width], type: type) : nil
        candidate = cell.kind == .gru ? try backend.makeTensor(shape: [rows, width], type: type) : nil
        hidden = projected ? try backend.makeTensor(shape: [rows, width], type: type) : nil
        self.isOpaque = isOpaque
    }

    public init(gates: Tensor, previousH: Tensor, c: Tensor?, candidate: Tensor?, hidden: Tensor?, isOpaque: Bool = false) {
        self.gates = gates
        self.previousH = previousH
        self.c = c
        self.candidate = candidate
        self.hidden = hidden
        self.isOpaque = isOpaque
    }
}

/// One direction of one recurrent layer over one packed batch. Time runs forward; a reversed direction is
/// the same call on rows permuted by `PackedLayout.reversedRows`.
///
/// Formulas (σ = recurrentActivation, f = activation, a = W_ih x + b_ih, u = W_hh h(t−1) + b_hh):
/// - RNN: h = f(a + u)
/// - LSTM (Hochreiter & Schmidhuber 1997, with forget gate of Gers et al. 2000): i, f, o = σ(a + u),
///   g = f(a + u), c = f ⊙ c(t−1) + i ⊙ g, h = o ⊙ f(c); with projection h = W_hr (o ⊙ f(c)) (Sak et al. 2014)
/// - GRU (Cho et al. 2014): r, z = σ(a + u), n = f(a_n + r ⊙ u_n) if `resetAfter`,
///   else n = f(a_n + W_hn (r ⊙ h(t−1)) + b_hn); h = z ⊙ h(t−1) + (1 − z) ⊙ n
///
/// With a mask m (recurrent dropout of Gal & Ghahramani 2016) every product with W_hh reads m ⊙ h(t−1): u = W_hh (m ⊙ h(t−1)) + b_hh,
/// and W_hn (r ⊙ m ⊙ h(t−1)). Nothing else does: not z ⊙ h(t−1), not y or the final states. Backward W_hhᵀ du is multiplied by m.
public struct RecurrentPass {
    public var cell: RecurrentCell
    public var layout: PackedLayout
    public var input: RecurrentInput
    public var weights: RecurrentWeights
    /// [B, R] initial state; nil = zero.
    public var h0: Tensor?
    /// [B, H] initial cell of an LSTM; nil = zero.
    public var c0: Tensor?
    /// [B, R] factors of h(t − 1) where it is multiplied by W_hh, the same in all steps of a sequence; nil = none. Only with `activations`.
    public var mask: Tensor?
    /// [N, R] out: h of every row.
    public var y: Tensor
    /// [B, R] out: the state after each sequence's last step (h0 if its length is 0).
    public var hT: Tensor
    /// [B, H] out, LSTM only.
    public var cT: Tensor?
    /// Filled in training; nil in inference.
    public var activations: RecurrentActivations?
    /// The steps this call takes; nil = all. Only in training, without a projection of the state, and where the backend's
    /// `wavefrontSteps` asked for it. Calls whose ranges follow each other from the first step to the last make up a forward
    /// pass, those from the last to the first a backward pass, with the same bits.
    public var steps: Range<Int>?
    /// [U, G·H] what the first of such calls leaves for the others, where the input is indexed.
    public var projection: Tensor?

    public init(cell: RecurrentCell, layout: PackedLayout, input: RecurrentInput, weights: RecurrentWeights,
                h0: Tensor? = nil, c0: Tensor? = nil, mask: Tensor? = nil, y: Tensor, hT: Tensor, cT: Tensor?,
                activations: RecurrentActivations?) {
        self.cell = cell
        self.layout = layout
        self.input = input
        self.weights = weights
        self.h0 = h0
        self.c0 = c0
        self.mask = mask
        self.y = y
        self.hT = hT
        self.cT = cT
        self.activations = activations
    }

    /// H
    public var hiddenWidth: Int { weights.wHH.shape[0] / cell.gateCount }
    /// The steps this call takes.
    public var stepRange: Range<Int> { steps ?? 0..<layout.layout.steps }
}

/// Gradients that flow through a `RecurrentPass`. In a pass of several calls `dhT` and `dcT` enter with the first, the running
/// gradients are kept in `dh0` and `dc0`, which must be there, each call makes the rows of its steps of a dense `dInput`, and the
/// last one all the rest.
public struct RecurrentGradients {
    /// [N, R] in; nil = zero.
    public var dy: Tensor?
    /// [B, R] in; nil = zero.
    public var dhT: Tensor?
    /// [B, H] in; nil = zero.
    public var dcT: Tensor?
    /// out: [N, I] for a dense input, [U, I] for an indexed one; nil = not wanted.
    public var dInput: Tensor?
    /// [B, R] out; nil = not wanted.
    public var dh0: Tensor?
    /// [B, H] out; nil = not wanted.
    public var dc0: Tensor?
    /// +=. A bias gradient is nil where the weight is nil or not trained.
    public var weights: RecurrentWeights
    /// Whether a device may make those of the weights aside (`OverlapOperations`): until the next `join` nobody reads or adds to
    /// them, and the activations and the input of the pass stay as they are.
    public var weightsAside: Bool

    public init(dy: Tensor?, dhT: Tensor? = nil, dcT: Tensor? = nil, dInput: Tensor?, dh0: Tensor? = nil,
                dc0: Tensor? = nil, weights: RecurrentWeights, weightsAside: Bool = false) {
        self.dy = dy
        self.dhT = dhT
        self.dcT = dcT
        self.dInput = dInput
        self.dh0 = dh0
        self.dc0 = dc0
        self.weights = weights
        self.weightsAside = weightsAside
    }
}

/// Recurrent layers over whole sequences.
public protocol RecurrentOperations {
    /// Whether opaque activations (`RecurrentActivations.isOpaque`) are kept in fewer bits than results have.
    var keepsCompactActivations: Bool { get }
    /// What the tensors of opaque activations of a cell hold: the scalar type, or `bits16`, where they are half as large.
    func opaqueActivationType(of cell: RecurrentCell) -> ElementType
    func recurrentForward(_ pass: RecurrentPass) throws
    /// Needs the `activations` of the forward call, and its `weights`, `input`, `h0`, `c0`, `mask` and `y` unchanged.
    func recurrentBackward(_ pass: RecurrentPass, into gradients: RecurrentGradients) throws
    /// The plan a layer of this size runs with and why, for `carousel summary`, e.g. "rows: 16-row blocks, weights packed".
    func recurrentPlan(cell: RecurrentCell, input: Int, hidden: Int, state: Int, batch: Int) -> String
}
