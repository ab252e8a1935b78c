import CarouselCore

/// A product whose operands may be columns of wider matrices: rows are `strideA`, `strideB`, `strideC` apart.
struct StridedProduct {
    var a: Tensor
    var strideA: Int
    var transposeA = false
    var b: Tensor
    var strideB: Int
    var transposeB = false
    var bias: Tensor? = nil
    var c: Tensor
    var strideC: Int
    var m: Int
    var n: Int
    var k: Int
    var accumulate = false
    /// Rows of the whole product where this is a part of it: the sums are cut as in that.
    var wholeM: Int? = nil

    /// Which operands lie in memory as they are rounded to; nil = none.
    var storedOperands: KernelDefines? {
        let isStored = (a: a.type == .bits16, b: b.type == .bits16)
        return isStored.a || isStored.b ? ["STORED_A": isStored.a ? 1 : 0, "STORED_B": isStored.b ? 1 : 0] : nil
    }
}

/// A right operand [K, N] in panels of 32 columns, ready for the `cpu` family.
struct PackedPanels {
    let panels: Tensor
    let k: Int
    let n: Int
}

/// How Kernels/matmul_long.cl is cut. No size depends on how many rows there are, so that fewer never need more memory.
private enum LongProduct {
    /// Columns of the narrower operand (`LONG_ROWS`) and of the wider one that an item takes, and its rows at a time.
    static let rows = 128, columns = 256, depth = 256
    /// Of the rows, at most: enough for the cores of a large machine.
    static let slices = 32
}

extension Tensor {
    /// The elements from `offset` on, as a flat view.
    func dropping(_ offset: Int) -> Tensor {
        let start = min(offset, count)
        return Tensor(buffer: buffer, offset: self.offset + start, shape: [count - start])
    }
}

extension OpenCLBackend {
    public func multiply(_ p: MatrixProduct) throws {
        try Requirements.product(p)
        try multiply(StridedProduct(a: p.a, strideA: p.a.shape[1], transposeA: p.transposeA,
                                    b: p.b, strideB: p.b.shape[1], transposeB: p.transposeB, bias: p.bias,
                                    c: p.c, strideC: p.n, m: p.m, n: p.n, k: p.k, accumulate: p.accumulate))
    }

    func multiply(_ p: StridedProduct) throws {
        guard p.m > 0, p.n > 0 else { return }
        switch family {
        case .gpu: try multiplyTiled(p)
        case .cpu where p.transposeA && !p.transposeB && p.bias == nil && p.k >= 8 * min(p.m, p.n):
            try multiplyLong(p)
        case .cpu: try multiply(p, panels: pack(p.b, stride: p.strideB, transpose: p.transposeB, k: p.k, n: p.n))
        }
    }

    /// The sum over k is cut by the shape alone, never by the tuned tiles, so that results do not depend on them.
    private func multiplyTiled(_ p: StridedProduct) throws {
        let split = ProductSplit(m: p.wholeM ?? p.m, n: p.n, k: p.k, largestWorkGroup: device.largestWorkGroup)
        let tile = tuning.tile(split.shape).fitted(parts: split.parts, operand: precision.byteCount, device)
        // Matrix units are so fast that groups need no parts: what would be one is a group of its own.
        let stored = p.storedOperands
        // Copies ahead bring float32.
        let units = matrixUnits.map {
            MatrixUnitsTile(split.shape, precision, copiesAhead: $0.copiesAhead && stored == nil, localMemory: device.localMemory)
        }
        let kernel: KernelName = units == nil ? .matmulTiled : .matmulUnits
        let tiled = units?.defines(isEmulated: matrixUnits?.instructions == .emulated) ?? KernelDefines(tile.sizes.merging(["PARTS": split.parts]) { $1 })
        let defines = stored.map { tiled + $0 } ?? tiled
        let items = units?.items ?? tile.items, parts = units == nil ? split.parts : 1
        let (tileM, tileN) = units.map { ($0.tileM, $0.tileN) } ?? (tile.tileM, tile.tileN)
        let slices = units == nil ? split.slices : max(1, split.depth == 0 ? 1 : (p.k + split.depth - 1) / split.depth)
        let grid = ProductGrid(m: p.m, n: p.n, tileM: tileM, tileN: tileN, slices: slices)
        let target = slices > 1 ? try makeTensor(shape: [slices, p.m, p.n]) : p.c
        try launch(kernel, defines, global: (grid.tiles * items, 1, grid.slices * parts), local: (items, 1, parts),
                   [.tensor(p.a), .int(p.strideA), .tensor(p.b), .int(p.strideB),
                    .optional(slices > 1 ? nil : p.bias), .tensor(target), .int(slices > 1 ? p.n : p.strideC),
                    .int(p.m), .int(p.n), .int(p.k), .flag(slices > 1 ? false : p.accumulate), .int(split.depth),
                    .flag(p.transposeA), .flag(p.transposeB)])
        guard slices > 1 else { return }
        try launch(.matmulSumSlices, columns: p.n, rows: p.m,
                   [.tensor(target), .int(slices), .optional(p.bias), .tensor(p.c), .int(p.strideC), .int(p.m),
                    .int(p.n), .flag(p.accumulate)])
    }

    /// The same for all kernels of the cpu family's product, so that they are one program.
    private var panelDefines: KernelDefines { ["BLOCK_K": tuning.productDepth] }

    /// Packs op(b) [K, N] for `multiply(_:panels:)` and the recurrent `rows` plan.
    func pack(_ b: Tensor, stride: Int, transpose: Bool, k: Int, n: Int) throws -> PackedPanels {
        let panels = try makeTensor(shape: [(n + 31) / 32, k, 32])
        try launch(.matmulPackPanels, panelDefines, global: ((n + 31) / 32, (k + 63) / 64, 1),
                   [.tensor(b), .int(stride), .flag(transpose), .int(k), .int(n), .tensor(panels)])
        return PackedPanels(panels: panels, k: k, n: n)
    }

    /// a^T b over many rows, the shape of every weight gradient: slices of the rows side by side, then their sum. The narrower
    /// operand needs the transposed copy, so it is the left one, and the result may come out transposed.
    private func multiplyLong(_ p: StridedProduct) throws {
        let flips = p.m > p.n, (m, n) = flips ? (p.n, p.m) : (p.m, p.n)
        let (narrow, wide) = flips ? ((p.b, p.strideB), (p.a, p.strideA)) : ((p.a, p.strideA), (p.b, p.strideB))
        // Decided by the shape alone, since it is the order of the sums. Writing them costs at most a quarter of reading the operands.
        let slices = max(1, min(LongProduct.slices, p.k / LongProduct.depth, p.k * (m + n) / (4 * m * n)))
        let slice = (p.k + slices - 1) / slices, blocks = (m + LongProduct.rows - 1) / LongProduct.rows
        let width = min(LongProduct.columns, (n + 31) / 32 * 32)
        let items = (x: (n + width - 1) / width, y: blocks, z: (p.k + slice - 1) / slice)
        let area = try makeTensor(shape: [items.x * items.y * items.z, LongProduct.depth * (min(LongProduct.rows, (m + 7) / 8 * 8) + 32)])
        let sums = try makeTensor(shape: [items.z, m, n])
        try launch(.matmulLong, ["LONG_K": LongProduct.depth], global: (items.x, items.y, items.z),
                   [.tensor(narrow.0), .int(narrow.1), .tensor(wide.0), .int(wide.1), .tensor(area), .tensor(sums),
                    .int(m), .int(n), .int(p.k), .int(slice), .int(width)])
        try launch(.matmulAddLong, ["LONG_K": LongProduct.depth], global: ((n + 31) / 32, (m + 31) / 32, 1),
                   [.tensor(sums), .int(items.z), .tensor(p.c), .int(p.strideC), .int(m), .int(n), .flag(flips), .flag(p.accumulate)])
    }

    /// The columns of a transposed left operand in panels of 8.
    private func packRows(_ p: StridedProduct) throws -> Tensor {
        let rows = try makeTensor(shape: [(p.m + 7) / 8, p.k, 8])
        try launch(.matmulPackRows, panelDefines, global: ((p.m + 63) / 64, (p.k + 63) / 64, 1),
                   [.tensor(p.a), .int(p.strideA), .int(p.k), .int(p.m), .tensor(rows)])
        return rows
    }

    private func multiply(_ p: StridedProduct, panels: PackedPanels) throws {
        let a = try p.transposeA ? packRows(p) : p.a
        let block = tuning.productRows
        // Wider items read a less often, as long as every compute unit has a few. Each element is one chain
        // of fma however the work is cut, so this does not change results.
        let groups = (p.m + block - 1) / block
        // Equal shares of whole tiles: a device may hand out all items of one row of items together.
        let height = ((p.m + groups - 1) / groups + 7) / 8 * 8
        var width = 32
        while width < 256, width < p.n, groups * ((p.n + 2 * width - 1) / (2 * width)) >= 4 * device.computeUnits {
            width *= 2
        }
        try launch(.matmulPanels, panelDefines, global: ((p.n + width - 1) / width, groups, 1),
                   [.tensor(a), .int(p.strideA), .flag(p.transposeA), .tensor(panels.panels), .optional(p.bias),
                    .tensor(p.c), .int(p.strideC), .int(p.m), .int(p.n), .int(p.k), .flag(p.accumulate), .int(width), .int(height)])
    }

    public func columnSums(of x: Tensor, into sums: Tensor, accumulate: Bool) throws {
        try Requirements.check(x.shape.rank == 2 && sums.count == x.shape[1], "column sums", ["x": x, "sums": sums])
        try columnSums(of: x, rows: x.shape[0], columns: x.shape[1], stride: x.shape[1], into: sums,
                       accumulate: accumulate)
    }

    /// Passes of 64 rows each until one row is left.
    func columnSums(of x: Tensor, rows: Int, columns: Int, stride: Int, into sums: Tensor, accumulate: Bool) throws {
        guard rows > 0 else {
            if !accumulate { try fill(sums, with: 0) }
            return
        }
        let chunk = 64
        var source = x, height = rows, step = stride
        while true {
            let next = (height + chunk - 1) / chunk
            let last = next == 1
            let target = last ? sums : try makeTensor(shape: [next, columns])
            let arguments: [KernelArgument] = [.tensor(source), .count(height), .int(columns), .int(step), .int(chunk),
                                               .tensor(target), .flag(last && accumulate)]
            switch family {
            case .gpu: try launch(.reduceRows, source.type == .bits16 ? ["STORED": 1] : [:], columns: columns, rows: next, arguments)
            case .cpu: try launch(.reduceRowPanels, global: ((columns + 63) / 64, next, 1), arguments)
            }
            if last { return }
            source = target
            height = next
            step = columns
        }
    }
}
