import CarouselCore

/// How the work of the OpenCL kernels is cut: tiles, blocks and work-groups.
///
/// None of these numbers changes a result by a bit: every element is one chain of fma in the order of k however the
/// matrix is tiled. What does decide the order of a sum (slices of K, chunks of rows, widths of trees) is therefore
/// not here but follows from shapes alone.
///
/// A device computes with the first row of `table`, then what `devices` says of devices like it, then what
/// `carousel tune` measured on it. `CAROUSEL_TUNING` names a row instead, and nothing else counts then.
public struct Tuning: TuningRow {
    /// What `CAROUSEL_TUNING` calls it.
    public var name: String

    /// gpu: how products of each shape are cut.
    var products: [ProductShape: ProductTile] = [
        .rows16: ProductTile(16, 32, 16, work: 4, 4), .rows32: ProductTile(32, 32, 16, work: 4, 4),
        .rows64: ProductTile(64, 32, 8, work: 8, 4), .medium: ProductTile(64, 64, 16, work: 4, 8),
        .large: ProductTile(128, 128, 8, work: 8, 8),
    ]
    /// Work-items per group of kernels over flat buffers.
    var vectorGroup = 128
    /// gpu: work-items per group along wide rows.
    var columnGroup = 64
    /// Queues that independent pieces of work share, at most `Lanes.pieces`; 1 = they run one after the other.
    var lanes = 4
    /// gpu: time steps of a chunk at least, where a stack of layers runs as a wavefront.
    var chunkSteps = 16

    /// cpu: sequences a work-item takes through all steps (`BLOCK_ROWS`), a multiple of 8, the height of the register tile.
    var blockRows = 8
    /// cpu: rows of a product's block at most, a multiple of 8, and k of it (`BLOCK_K`).
    var productRows = 64
    var productDepth = 512

    func tile(_ shape: ProductShape) -> ProductTile { products[shape] ?? ProductTile(64, 64, 16, work: 8, 8) }

    /// One row per name; the others are for tests, each different from the first in every size. Measured on PoCL: blocks of 16
    /// and 32 sequences were no faster than 8.
    public static let table = [
        Tuning(name: "default"),
        Tuning(name: "narrow",
               products: [.rows16: ProductTile(16, 64, 8, work: 4, 8, vector: 1), .rows32: ProductTile(32, 64, 8, work: 8, 4),
                          .rows64: ProductTile(32, 64, 8, work: 4, 8, buffers: 1), .medium: ProductTile(32, 32, 8, work: 4, 4, buffers: 1),
                          .large: ProductTile(64, 64, 8, work: 8, 8, buffers: 1, vector: 1)],
               vectorGroup: 64, columnGroup: 16, lanes: 2, chunkSteps: 3, blockRows: 16, productRows: 24, productDepth: 96),
        Tuning(name: "wide",
               products: [.rows16: ProductTile(16, 128, 32, work: 4, 4, buffers: 1), .rows32: ProductTile(32, 128, 32, work: 4, 8, buffers: 1),
                          .rows64: ProductTile(64, 64, 32, work: 8, 8, buffers: 1), .medium: ProductTile(64, 128, 32, work: 8, 4, buffers: 1),
                          .large: ProductTile(128, 64, 32, work: 8, 4, buffers: 1)],
               vectorGroup: 256, columnGroup: 256, lanes: 3, chunkSteps: 5, blockRows: 32, productRows: 128, productDepth: 2048),
    ]

    /// What is different on some devices: text that the vendor or the name contains, in lower case, and a choice. Later lines
    /// go before earlier ones. These follow from how many registers an item has (not measured on these devices); lines that
    /// `carousel tune` found can be added here.
    public static let devices: [(device: String, choice: TuningChoice)] = [
        // 128 registers of 32 bytes for eight or sixteen items: 64 sums per item do not fit beside the operands.
        ("intel", product(.large, ProductTile(64, 64, 8, work: 4, 8))),
        ("intel", product(.medium, ProductTile(32, 64, 8, work: 4, 8))),
        // Groups of 64 items in step, and fewer of them resident with many registers.
        ("advanced micro devices", product(.large, ProductTile(128, 64, 8, work: 8, 4))),
    ]

    private static func product(_ shape: ProductShape, _ tile: ProductTile) -> TuningChoice {
        TuningChoice(operation: Operation.product.rawValue, shape: shape.rawValue, sizes: tile.sizes)
    }
}

extension Tuning {
    /// What can be chosen.
    enum Operation: String, CaseIterable {
        /// gpu: products, by shape.
        case product
        /// cpu: products.
        case panels
        /// Kernels over flat buffers, and (gpu) over rows and columns.
        case vectors, columns
    }

    /// The choices that kernels of `family` follow, as they are here.
    func choices(_ family: OpenCLBackend.KernelFamily, _ precision: Precision) -> [TuningChoice] {
        let vectors = TuningChoice(operation: Operation.vectors.rawValue, sizes: ["GROUP": vectorGroup])
        switch family {
        case .gpu:
            return ProductShape.allCases.map {
                TuningChoice(operation: Operation.product.rawValue, shape: $0.rawValue, precision: precision, sizes: tile($0).sizes)
            } + [vectors, TuningChoice(operation: Operation.columns.rawValue, sizes: ["GROUP": columnGroup])]
        case .cpu:
            return [TuningChoice(operation: Operation.panels.rawValue, precision: precision, sizes: ["ROWS": productRows, "BLOCK_K": productDepth]), vectors]
        }
    }

    /// Takes a choice over; false where it is none of these or its sizes are outside what kernels have.
    mutating func apply(_ choice: TuningChoice) -> Bool {
        let sizes = choice.sizes
        func size(_ name: String, _ range: ClosedRange<Int>, multipleOf unit: Int) -> Int? {
            sizes[name].flatMap { range.contains($0) && $0 % unit == 0 ? $0 : nil }
        }
        switch Operation(rawValue: choice.operation) {
        case .product:
            guard let shape = ProductShape(rawValue: choice.shape), let tile = ProductTile(sizes: sizes) else { return false }
            products[shape] = tile
        case .panels:
            guard sizes.count == 2, let rows = size("ROWS", 8...1024, multipleOf: 8), let depth = size("BLOCK_K", 32...8192, multipleOf: 8) else { return false }
            (productRows, productDepth) = (rows, depth)
        case .vectors:
            guard sizes.count == 1, let group = size("GROUP", 16...1024, multipleOf: 16) else { return false }
            vectorGroup = group
        case .columns:
            guard sizes.count == 1, let group = size("GROUP", 16...1024, multipleOf: 16) else { return false }
            columnGroup = group
        case nil:
            return false
        }
        return true
    }

    /// Choices one step away from `choice`.
    static func neighbours(of choice: TuningChoice) -> [TuningChoice] {
        var all: [[String: Int]] = []
        if let tile = ProductTile(sizes: choice.sizes) {
            all = tile.neighbours.map(\.sizes)
        } else {
            for (name, value) in choice.sizes.sorted(by: { $0.key < $1.key }) {
                for other in [value * 2, value / 2] { all.append(choice.sizes.merging([name: other]) { $1 }) }
            }
        }
        return all.map { sizes in
            var other = choice
            other.sizes = sizes
            return other
        }.filter {
            var scratch = Tuning.table[0]
            return scratch.apply($0)
        }
    }
}
