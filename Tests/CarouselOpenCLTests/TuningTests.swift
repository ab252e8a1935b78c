import CarouselCore
@testable import CarouselOpenCL
import Foundation
import Testing

/// Rows of the tuning table cut the same work differently and give the same bits.
@Suite(.enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason)) struct TuningTests {
    /// Shapes with many tiles, with few, with slices of K, and with edges on all sides.
    @Test(arguments: OpenCLBackend.KernelFamily.allCases) func productsAreTheSameBits(family: OpenCLBackend.KernelFamily) throws {
        for (m, n, k, transposed) in [(1500, 1450, 17, true), (70, 41, 1100, true), (11, 70, 530, false)] {
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
        for size in [\Tuning.vectorGroup, \.columnGroup, \.blockRows, \.productRows, \.productDepth] {
            #expect(Set(rows.map { $0[keyPath: size] }).count == rows.count)
        }
        for shape in ProductShape.allCases { #expect(Set(rows.map { $0.tile(shape) }).count == rows.count, "\(shape)") }
        for row in rows {
            #expect(ProductShape.allCases.allSatisfy { row.products[$0]?.isValid == true })
            #expect(row.blockRows % 8 == 0 && row.productRows % 8 == 0)
        }
    }

    /// What decides the bits of a product is a function of its shape, and covers its sum without a gap.
    @Test func sumsAreCutByShape() {
        for (m, n, k) in [(1, 1, 0), (5, 17, 31), (16, 4096, 1024), (64, 4096, 1024), (64, 1024, 4096), (10, 256, 3200), (2048, 512, 6400), (4096, 4096, 4096),
                          (640, 650, 33), (65, 64, 100_000)] {
            let split = ProductSplit(m: m, n: n, k: k, largestWorkGroup: 1024)
            let cut = split.depth * split.parts
            #expect(split.depth % 16 == 0 && cut * split.slices >= k && (k == 0 || cut * (split.slices - 1) < k), "\(m) x \(n) x \(k)")
        }
        #expect(ProductSplit(m: 64, n: 4096, k: 1024, largestWorkGroup: 1024).parts == 4)
        #expect(ProductSplit(m: 4096, n: 4096, k: 4096, largestWorkGroup: 1024).shape == .large)
    }

    /// Tiles of a product are numbered without a gap, and only in dimensions that are long enough for them.
    @Test func tilesAreFolded() {
        for (m, n, tileM, tileN) in [(1, 1, 16, 32), (33, 65, 32, 32), (3_000_000, 40, 16, 32), (70, 5_000_000, 64, 32)] {
            let grid = ProductGrid(m: m, n: n, tileM: tileM, tileN: tileN, slices: 264)
            let columns = (n + tileN - 1) / tileN
            #expect(grid.tiles == (m + tileM - 1) / tileM * columns && grid.slices <= 65_535 && grid.tiles < Int(Int32.max))
            #expect(grid.origin(ofTile: 0) == (0, 0))
            #expect(grid.origin(ofTile: columns - 1) == (0, (columns - 1) * tileN))
            #expect(grid.origin(ofTile: columns) == (tileM, 0))
            let last = grid.origin(ofTile: grid.tiles - 1)
            #expect(last.row < m && last.row + tileM >= m && last.column < n && last.column + tileN >= n)
        }
    }

    /// Slabs of matrix units are copied ahead where local memory has room for two.
    @Test func slabsFitLocalMemory() {
        for memory in [16_384, 49_152, 65_536] {
            for shape in ProductShape.allCases {
                for precision in Precision.allCases {
                    let tile = MatrixUnitsTile(shape, precision, copiesAhead: true, localMemory: memory)
                    #expect((tile.stages == 0 || (2...4).contains(tile.stages)) && tile.stages * (tile.tileM + tile.tileN) * 64 <= memory)
                    #expect(MatrixUnitsTile(shape, precision, copiesAhead: false, localMemory: memory).stages == 0)
                }
            }
        }
        #expect(MatrixUnitsTile(.large, .float32, copiesAhead: true, localMemory: 49_152).stages == 3)
    }

    /// A device with little local memory or small work-groups gets tiles that fit.
    @Test func tilesFitTheDevice() throws {
        var device = try #require(OpenCLBackend.devices().devices.first)
        for (memory, group) in [(65_536, 1024), (49_152, 1024), (32_768, 256), (16_384, 128)] {
            (device.localMemory, device.largestWorkGroup) = (memory, group)
            for row in Tuning.table {
                for shape in ProductShape.allCases {
                    let parts = shape.rows == nil || group < 256 ? 1 : 4
                    let tile = row.tile(shape).fitted(parts: parts, operand: 4, device)
                    #expect(tile.isValid && tile.fits(parts: parts, operand: 4, device), "\(row.name) \(shape) \(memory)")
                }
            }
        }
    }
}
