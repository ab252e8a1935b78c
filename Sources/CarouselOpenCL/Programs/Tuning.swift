import CarouselCore

/// How the work of the OpenCL kernels is cut: tiles, blocks and work-groups.
///
/// None of these numbers changes a result by a bit: every element is one chain of fma in the order of k however the
/// matrix is tiled. What does decide the order of a sum (slices of K, chunks of rows, widths of trees) is therefore
/// not here but follows from shapes alone.
public struct Tuning: TuningRow {
    /// What `CAROUSEL_TUNING` calls it.
    public var name: String

    /// gpu: how products of each shape are cut.
    var products: [ProductShape: ProductTile] = [
        .rows16: ProductTile(16, 32, 16, work: 4, 4), .rows32: ProductTile(32, 32, 16, work: 4, 4),
        .rows64: ProductTile(64, 32, 16, work: 8, 4, buffers: 1), .medium: ProductTile(64, 64, 16, work: 4, 8),
        .large: ProductTile(128, 128, 8, work: 8, 8),
    ]
    /// Work-items per group of kernels over flat buffers.
    var vectorGroup = 128
    /// gpu: work-items per group along wide rows.
    var columnGroup = 64

    /// cpu: sequences a work-item takes through all steps (`BLOCK_ROWS`), a multiple of 8, the height of the register tile.
    var blockRows = 8
    /// cpu: rows of a product's block at most, a multiple of 8, and k of it (`BLOCK_K`).
    var productRows = 64
    var productDepth = 512

    func tile(_ shape: ProductShape) -> ProductTile { products[shape] ?? ProductTile(64, 64, 16, work: 8, 8) }

    /// One row per name. Measured on PoCL: blocks of 16 and 32 sequences were no faster than 8.
    public static let table = [
        Tuning(name: "default"),
        Tuning(name: "narrow",
               products: [.rows16: ProductTile(16, 64, 8, work: 4, 8, vector: 1), .rows32: ProductTile(32, 64, 8, work: 8, 4),
                          .rows64: ProductTile(32, 64, 8, work: 4, 8, buffers: 1), .medium: ProductTile(32, 32, 8, work: 4, 4, buffers: 1),
                          .large: ProductTile(64, 64, 8, work: 8, 8, buffers: 1, vector: 1)],
               vectorGroup: 64, columnGroup: 16, blockRows: 16, productRows: 24, productDepth: 96),
        Tuning(name: "wide",
               products: [.rows16: ProductTile(16, 128, 32, work: 4, 4, buffers: 1), .rows32: ProductTile(32, 128, 32, work: 4, 8, buffers: 1),
                          .rows64: ProductTile(64, 64, 32, work: 8, 8, buffers: 1), .medium: ProductTile(64, 128, 32, work: 8, 4, buffers: 1),
                          .large: ProductTile(128, 64, 32, work: 8, 4, buffers: 1)],
               vectorGroup: 256, columnGroup: 256, blockRows: 32, productRows: 128, productDepth: 2048),
    ]
}
