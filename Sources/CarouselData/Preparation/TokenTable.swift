/// Numbers for byte strings: an open-addressing hash table whose keys lie in one arena, so that counting
/// and looking up tokens never makes a String.
struct TokenTable: Sendable {
    private var arena: [UInt8] = []
    /// End of key k in `arena`; its start is the end of key k − 1.
    private var ends: [Int] = []
    private var hashes: [UInt64] = []
    /// Key number + 1, or 0 for a free place; the size is a power of two.
    private var slots: [Int32]

    init(capacity: Int = 1024) {
        var size = 16
        while size < capacity * 2 { size *= 2 }
        slots = [Int32](repeating: 0, count: size)
    }

    var count: Int { ends.count }

    /// Bytes of key `k`.
    func withKey<Result>(_ k: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        arena.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[(k == 0 ? 0 : ends[k - 1])..<ends[k]])) }
    }

    func string(_ k: Int) -> String { withKey(k) { String(decoding: $0, as: UTF8.self) } }

    /// The key's number, nil when it is not in the table.
    func find(_ key: UnsafeBufferPointer<UInt8>) -> Int? { find(key, hash: byteHash(key)) }

    func find(_ key: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Int? {
        let found = slots[place(key, hash)]
        return found == 0 ? nil : Int(found) - 1
    }

    /// The key's number, which is new (the former `count`) when the key was not there.
    mutating func insert(_ key: UnsafeBufferPointer<UInt8>) -> Int {
        let hash = byteHash(key)
        let slot = place(key, hash)
        if slots[slot] != 0 { return Int(slots[slot]) - 1 }
        arena.append(contentsOf: key)
        ends.append(arena.count)
        hashes.append(hash)
        slots[slot] = Int32(ends.count)
        if ends.count * 2 > slots.count { grow() }
        return ends.count - 1
    }

    mutating func insert(_ key: String) -> Int {
        var key = key
        return key.withUTF8 { insert($0) }
    }

    /// The slot that holds the key, or the free one where it belongs.
    @inline(__always)
    private func place(_ key: UnsafeBufferPointer<UInt8>, _ hash: UInt64) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let k = Int(slots[slot]) - 1
            if hashes[k] == hash, isEqual(k, key) { return slot }
            slot = (slot + 1) & mask
        }
        return slot
    }

    @inline(__always)
    private func isEqual(_ k: Int, _ key: UnsafeBufferPointer<UInt8>) -> Bool {
        let start = k == 0 ? 0 : ends[k - 1]
        guard ends[k] - start == key.count else { return false }
        for i in 0..<key.count where arena[start + i] != key[i] { return false }
        return true
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 2)
        let mask = slots.count - 1
        for k in 0..<ends.count {
            var slot = Int(truncatingIfNeeded: hashes[k]) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = Int32(k + 1)
        }
    }
}

/// How often each token occurs.
struct TokenCounts: Sendable {
    private(set) var table = TokenTable()
    private(set) var counts: [Int] = []

    mutating func add(_ key: UnsafeBufferPointer<UInt8>, _ times: Int = 1) {
        let k = table.insert(key)
        if k == counts.count { counts.append(times) } else { counts[k] += times }
    }

    mutating func merge(_ other: TokenCounts) {
        for k in other.counts.indices { other.table.withKey(k) { add($0, other.counts[k]) } }
    }
}
