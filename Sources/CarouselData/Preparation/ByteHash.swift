/// A 64-bit hash of bytes, the same on every run (Swift's own hashes are seeded per process).
///
/// Eight bytes at a time: xor, multiply by an odd constant, fold the high half down; the finaliser is
/// splitmix64's (Steele, Lea, Flood 2014).
@inline(__always)
func byteHash(_ bytes: UnsafeBufferPointer<UInt8>, seed: UInt64 = 0) -> UInt64 {
    var state = seed ^ (UInt64(truncatingIfNeeded: bytes.count) &* 0x9E37_79B9_7F4A_7C15)
    guard let base = bytes.baseAddress else { return state }
    var i = 0
    while i + 8 <= bytes.count {
        state = (state ^ UnsafeRawPointer(base + i).loadUnaligned(as: UInt64.self)) &* 0xD6E8_FEB8_6659_FD93
        state ^= state >> 32
        i += 8
    }
    var rest: UInt64 = 0
    while i < bytes.count {
        rest = rest << 8 | UInt64(base[i])
        i += 1
    }
    state = (state ^ rest) &* 0xBF58_476D_1CE4_E5B9
    state = (state ^ (state >> 27)) &* 0x94D0_49BB_1331_11EB
    return state ^ (state >> 31)
}

/// Identity of a text by its exact bytes: 128 bits of hash, so equal keys mean equal texts for any
/// data set that fits a disk. Comparing Strings instead would normalise every non-ASCII text.
struct TextKey: Hashable {
    let low, high: UInt64

    init(_ text: String) {
        var copy = text
        (low, high) = copy.withUTF8 { (byteHash($0), byteHash($0, seed: 0x5851_F42D_4C95_7F2D)) }
    }
}
