import CarouselCore
import Testing

@Suite struct SHA256Tests {
    /// FIPS 180-4's examples and the empty message; lengths around the end of a block have to pad rightly.
    @Test func knownDigests() {
        #expect(SHA256.hexadecimal(of: "") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(SHA256.hexadecimal(of: "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(SHA256.hexadecimal(of: "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
            == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        #expect(SHA256.hexadecimal(of: String(repeating: "a", count: 1_000_000))
            == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    /// Pieces of any size give what the whole gives.
    @Test func piecesDoNotMatter() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        var whole = SHA256()
        bytes.withUnsafeBytes { whole.update($0) }
        for size in [1, 3, 55, 56, 63, 64, 65, 128, 999] {
            var pieces = SHA256()
            bytes.withUnsafeBytes { all in
                for start in stride(from: 0, to: all.count, by: size) {
                    pieces.update(UnsafeRawBufferPointer(rebasing: all[start..<min(start + size, all.count)]))
                }
            }
            #expect(pieces.hexadecimal() == whole.hexadecimal(), "pieces of \(size)")
        }
    }
}
