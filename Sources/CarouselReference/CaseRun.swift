import CarouselCore

/// One case on one backend: makes its tensors, each between guard zones, and collects its results.
///
/// The body of a case runs once on the device and once on the reference with equal seeds, so both draw the
/// same inputs. Inputs are rounded to float32 on both sides: the rounding of inputs is not judged.
final class CaseRun {
    enum Role { case input, output, inPlace, scratch }

    private struct Guarded {
        let name: String
        let tensor: Tensor
        let front: Int
        let role: Role
        /// The contents the buffer started with, guards included.
        let start: [Double]
        let meaning: IndexMeaning
        let tolerance: Double
        let smallestScale: Double
        let sameZeros: Bool
        var recorded = false
    }

    /// Exact in float32 and no result of any case.
    private static let guardValue = 987_654.0
    /// The same for 16 bits.
    private static let guardBits = 43_021.0
    private static let back = 19
    /// Not multiples of a vector: views at any offset are legal.
    private static let fronts = [3, 64, 17, 33, 1, 128]

    let backend: any Backend
    private let guardedEnds: Bool
    var generator: SeededGenerator
    private var tensors: [Guarded] = []
    private(set) var records: [CaseRecord] = []
    /// Writes outside a tensor, or to an input.
    private(set) var violations: [String] = []

    init(on backend: any Backend, seed: UInt64, guardedEnds: Bool) {
        self.backend = backend
        self.guardedEnds = guardedEnds
        generator = SeededGenerator(seed: seed)
    }

    /// Of states and gradients of recurrent layers.
    var recurrentTolerance: Double { Tolerance.recurrent(backend.precision) }

    // MARK: drawing

    /// `count` numbers in −scale … scale, plus `center`.
    func draw(_ count: Int, scale: Double = 1, center: Double = 0) -> [Double] {
        (0..<count).map { _ in center + scale * (2 * generator.uniform() - 1) }
    }

    func drawIntegers(_ count: Int, below limit: Int) -> [Int32] {
        (0..<count).map { _ in Int32(generator.uniform() * Double(limit)) }
    }

    // MARK: tensors

    func input(_ name: String, _ shape: Shape, scale: Double = 1, center: Double = 0) throws -> Tensor {
        try make(name, draw(shape.count, scale: scale, center: center), shape, .input)
    }

    func input(_ name: String, _ values: [Double], _ shape: Shape) throws -> Tensor { try make(name, values, shape, .input) }

    func integers(_ name: String, _ values: [Int32], _ shape: Shape) throws -> Tensor {
        try make(name, values.map(Double.init), shape, .input, type: .int32)
    }

    /// Starts as NaN and must be overwritten completely.
    func output(_ name: String, _ shape: Shape, _ tolerance: Double, _ meaning: IndexMeaning = .element,
                smallestScale: Double = 1e-3, sameZeros: Bool = false) throws -> Tensor {
        try make(name, [Double](repeating: .nan, count: shape.count), shape, .output, tolerance: tolerance,
                 meaning: meaning, smallestScale: smallestScale, sameZeros: sameZeros)
    }

    /// Starts as a number that nothing computes, and must equal the reference's integers.
    func integerOutput(_ name: String, _ shape: Shape, _ meaning: IndexMeaning = .element) throws -> Tensor {
        try make(name, [Double](repeating: -77, count: shape.count), shape, .output, type: .int32,
                 tolerance: Tolerance.exact, meaning: meaning)
    }

    /// A result that is added to, or NaN at the start if it is not.
    func result(_ name: String, _ shape: Shape, accumulate: Bool, _ tolerance: Double,
                _ meaning: IndexMeaning = .element) throws -> Tensor {
        accumulate ? try accumulator(name, shape, tolerance, meaning) : try output(name, shape, tolerance, meaning)
    }

    /// Starts at a known number and is added to.
    func accumulator(_ name: String, _ shape: Shape, _ tolerance: Double, _ meaning: IndexMeaning = .element,
                     smallestScale: Double = 1e-3) throws -> Tensor {
        try make(name, [Double](repeating: 0.25, count: shape.count), shape, .inPlace, tolerance: tolerance,
                 meaning: meaning, smallestScale: smallestScale)
    }

    /// Read and written.
    func inPlace(_ name: String, _ values: [Double], _ shape: Shape, _ tolerance: Double,
                 _ meaning: IndexMeaning = .element, sameZeros: Bool = false) throws -> Tensor {
        try make(name, values, shape, .inPlace, tolerance: tolerance, meaning: meaning, sameZeros: sameZeros)
    }

    /// Integers that are read and written.
    func integersInPlace(_ name: String, _ values: [Int32], _ shape: Shape) throws -> Tensor {
        try make(name, values.map(Double.init), shape, .inPlace, type: .int32, tolerance: Tolerance.exact)
    }

    /// Written and read by the backend alone: only what lies around it is judged.
    func scratch(_ name: String, _ shape: Shape, type: ElementType? = nil) throws -> Tensor {
        try make(name, [Double](repeating: type == .bits16 ? 65_535 : .nan, count: shape.count), shape, .scratch, type: type)
    }

    private func make(_ name: String, _ values: [Double], _ shape: Shape, _ role: Role, type: ElementType? = nil,
                      tolerance: Double = 0, meaning: IndexMeaning = .element, smallestScale: Double = 1e-3,
                      sameZeros: Bool = false) throws -> Tensor {
        let front = Self.fronts[tensors.count % Self.fronts.count]
        let edge = [Double](repeating: type == .bits16 ? Self.guardBits : Self.guardValue, count: max(front, Self.back))
        let contents = edge.prefix(front) + values.map { Double(Float($0)) } + edge.prefix(guardedEnds ? Self.back : 0)
        let whole = try backend.makeTensor(shape: [contents.count], type: type)
        switch type {
        case .int32: try backend.write(contents.map { Int32($0) }, to: whole)
        case .bits16: try contents.map { UInt16($0) }.withUnsafeBytes { try backend.write($0, to: whole) }
        default: try backend.write(Array(contents), to: whole)
        }
        let tensor = Tensor(buffer: whole.buffer, offset: front, shape: shape)
        tensors.append(Guarded(name: name, tensor: tensor, front: front, role: role, start: Array(contents),
                               meaning: meaning, tolerance: tolerance, smallestScale: smallestScale, sameZeros: sameZeros))
        return tensor
    }

    // MARK: results

    /// Records the results made so far, so that a later call may overwrite them.
    func settle() throws { for i in tensors.indices { try examine(i) } }

    /// Records what a tensor holds that no `output` describes, under its own name.
    func record(_ name: String, _ values: [Double], tolerance: Double, _ meaning: IndexMeaning = .element) {
        records.append(CaseRecord(name: name, values: values, meaning: meaning, tolerance: tolerance, sameZeros: false))
    }

    /// Whether a stored number was replaced by another; one NaN is like any other.
    private static func differ(_ a: Double, _ b: Double) -> Bool { a != b && !(a.isNaN && b.isNaN) }

    private func examine(_ i: Int) throws {
        let item = tensors[i]
        let whole = Tensor(buffer: item.tensor.buffer, shape: [item.start.count])
        let now: [Double]
        switch item.tensor.type {
        case .int32: now = try backend.readIntegers(whole).map(Double.init)
        case .bits16:
            var bits = [UInt16](repeating: 0, count: whole.count)
            try bits.withUnsafeMutableBytes { try backend.read(whole, into: $0) }
            now = bits.map(Double.init)
        case .float32, .float64: now = try backend.readDoubles(whole)
        }
        let inside = item.front ..< item.front + item.tensor.count
        for j in now.indices where Self.differ(now[j], item.start[j]) && !inside.contains(j) {
            violations.append("\(item.name): writes outside the tensor, at element \(j - item.front) of \(inside.count)")
            break
        }
        if item.role == .input {
            for j in inside where Self.differ(now[j], item.start[j]) {
                violations.append("\(item.name): an input is changed at element \(j - item.front), "
                    + "\(item.start[j]) to \(now[j])")
                break
            }
        } else if !item.recorded && item.role != .scratch {
            tensors[i].recorded = true
            records.append(CaseRecord(name: item.name, values: Array(now[inside]), meaning: item.meaning,
                                      tolerance: item.tolerance, smallestScale: item.smallestScale,
                                      sameZeros: item.sameZeros))
        }
    }
}
