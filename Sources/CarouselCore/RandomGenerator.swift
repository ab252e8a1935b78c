/// Counter-based random numbers: a pure function of (key, counter), so there is no state to save and
/// every device draws the same values in any order.
///
/// Philox-2x32 with 10 rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
/// 1, 2, 3", SC 2011). The kernels repeat exactly this integer arithmetic.
public enum RandomGenerator {
    /// 64 random bits for (key, counter).
    public static func bits(key: UInt32, counter: UInt64) -> (UInt32, UInt32) {
        var x = UInt32(truncatingIfNeeded: counter)
        var y = UInt32(truncatingIfNeeded: counter >> 32)
        var k = key
        for _ in 0..<10 {
            let product = UInt64(x) * 0xD256_D193
            let high = UInt32(truncatingIfNeeded: product >> 32)
            let low = UInt32(truncatingIfNeeded: product)
            x = high ^ k ^ y
            y = low
            k &+= 0x9E37_79B9
        }
        return (x, y)
    }

    /// A key for one purpose: mixes the parts in order (splitmix64 finaliser of Steele, Lea, Flood 2014).
    public static func key(_ parts: UInt64...) -> UInt32 {
        UInt32(truncatingIfNeeded: parts.reduce(increment, mixed) >> 32)
    }

    /// The key of four parts, without a list of them.
    public static func key(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ fourth: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: mixed(mixed(mixed(mixed(increment, first), second), third), fourth) >> 32)
    }

    private static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

    private static func mixed(_ state: UInt64, _ part: UInt64) -> UInt64 { mix(state &+ part &+ increment) }

    /// 64 bits that depend on every bit of `value`.
    public static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A seeded sequence of numbers for the host: initial weights, splits, permutations.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private let key: UInt32
    private var counter: UInt64 = 0

    /// - Parameter parts: seed and purpose, for example `(seed, 3)`.
    public init(seed: UInt64, purpose: UInt64 = 0) { key = RandomGenerator.key(seed, purpose) }

    public mutating func next() -> UInt64 {
        let (low, high) = RandomGenerator.bits(key: key, counter: counter)
        counter += 1
        return UInt64(high) << 32 | UInt64(low)
    }

    /// Uniform in [0, 1) with 53 bits.
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Standard normal, by Box and Muller (1958).
    public mutating func normal() -> Double {
        let radius = (-2 * log(1 - uniform())).squareRoot()
        return radius * cos(2 * .pi * uniform())
    }

    /// A permutation of 0 ..< count (Fisher and Yates).
    public mutating func permutation(_ count: Int) -> [Int] {
        var result = Array(0..<count)
        guard count > 1 else { return result }
        for i in stride(from: count - 1, to: 0, by: -1) {
            // The multiply-shift of 32 random bits; its bias is below 2^-32 · count.
            let j = Int((UInt64(i + 1) &* (next() >> 32)) >> 32)
            result.swapAt(i, j)
        }
        return result
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
