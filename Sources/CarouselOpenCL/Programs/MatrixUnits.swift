import CarouselCore

/// What `matmul_units` computes with.
enum MatrixUnits: Equatable {
    /// NVIDIA's matrix units, on operands of the backend's precision.
    case sixteenBit
    /// The same on tf32 operands, which float32 ones are rounded to.
    case tf32
    /// Loops that compute the same, on any device.
    case emulated
}

/// How the work-groups of `matmul_units` cut a product: its compile-time parameters.
struct MatrixUnitsTile {
    let tileM, tileN, warpsM, warpsN: Int

    init(_ shape: ProductShape) {
        switch shape {
        case .rows16: (tileM, tileN, warpsM, warpsN) = (16, 64, 1, 4)
        case .rows32: (tileM, tileN, warpsM, warpsN) = (32, 64, 1, 4)
        case .rows64, .medium: (tileM, tileN, warpsM, warpsN) = (64, 64, 2, 2)
        case .large: (tileM, tileN, warpsM, warpsN) = (128, 128, 2, 4)
        }
    }

    var items: Int { 32 * warpsM * warpsN }

    func defines(isEmulated: Bool) -> KernelDefines {
        ["TILE_M": tileM, "TILE_N": tileN, "WARPS_M": warpsM, "WARPS_N": warpsN, "EMULATED": isEmulated ? 1 : 0]
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
        let wanted: MatrixUnits
        switch (setting, precision) {
        case ("off", _), ("", .float32), ("on", .float32): return
        case ("emulated", _): wanted = .emulated
        case ("tf32", .float32): wanted = .tf32
        default: wanted = .sixteenBit
        }
        guard family == .gpu, isNVIDIA || wanted == .emulated else { return }
        do {
            if let deviation = try deviation(of: wanted) {
                note("matrix units not used: \(deviation)")
            } else {
                matrixUnits = wanted
            }
        } catch let error as CarouselError where error.status == .internalError || error.status == .outOfMemory {
            // A device older than the instructions, or a driver that does not take them.
            let lines = error.message.split(separator: "\n")
            note("matrix units not used: \(lines.first ?? "")")
        }
        memory.trim(to: 0)
    }

    /// Computes some products with and without matrix units; nil when they agree as well as their roundings allow.
    private func deviation(of units: MatrixUnits) throws -> String? {
        defer { matrixUnits = nil }
        // Edges on all sides with a sum in slices, and each shape that has a tile of its own; emulated ones build slowly.
        let sizes = [(40, 70, 550)] + (units == .emulated ? [] : [(16, 72, 600), (30, 64, 64), (70, 90, 150), (1540, 1412, 72)])
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
