import CarouselCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// f(x).
func value(of activation: Activation, at x: Double) -> Double {
    switch activation {
    case .linear: x
    case .tanh: tanh(x)
    case .sigmoid: 1 / (1 + exp(-x))
    case .relu: max(x, 0)
    case .hardSigmoid: min(max(x + 3, 0), 6) / 6
    }
}

/// f′(x), given y = f(x).
func slope(of activation: Activation, result y: Double) -> Double {
    switch activation {
    case .linear: 1
    case .tanh: 1 - y * y
    case .sigmoid: y * (1 - y)
    case .relu: y > 0 ? 1 : 0
    case .hardSigmoid: y > 0 && y < 1 ? 1.0 / 6 : 0
    }
}

extension ReferenceBackend {
    public func fill(_ tensor: Tensor, with value: Double) throws {
        let target = try doubles(tensor)
        for i in 0..<tensor.count { target[i] = value }
    }

    public func copyColumns(_ source: Tensor, from sourceColumn: Int, to target: Tensor, at targetColumn: Int, width: Int,
                            scale: Double, accumulate: Bool) throws {
        let fits = source.shape.rank == 2 && target.shape.rank == 2 && source.shape[0] == target.shape[0]
            && width >= 0 && sourceColumn >= 0 && targetColumn >= 0
            && sourceColumn + width <= source.shape[1] && targetColumn + width <= target.shape[1]
        try Requirements.check(fits, "copy of \(width) columns from \(sourceColumn) to \(targetColumn)",
                               ["source": source, "target": target])
        let from = try doubles(source), to = try doubles(target)
        for m in 0..<source.shape[0] {
            for j in 0..<width {
                let value = scale * from[m * source.shape[1] + sourceColumn + j]
                let place = m * target.shape[1] + targetColumn + j
                to[place] = accumulate ? to[place] + value : value
            }
        }
    }

    public func multiply(_ a: Tensor, _ b: Tensor, into c: Tensor, accumulate: Bool) throws {
        try Requirements.check(a.count == b.count && a.count == c.count, "element-wise product", ["a": a, "b": b, "c": c])
        let left = try doubles(a), right = try doubles(b), target = try doubles(c)
        for i in 0..<a.count { target[i] = (accumulate ? target[i] : 0) + left[i] * right[i] }
    }

    public func activate(_ activation: Activation, _ x: Tensor, into y: Tensor) throws {
        try Requirements.check(x.count == y.count, "\(activation.rawValue)", ["x": x, "y": y])
        let source = try doubles(x), target = try doubles(y)
        kinkWatch?.observe(activation, source, count: x.count)
        for i in 0..<x.count { target[i] = value(of: activation, at: source[i]) }
    }

    public func activateBackward(_ activation: Activation, y: Tensor, dy: Tensor, into dx: Tensor) throws {
        try Requirements.check(y.count == dy.count && y.count == dx.count, "\(activation.rawValue) backward",
                               ["y": y, "dy": dy, "dx": dx])
        let result = try doubles(y), incoming = try doubles(dy), target = try doubles(dx)
        for i in 0..<y.count { target[i] = incoming[i] * slope(of: activation, result: result[i]) }
    }

    public func dropout(_ x: Tensor, into y: Tensor, mask: DropoutMask) throws {
        let fits = x.shape.rank == 2 && x.count == y.count && mask.rate >= 0 && mask.rate < 1
            && (mask.rows == nil || mask.rows!.count == x.shape[0])
        try Requirements.check(fits, "dropout of rate \(mask.rate)", ["x": x, "y": y, "rows": mask.rows])
        let source = try doubles(x), target = try doubles(y), rows = try integers(mask.rows)
        let f = x.shape[1]
        for m in 0..<x.shape[0] {
            let r = rows.map { UInt64($0[m]) } ?? UInt64(m)
            for j in 0..<f {
                let bits = RandomGenerator.bits(key: mask.key, counter: r * UInt64(f) + UInt64(j)).0
                target[m * f + j] = bits >= mask.threshold ? source[m * f + j] / (1 - mask.rate) : 0
            }
        }
    }
}
