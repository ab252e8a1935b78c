import CarouselCore
@testable import CarouselOpenCL
import Foundation
import Testing

/// Rows of the tuning table cut the same work differently and give the same bits.
@Suite(.enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason)) struct TuningTests {
    /// Shapes with many tiles, with few, with slices of K, and with edges on all sides.
    @Test(arguments: OpenCLBackend.KernelFamily.allCases) func productsAreTheSameBits(family: OpenCLBackend.KernelFamily) throws {
        for (m, n, k, transposed) in [(640, 650, 33, false), (70, 41, 1100, true), (9, 5, 3, true)] {
            var random = SeededGenerator(seed: 5, purpose: UInt64(m))
            let a = (0 ..< m * k).map { _ in Float(random.uniform() - 0.5) }, b = (0 ..< n * k).map { _ in Float(random.uniform() - 0.5) }
            var results: [[UInt32]] = []
            for tuning in Tuning.table {
                let backend = try DeviceSupport.backend(family, adding: ["CAROUSEL_TUNING": tuning.name, "CAROUSEL_KERNEL_CACHE": "on"])
                let c = try backend.makeTensor([Float](repeating: 0.25, count: m * n), shape: [m, n])
                try backend.multiply(MatrixProduct(
                    backend.makeTensor(a, shape: transposed ? [k, m] : [m, k]), transposeA: transposed,
                    backend.makeTensor(b, shape: transposed ? [n, k] : [k, n]), transposeB: transposed, into: c, accumulate: true))
                results.append(try backend.readFloats(c).map(\.bitPattern))
            }
            #expect(results.dropFirst().allSatisfy { $0 == results[0] }, "\(family.rawValue) \(m) x \(n) x \(k), transposed \(transposed)")
        }
    }

    @Test func rowsDifferInEverySize() {
        let rows = Tuning.table
        for size in [\Tuning.largeTile, \.smallTile, \.tileDepth, \.vectorGroup, \.columnGroup, \.blockRows, \.productRows, \.productDepth] {
            #expect(Set(rows.map { $0[keyPath: size] }).count == rows.count)
        }
        for row in rows {
            #expect(row.largeTile % row.tileGroup == 0 && row.smallTile % row.tileGroup == 0 && 16 % row.tileDepth == 0)
            #expect(row.blockRows % 8 == 0 && row.productRows % 8 == 0)
        }
    }
}
