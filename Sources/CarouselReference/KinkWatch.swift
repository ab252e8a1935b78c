import CarouselCore

/// Remembers how close a computation of the reference came to a kink: an argument of relu or hard sigmoid to the
/// place where its slope jumps, the two largest values under a maximum to each other. Within rounding of a kink two
/// devices may take different sides, and their gradients then differ without an error.
public final class KinkWatch {
    /// The smallest distance seen; infinite where there are no kinks.
    public private(set) var smallest = Double.infinity

    private let isEverywhere: Bool

    /// - Parameter everywhere: also single activations and maxima. Where a single operation gets the same numbers on
    ///   both sides there is no doubt about them; within a model they are results of other operations.
    public init(everywhere: Bool) { isEverywhere = everywhere }

    /// Arguments of an element-wise activation.
    func observe(_ activation: Activation, _ x: Doubles, count: Int) {
        let kinks = isEverywhere ? Self.kinks(of: activation) : []
        guard !kinks.isEmpty else { return }
        for i in 0..<count { near(x[i], kinks) }
    }

    /// The two largest different values under a maximum over time. Equal ones are no doubt: the earliest wins.
    func observe(largest: Double, next: Double) {
        if isEverywhere, next.isFinite, next != largest { smallest = min(smallest, largest - next) }
    }

    /// Called after a cell's forward step, while a and u still hold that step.
    func observe(_ cell: ReferenceCell, _ step: CellStep) {
        let f = Self.kinks(of: cell.cell.activation), σ = Self.kinks(of: cell.cell.recurrentActivation)
        guard !f.isEmpty || !σ.isEmpty else { return }
        let H = cell.hiddenWidth
        for j in 0..<H {
            switch cell.cell.kind {
            case .rnn:
                near(cell.a[j] + cell.u[j], f)
            case .lstm:
                for gate in [0, 1, 3] { near(cell.a[gate * H + j] + cell.u[gate * H + j], σ) }
                near(cell.a[2 * H + j] + cell.u[2 * H + j], f)
                // The sign of c is in doubt only where its two terms nearly cancel, however small it is.
                let kept = step.gates[H + j] * step.previousC[j], added = step.gates[j] * step.gates[2 * H + j]
                if kept != 0 || added != 0 { near((kept + added) / (abs(kept) + abs(added)), f) }
            case .gru:
                for gate in [0, 1] { near(cell.a[gate * H + j] + cell.u[gate * H + j], σ) }
                near(cell.a[2 * H + j] + cell.recurrentPartOfCandidate(step, j), f)
            }
        }
    }

    private func near(_ x: Double, _ kinks: [Double]) {
        for kink in kinks { smallest = min(smallest, abs(x - kink)) }
    }

    private static func kinks(of activation: Activation) -> [Double] {
        switch activation {
        case .relu: [0]
        case .hardSigmoid: [-3, 3]
        case .linear, .tanh, .sigmoid: []
        }
    }
}
