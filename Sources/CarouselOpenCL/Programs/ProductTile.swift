import CarouselCore

/// Products the `gpu` family cuts differently, told apart by their shape alone.
public enum ProductShape: String, Sendable, Codable, CaseIterable {
    /// At most 16, 32 or 64 rows: a time step of a recurrence, a dense layer behind a pooling.
    case rows16, rows32, rows64
    /// More rows, but not enough tiles of 128 x 128 to fill a large device.
    case medium
    case large

    /// Rows up to which the tile of a shape for few rows reaches.
    var rows: Int? {
        switch self {
        case .rows16: 16
        case .rows32: 32
        case .rows64: 64
        case .medium, .large: nil
        }
    }
}

/// How the work-groups of `matmul_tiled` cut a product: its compile-time parameters. None changes a result.
public struct ProductTile: Sendable, Hashable {
    /// Rows and columns of c that a work-group makes (`TILE_M`, `TILE_N`): powers of two.
    public var tileM, tileN: Int
    /// k per slab in local memory (`TILE_K`): 8, 16 or 32.
    public var tileK: Int
    /// Rows and columns that a work-item makes (`WORK_M`, `WORK_N`): 4 or 8.
    public var workM, workN: Int
    /// Slabs in local memory (`BUFFERS`): 1 or 2.
    public var buffers: Int
    /// Floats per read of global memory (`VECTOR`): 1 or 4.
    public var vector: Int

    public init(_ tileM: Int, _ tileN: Int, _ tileK: Int, work workM: Int, _ workN: Int, buffers: Int = 2, vector: Int = 4) {
        (self.tileM, self.tileN, self.tileK) = (tileM, tileN, tileK)
        (self.workM, self.workN, self.buffers, self.vector) = (workM, workN, buffers, vector)
    }

    /// The kernel's parameters by name.
    var sizes: [String: Int] {
        ["TILE_M": tileM, "TILE_N": tileN, "TILE_K": tileK, "WORK_M": workM, "WORK_N": workN, "BUFFERS": buffers, "VECTOR": vector]
    }

    /// nil unless all parameters are there and the kernel has this form.
    init?(sizes: [String: Int]) {
        guard sizes.count == 7, let tileM = sizes["TILE_M"], let tileN = sizes["TILE_N"], let tileK = sizes["TILE_K"],
              let workM = sizes["WORK_M"], let workN = sizes["WORK_N"], let buffers = sizes["BUFFERS"], let vector = sizes["VECTOR"]
        else { return nil }
        self.init(tileM, tileN, tileK, work: workM, workN, buffers: buffers, vector: vector)
        guard isValid else { return nil }
    }

    /// Tiles that differ in one size, or in an edge and what an item makes of it.
    var neighbours: [ProductTile] {
        var result: [ProductTile] = []
        func add(_ change: (inout ProductTile) -> Void) {
            var tile = self
            change(&tile)
            if tile != self, tile.isValid { result.append(tile) }
        }
        add { $0.buffers = 3 - $0.buffers }
        add { ($0.buffers, $0.tileK) = (3 - $0.buffers, $0.buffers == 1 ? $0.tileK / 2 : $0.tileK * 2) }
        for twice in [false, true] {
            func scaled(_ value: Int) -> Int { twice ? value * 2 : value / 2 }
            add { $0.tileK = scaled($0.tileK) }
            add { $0.tileM = scaled($0.tileM) }
            add { $0.tileN = scaled($0.tileN) }
            add { $0.workM = scaled($0.workM) }
            add { $0.workN = scaled($0.workN) }
            add { ($0.tileM, $0.workM) = (scaled($0.tileM), scaled($0.workM)) }
            add { ($0.tileN, $0.workN) = (scaled($0.tileN), scaled($0.workN)) }
            add { ($0.tileM, $0.tileN) = (scaled($0.tileM), twice ? $0.tileN / 2 : $0.tileN * 2) }
        }
        add { $0.vector = 5 - $0.vector }
        return result
    }

    /// Work-items that share one part of a tile's sum.
    var items: Int { (tileM / workM) * (tileN / workN) }

    /// Whether the kernel has this form.
    var isValid: Bool {
        func isPowerOfTwo(_ value: Int) -> Bool { value > 0 && value & (value - 1) == 0 }
        return isPowerOfTwo(tileM) && isPowerOfTwo(tileN) && (16...256).contains(tileM) && (16...256).contains(tileN)
            && [8, 16, 32].contains(tileK) && [4, 8].contains(workM) && [4, 8].contains(workN) && [1, 2].contains(buffers)
            && [1, 4].contains(vector) && tileM / workM % 4 == 0 && tileN / workN % 8 == 0
    }

    /// Bytes of local memory for operands of `bytes` each in `parts` parts, or for a part's sums.
    func localBytes(parts: Int, operand bytes: Int) -> Int {
        max(parts * buffers * tileK * (tileM + tileN) * bytes, parts > 1 ? tileM * tileN * 4 : 0)
    }

    func fits(parts: Int, operand bytes: Int, _ device: OpenCLDeviceDescription) -> Bool {
        items * parts <= device.largestWorkGroup && localBytes(parts: parts, operand: bytes) <= device.localMemory
    }

    /// This tile, or the largest of some smaller ones that the device has room for.
    func fitted(parts: Int, operand bytes: Int, _ device: OpenCLDeviceDescription) -> ProductTile {
        var single = self
        single.buffers = 1
        let candidates = [self, single, ProductTile(32, 32, 8, work: 4, 4, buffers: 1)]
        return candidates.first { $0.fits(parts: parts, operand: bytes, device) } ?? ProductTile(16, 32, 8, work: 4, 4, buffers: 1)
    }
}

/// How the sum over k is cut, which decides its bits: by the shape of a product alone.
struct ProductSplit: Equatable {
    let shape: ProductShape
    /// Parts within a work-group (`PARTS`), and groups one behind the other, whose sums a second kernel adds.
    let parts: Int
    let slices: Int
    /// k of one part, a multiple of 16.
    let depth: Int

    /// Fewer k than this are not worth a work-group, or a part of one, of their own.
    private static let shortestSlice = 512, shortestMediumSlice = 256, shortestPart = 128

    /// - Parameter largestWorkGroup: of the device; where it is very small, groups have no parts.
    init(m: Int, n: Int, k: Int, largestWorkGroup: Int) {
        func tiles(_ height: Int, _ width: Int) -> Int { ((m + height - 1) / height) * ((n + width - 1) / width) }
        var parts = 1, slices = 1
        if m <= 64 {
            shape = m <= 16 ? .rows16 : m <= 32 ? .rows32 : .rows64
            // Few groups with a long way each: four parts of a sum at a time hide the latency of memory.
            if largestWorkGroup >= 256, k >= 4 * Self.shortestPart { parts = 4 }
            slices = min(k / (parts * Self.shortestPart), 128 / tiles(64, 32))
        } else {
            let large = tiles(128, 128), wanted = min(k / Self.shortestSlice, 264 / large)
            if n > 64, large * max(1, wanted) >= 132 {
                (shape, slices) = (.large, wanted)
            } else {
                (shape, slices) = (.medium, min(k / Self.shortestMediumSlice, 264 / tiles(64, 64)))
            }
        }
        let sums = max(1, slices) * parts
        depth = ((k + sums - 1) / sums + 15) / 16 * 16
        self.parts = parts
        self.slices = max(1, depth == 0 ? 1 : (k + depth * parts - 1) / (depth * parts))
    }
}

/// The work-groups of a tiled product. Tiles are numbered along the rows of c, all in dimension 0: the other dimensions of CUDA's grids
/// end at 65,535 groups, which tiles of 16 rows reach at a million rows.
struct ProductGrid: Equatable {
    private let columns: Int
    /// Groups of dimension 0: tiles of c.
    let tiles: Int
    /// Groups of dimension 2.
    let slices: Int
    private let tileM, tileN: Int

    init(m: Int, n: Int, tileM: Int, tileN: Int, slices: Int) {
        columns = (n + tileN - 1) / tileN
        tiles = (m + tileM - 1) / tileM * columns
        (self.slices, self.tileM, self.tileN) = (slices, tileM, tileN)
    }

    /// The first row and column of a tile, as the kernels compute them from the number of their group.
    func origin(ofTile tile: Int) -> (row: Int, column: Int) { (tile / columns * tileM, tile % columns * tileN) }
}
