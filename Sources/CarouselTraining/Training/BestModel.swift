import CarouselCore
import CarouselNN

/// The weights of the best epoch so far, by the monitored number.
struct BestModel {
    private let monitor: Monitor
    private let store: ParameterStore
    private let kept: Tensor
    /// The monitored number, larger is better, and among equals the negative loss.
    private var score = (-Double.infinity, -Double.infinity)
    /// 1, 2, …; nil before the first epoch.
    private(set) var epoch: Int?
    private(set) var report: ClassificationReport?

    init(monitor: Monitor, store: ParameterStore) throws {
        self.monitor = monitor
        self.store = store
        kept = try store.makeCompanion()
    }

    /// Keeps `weights` if the epoch is better than all before; without a validation part the latest is the best.
    mutating func offer(_ report: ClassificationReport?, epoch: Int, weights: Tensor) throws -> Bool {
        if let report {
            let value = switch monitor {
            case .loss: -report.loss
            case .accuracy: report.accuracy
            case .macroF1: report.macroF1
            }
            // A small validation part gives the same accuracy often; then the loss tells which epoch is better.
            let offered = (value.isNaN ? -.infinity : value, report.loss.isNaN ? -.infinity : -report.loss)
            // The first epoch always counts; one whose loss is not a number gives way to any other.
            guard self.epoch == nil || offered > score else { return false }
            score = offered
        }
        self.epoch = epoch
        self.report = report
        try Trainer.copy(weights, to: kept, on: store.backend)
        return true
    }

    /// Makes the best weights the store's.
    func restore() throws {
        if epoch != nil { try Trainer.copy(kept, to: store.weights, on: store.backend) }
    }
}
