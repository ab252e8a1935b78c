import CarouselCore
import Foundation

/// The plans of a device: a family of kernels, and for recurrent layers in the gpu family one of theirs.
extension OpenCLBackend {
    /// The plans a device offers, by `plan`: the one it runs when nothing is said comes first.
    /// - Throws: as `init(device:)`.
    public static func plans(device index: Int, precision: Precision = .float32) throws -> [String] {
        let forced = RecurrentPlan.allCases.map { plan(.gpu, $0, precision) }
        // Where gpu kernels run only if asked for, nothing is gained by choosing among their plans.
        return try find(index).description.type == .cpu ? [plan(.cpu, nil, precision)] + forced
            : [plan(.gpu, nil, precision)] + forced + [plan(.cpu, nil, precision)]
    }

    /// The device with a plan of that name.
    /// - Returns: nil for a name that is none.
    /// - Throws: as `init(device:)`.
    public convenience init?(device index: Int, plan: String, precision: Precision = .float32) throws {
        let choices: [(KernelFamily, RecurrentPlan?)] = [(.cpu, nil), (.gpu, nil)] + RecurrentPlan.allCases.map { (.gpu, $0) }
        guard let (family, recurrent) = choices.first(where: { Self.plan($0, $1, precision) == plan }) else { return nil }
        // The name decides, not the environment.
        var environment = ProcessInfo.processInfo.environment
        environment[EnvironmentSettings.recurrentPlan.rawValue] = nil
        try self.init(device: index, cacheDirectory: nil, environment: environment, family: family, recurrentPlan: recurrent, precision: precision)
    }

    static func plan(_ family: KernelFamily, _ recurrent: RecurrentPlan?, _ precision: Precision) -> String {
        precision.named(family.plan + (family == .gpu ? recurrent.map { ", \($0.title)" } ?? "" : ""))
    }
}
