import CVector
import CarouselCore

/// How the CPU device cuts its work into pieces for the threads.
///
/// None of these numbers changes a result by a bit: an element of a product is one chain over k whatever block it
/// falls into. The pieces of sums (16,384 elements, 256 rows, the depth of a product) decide results and are fixed.
public struct CPUTuning: TuningRow {
    /// What `CAROUSEL_TUNING` calls it.
    public var name: String
    /// Rows and columns of a block of a matrix product.
    var productRows = 96
    var productColumns = 256
    /// Sequences a worker takes through all steps, and as many of a layer whose weights exceed the second-level cache.
    var blockRows = 16
    var largeBlockRows = 32

    /// One row per name.
    public static let table = [
        CPUTuning(name: "default"),
        CPUTuning(name: "narrow", productRows: 40, productColumns: 64, blockRows: 5, largeBlockRows: 12),
        CPUTuning(name: "wide", productRows: 192, productColumns: 1024, blockRows: 48, largeBlockRows: 64),
    ]

    /// As the C loops take it.
    var values: cvTuning {
        cvTuning(productRows: productRows, productColumns: productColumns, blockRows: blockRows, largeBlockRows: largeBlockRows)
    }
}
