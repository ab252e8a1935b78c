/// SHA-256 (FIPS 180-4), fed piece by piece: what files and weights are recognised by, on this machine and, with
/// any `sha256sum`, on another.
///
/// Guards against damage and mix-ups, not against an adversary: nothing here depends on constant time.
public struct SHA256 {
    private var state: [UInt32] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A,
                                   0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19]
    /// Bytes that do not fill a block yet.
    private var rest: [UInt8] = []
    private var length: UInt64 = 0
    private var schedule = [UInt32](repeating: 0, count: 64)

    public init() {}

    /// Adds bytes at the end of the message.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        length += UInt64(bytes.count)
        var bytes = bytes[...]
        if !rest.isEmpty {
            let taken = bytes.prefix(64 - rest.count)
            rest.append(contentsOf: taken)
            bytes = bytes.dropFirst(taken.count)
            guard rest.count == 64 else { return }
            let block = rest
            block.withUnsafeBytes { compress($0) }
            rest = []
        }
        let whole = bytes.count / 64 * 64
        compress(UnsafeRawBufferPointer(rebasing: bytes.prefix(whole)))
        rest.append(contentsOf: bytes.dropFirst(whole))
    }

    /// Adds the UTF-8 bytes of a text.
    public mutating func update(_ text: String) {
        var text = text
        text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }

    /// The digest of everything added, as 64 hexadecimal digits.
    public func hexadecimal() -> String {
        var copy = self
        let bits = copy.length &* 8
        var end: [UInt8] = [0x80]
        while (copy.rest.count + end.count) % 64 != 56 { end.append(0) }
        for shift in stride(from: UInt64(56), through: 0, by: -8) { end.append(UInt8(truncatingIfNeeded: bits >> shift)) }
        end.withUnsafeBytes { copy.update($0) }
        return copy.state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    /// The digest of one text.
    public static func hexadecimal(of text: String) -> String {
        var hash = SHA256()
        hash.update(text)
        return hash.hexadecimal()
    }

    /// The names of FIPS 180-4, section 6.2.2.
    private mutating func compress(_ blocks: UnsafeRawBufferPointer) {
        schedule.withUnsafeMutableBufferPointer { w in
            state.withUnsafeMutableBufferPointer { state in
                Self.constants.withUnsafeBufferPointer { constants in
                    for start in stride(from: 0, to: blocks.count, by: 64) {
                        for t in 0..<16 { w[t] = UInt32(bigEndian: blocks.loadUnaligned(fromByteOffset: start + 4 * t, as: UInt32.self)) }
                        for t in 16..<64 {
                            let x = w[t - 15], y = w[t - 2]
                            w[t] = w[t - 16] &+ (Self.rotate(x, 7) ^ Self.rotate(x, 18) ^ (x >> 3)) &+ w[t - 7]
                                &+ (Self.rotate(y, 17) ^ Self.rotate(y, 19) ^ (y >> 10))
                        }
                        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
                        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
                        for t in 0..<64 {
                            let t1 = h &+ (Self.rotate(e, 6) ^ Self.rotate(e, 11) ^ Self.rotate(e, 25)) &+ ((e & f) ^ (~e & g)) &+ constants[t] &+ w[t]
                            let t2 = (Self.rotate(a, 2) ^ Self.rotate(a, 13) ^ Self.rotate(a, 22)) &+ ((a & b) ^ (a & c) ^ (b & c))
                            (h, g, f, e, d, c, b, a) = (g, f, e, d &+ t1, c, b, a, t1 &+ t2)
                        }
                        state[0] &+= a
                        state[1] &+= b
                        state[2] &+= c
                        state[3] &+= d
                        state[4] &+= e
                        state[5] &+= f
                        state[6] &+= g
                        state[7] &+= h
                    }
                }
            }
        }
    }

    @inline(__always)
    private static func rotate(_ x: UInt32, _ n: UInt32) -> UInt32 { x >> n | x << (32 - n) }

    /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes, in integer arithmetic.
    private static let constants: [UInt32] = {
        var primes: [UInt64] = []
        var candidate: UInt64 = 2
        while primes.count < 64 {
            if primes.allSatisfy({ candidate % $0 != 0 }) { primes.append(candidate) }
            candidate += 1
        }
        return primes.map { prime in
            // ⌊2³² · ∛p⌋ by bisection; below 7 · 2³² since ∛311 < 7. Its cube has up to 105 bits.
            var low: UInt64 = 0, high: UInt64 = 7 << 32
            while high - low > 1 {
                let middle = (low + high) / 2
                let square = middle.multipliedFullWidth(by: middle)
                // middle³ ≤ p · 2⁹⁶, the right side in units of 2⁶⁴ being p · 2³².
                let cubed = cube(square, middle)
                if cubed.high < prime << 32 || (cubed.high == prime << 32 && cubed.low == 0) { low = middle } else { high = middle }
            }
            return UInt32(truncatingIfNeeded: low)
        }
    }()

    /// (high · 2⁶⁴ + low) · factor, of which the bits above 2⁶⁴ fit `high`.
    private static func cube(_ square: (high: UInt64, low: UInt64), _ factor: UInt64) -> (high: UInt64, low: UInt64) {
        let lower = square.low.multipliedFullWidth(by: factor)
        return (square.high &* factor &+ lower.high, lower.low)
    }
}
