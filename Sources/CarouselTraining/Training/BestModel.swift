import CarouselCore
import CarouselNN

/// The weights of the best epoch so far, by the monitored number.
struct BestModel {
    private let monitor: Monitor
    private let store: ParameterStore
    /// Flat as the weights; undefined before the first epoch.
    let kept: Tensor
    /// nil before the first epoch.
    private(set) var best: BestEpoch?

    /// 1, 2, …; nil before the first epoch.
    var epoch: Int? { best?.epoch }
    var report: ClassificationReport? { best?.report }

    /// - Parameter best: of a training that is continued; the caller fills `kept`.
    init(monitor: Monitor, store: ParameterStore, best: BestEpoch? = nil) throws {
        self.monitor = monitor
        self.store = store
        self.best = best
        kept = try store.makeCompanion()
    }

    /// Keeps `weights` if the epoch is better than all before; without a validation part the latest is the best.
    mutating func offer(_ report: ClassificationReport?, epoch: Int, weights: Tensor) throws -> Bool {
        var offered = (-Double.infinity, -Double.infinity)
        if let report {
            let value = switch monitor {
            case .loss: -report.loss
            case .accuracy: report.accuracy
            case .macroF1: report.macroF1
            }
            // A small validation part gives the same accuracy often; then the loss tells which epoch is better.
            offered = (value.isNaN ? -.infinity : value, report.loss.isNaN ? -.infinity : -report.loss)
            // The first epoch always counts; one whose loss is not a number gives way to any other.
            if let best, offered <= (best.score, best.negativeLoss) { return false }
        }
        best = BestEpoch(epoch: epoch, report: report, score: offered.0, negativeLoss: offered.1)
        try Trainer.copy(weights, to: kept, on: store.backend)
        return true
    }

    /// Makes the best weights the store's.
    func restore() throws {
        if best != nil { try Trainer.copy(kept, to: store.weights, on: store.backend) }
    }
}
