import CarouselCore
import CarouselNN

/// The host memory an audit takes, estimated before anything of the model is made.
///
/// The reference computes in double precision and an audit holds several copies of the model, so it may need more than
/// the training itself.
struct AuditMemory {
    /// Bytes, roughly.
    let needed: Double
    private let parameters: Double

    /// Arrays as long as all parameters at the same time, in Doubles: two references with gradients and moments, a device
    /// in float32, and what is read from them. Measured: 22 on the CPU.
    static let copies = 28.0

    init(_ audited: AuditCase) {
        self.init(audited.model, input: audited.input, classes: audited.classes, rows: audited.batch.layout.rows)
    }

    /// - Parameter rows: time steps of all sequences of the batch.
    init(_ model: ModelConfiguration, input: ModelInput, classes: Int, rows: Int) {
        let work = ModelWork(model, input: input, classes: classes)
        parameters = work.parameters
        // Values and their gradients on the reference, its copy with noise and the device.
        needed = 8 * (Self.copies * work.parameters + 6 * work.activations * Double(rows))
    }

    /// What the host has, or less where `CAROUSEL_MEMORY` says so; 0 = unknown.
    /// - Throws: `usage` for a value that is no size.
    static func available() throws -> Int {
        let host = HostMemory.available
        guard let limit = try EnvironmentSettings.bytes(.memory) else { return host }
        return host > 0 ? min(host, limit) : limit
    }

    /// Says what is missing; nil where `available` bytes are enough or unknown.
    func problem(available: Int) -> String? {
        guard available > 0, needed > Double(available) else { return nil }
        let bytes = Int(min(needed, 1e18))
        return "an audit of \(Int(min(parameters, 1e18))) parameters in double precision needs about \(MemoryPlan.text(bytes)) "
            + "of memory, \(MemoryPlan.text(available)) are available"
    }

    /// - Throws: `outOfMemory`
    func check(available: Int, at subject: String) throws {
        guard let problem = problem(available: available) else { return }
        throw CarouselError(.outOfMemory, problem, at: subject,
                            hint: "the same layers with fewer units (--set model.layers…), fewer --rows and --steps, or a machine with more memory")
    }
}
