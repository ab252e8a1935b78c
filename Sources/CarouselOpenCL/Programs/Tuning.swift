import CarouselCore

/// How the work of the OpenCL kernels is cut: tiles, blocks and work-groups.
///
/// None of these numbers changes a result by a bit: every element is one chain of fma in the order of k however the
/// matrix is tiled. What does decide the order of a sum (slices of K, chunks of rows, widths of trees) is therefore
/// not here but follows from shapes alone.
public struct Tuning: TuningRow {
    /// What `CAROUSEL_TUNING` calls it.
    public var name: String

    /// gpu: edge of a tile of c (`TILE_M`, `TILE_N`) where a product has many tiles, and where it has few.
    var largeTile = 64
    var smallTile = 32
    /// gpu: k per slab in local memory (`TILE_K`): 4, 8 or 16.
    var tileDepth = 16
    /// gpu: work-items along an edge of a tile's group; divides both tiles.
    var tileGroup = 16
    /// Work-items per group of kernels over flat buffers.
    var vectorGroup = 128
    /// gpu: work-items per group along wide rows.
    var columnGroup = 64

    /// cpu: sequences a work-item takes through all steps (`BLOCK_ROWS`), a multiple of 8, the height of the register tile.
    var blockRows = 8
    /// cpu: rows of a product's block at most, a multiple of 8, and k of it (`BLOCK_K`).
    var productRows = 64
    var productDepth = 512

    /// One row per name. Measured on PoCL: blocks of 16 and 32 sequences were no faster than 8.
    public static let table = [
        Tuning(name: "default"),
        Tuning(name: "narrow", largeTile: 32, smallTile: 16, tileDepth: 8, tileGroup: 8, vectorGroup: 64, columnGroup: 16,
               blockRows: 16, productRows: 24, productDepth: 96),
        Tuning(name: "wide", largeTile: 128, smallTile: 64, tileDepth: 4, tileGroup: 16, vectorGroup: 256, columnGroup: 256,
               blockRows: 32, productRows: 128, productDepth: 2048),
    ]
}
