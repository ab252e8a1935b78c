import CarouselCore

/// How products use matrix units.
struct MatrixUnits: Equatable {
    /// What `matmul_units` computes with.
    enum Instructions {
        /// NVIDIA's matrix units, on operands of the backend's precision.
        case sixteenBit
        /// The same on tf32 operands, which float32 ones are rounded to.
        case tf32
        /// Loops that compute the same, on any device.
        case emulated
    }

    var instructions: Instructions
    /// Whether slabs are copied asynchronously where `MatrixUnitsTile` says so; never changes a result.
    var copiesAhead = true
}

/// How the work-groups of `matmul_units` cut a product: its compile-time parameters.
struct MatrixUnitsTile {
    let tileM, tileN, warpsM, warpsN: Int
    /// Slabs in local memory when they are copied asynchronously; 0 = operands go through registers.
    let stages: Int

    /// One line per shape. Not measured on a GPU; what stages follow from:
    /// - tf32 operands take the same room in local memory either way, so nothing speaks against asynchronous copies. Three slabs of
    ///   128 x 128 are the 48 KB that OpenCL gives a group on NVIDIA's devices.
    /// - 16-bit operands copied as float32 are read from local memory in twice the bytes: for a warp's part of 64 x 32, three times as
    ///   long as the units of an H100 need for it (128 bytes and 2048 multiply-adds a cycle), on 16-bit slabs half of that. So they go through registers where many groups share an SM's
    ///   local memory, and are copied ahead in products of a time step, whose few groups wait for memory most of the time.
    private static let table: [ProductShape: (tileM: Int, tileN: Int, warpsM: Int, warpsN: Int, stages: (tf32: Int, sixteenBit: Int))] = [
        .rows16: (16, 64, 1, 4, (4, 4)), .rows32: (32, 64, 1, 4, (4, 4)), .rows64: (64, 64, 2, 2, (4, 4)),
        .medium: (64, 64, 2, 2, (4, 0)), .large: (128, 128, 2, 4, (3, 0)),
    ]

    /// - Parameter localMemory: of a work-group on this device, in bytes.
    init(_ shape: ProductShape, _ precision: Precision, copiesAhead: Bool, localMemory: Int) {
        let line = Self.table[shape] ?? (64, 64, 2, 2, (0, 0))
        (tileM, tileN, warpsM, warpsN) = (line.tileM, line.tileN, line.warpsM, line.warpsN)
        let wanted = copiesAhead ? precision == .float32 ? line.stages.tf32 : line.stages.sixteenBit : 0
        // A slab of both operands: 16 k of float32.
        let room = localMemory / ((tileM + tileN) * 16 * 4)
        stages = min(wanted, room) < 2 ? 0 : min(wanted, room)
    }

    var items: Int { 32 * warpsM * warpsN }

    func defines(isEmulated: Bool) -> KernelDefines {
        ["TILE_M": tileM, "TILE_N": tileN, "WARPS_M": warpsM, "WARPS_N": warpsN, "STAGES": stages, "EMULATED": isEmulated ? 1 : 0]
    }
}

extension OpenCLBackend {
    /// Decides whether products use matrix units: where they are wanted, the kernel builds and its results are right. Otherwise
    /// `info` says why not, and products are those of the plain kernel.
    /// - Throws: `badConfiguration` for a value that `CAROUSEL_MATRIX_UNITS` does not have.
    func findMatrixUnits(environment: [String: String]) throws {
        let setting = environment[EnvironmentSettings.matrixUnits.rawValue] ?? ""
        guard ["", "on", "off", "tf32", "emulated"].contains(setting) else {
            throw CarouselError(.badConfiguration, "\(EnvironmentSettings.matrixUnits.rawValue) is \"\(setting)\"", hint: "on, off, tf32 or emulated")
        }
        let isNVIDIA = device.vendor.lowercased().contains("nvidia")
        let wanted: MatrixUnits.Instructions
        switch (setting, precision) {
        case ("off", _), ("", .float32), ("on", .float32): return
        case ("emulated", _): wanted = .emulated
        case ("tf32", .float32): wanted = .tf32
        default: wanted = .sixteenBit
        }
        guard family == .gpu, isNVIDIA || wanted == .emulated else { return }
        // Where asynchronous copies are refused or wrong, the units may still be good without.
        for copiesAhead in [true, false] {
            let units = MatrixUnits(instructions: wanted, copiesAhead: copiesAhead)
            guard let reason = try reasonAgainst(units) else {
                matrixUnits = units
                break
            }
            note(copiesAhead ? "no asynchronous copies for matrix units: \(reason)" : "matrix units not used: \(reason)")
        }
        memory.trim(to: 0)
    }

    /// Why products cannot be computed so; nil = they can.
    private func reasonAgainst(_ units: MatrixUnits) throws -> String? {
        do {
            return try deviation(of: units)
        } catch let error as CarouselError where error.status == .internalError || error.status == .outOfMemory {
            // A device older than the instructions, or a driver that does not take them.
            return String(error.message.split(separator: "\n").first ?? "")
        }
    }

    /// Computes some products with and without matrix units; nil when they agree as well as their roundings allow.
    private func deviation(of units: MatrixUnits) throws -> String? {
        defer { matrixUnits = nil }
        // Edges on all sides with a sum in slices, and each shape that has a tile of its own; emulated ones build slowly.
        let sizes = [(40, 70, 550)] + (units.instructions == .emulated ? [] : [(16, 72, 600), (30, 64, 64), (70, 90, 150), (1540, 1412, 72)])
        for (m, n, k) in sizes {
            for form in 0..<4 {
                let (left, right) = (form & 2 != 0, form & 1 != 0)
                var random = SeededGenerator(seed: 9, purpose: UInt64(form))
                func numbers(_ shape: Shape) throws -> Tensor {
                    try makeTensor((0..<shape.count).map { _ in Float(2 * random.uniform() - 1) }, shape: shape)
                }
                let a = try numbers(left ? [k, m] : [m, k]), b = try numbers(right ? [n, k] : [k, n])
                func product(_ units: MatrixUnits?) throws -> [Float] {
                    let c = try makeTensor(shape: [m, n])
                    try fill(c, with: .nan)
                    matrixUnits = units
                    try multiply(MatrixProduct(a, transposeA: left, b, transposeB: right, into: c))
                    return try readFloats(c)
                }
                let plain = try product(nil), fast = try product(units)
                // The magnitudes of a sum are K / 4 on average; tf32 rounds each factor by up to 2^-11 of it.
                let isRounded = precision == .float32
                let tolerance = (isRounded ? 0x1p-10 : 0x1p-18) * Float(k)
                for (at, (x, y)) in zip(plain, fast).enumerated() where !(abs(x - y) <= tolerance) {
                    return "row \(at / n), column \(at % n) of \(m) x \(n) x \(k) is \(y) instead of \(x)"
                }
            }
        }
        return nil
    }
}
