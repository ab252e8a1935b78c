import CarouselCore

/// How a work-group of the gpu family adds up what its items have (`DEFINE_TREE` in `families.cl`). The order is the same either way.
struct Tree: Equatable {
    /// Work-items of a group that adds (`TREE_ITEMS`).
    static let items = 128

    /// Whether items of a sub-group read each other's registers instead of local memory.
    var hasSubGroups = false

    /// Of the programs that have a tree.
    var defines: KernelDefines { hasSubGroups ? ["SUB_GROUPS": 1] : [:] }
}

extension OpenCLBackend {
    /// Decides whether sums within work-groups use sub-groups: where the device offers cl_intel_subgroups, the kernel builds, and
    /// its sums are the bits of the one without. Otherwise `info` says why not.
    func findSubGroups() throws {
        guard family == .gpu, device.extensions.contains("cl_intel_subgroups"), device.largestWorkGroup >= Tree.items else { return }
        var random = SeededGenerator(seed: 21, purpose: 0)
        let x = try makeTensor((0..<1000).map { _ in Float(2 * random.uniform() - 1) }, shape: [1000])
        func norm(_ tree: Tree) throws -> Float {
            let sum = try makeTensor(shape: [1])
            try fill(sum, with: .nan)
            self.tree = tree
            try squaredNorm(of: x, into: sum, accumulate: false)
            return try readFloats(sum)[0]
        }
        do {
            let plain = try norm(Tree()), fast = try norm(Tree(hasSubGroups: true))
            if plain.bitPattern != fast.bitPattern {
                tree = Tree()
                note("sub-groups not used: a sum is \(fast) instead of \(plain)")
            }
        } catch let error as CarouselError where error.status == .internalError || error.status == .outOfMemory {
            tree = Tree()
            note("sub-groups not used: \(error.message.split(separator: "\n").first ?? "")")
        }
    }
}
