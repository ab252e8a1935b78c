/// Counts letters by script before and after preparation: a cleaning rule that deletes a whole script should show.
enum ScriptCounter {
    private static let names = ["Latin", "Greek", "Cyrillic", "Hebrew", "Arabic", "Devanagari", "Thai", "kana", "Han", "Hangul", "other"]

    static func count(_ texts: [String], _ preparation: TextPreparation) -> [DataReport.ScriptCount] {
        let parts = Parallel.map(count: texts.count) { range -> (before: [Int], after: [Int]) in
            var before = [Int](repeating: 0, count: names.count), after = before
            var scratch = TextPipeline.Scratch()
            for row in range {
                var text = texts[row]
                text.withUTF8 { add($0, &before) }
                preparation.tokenBytes(text, &scratch) { add($0, &after) }
            }
            return (before, after)
        }
        var result: [DataReport.ScriptCount] = []
        for (s, name) in names.enumerated() {
            let total = parts.reduce(0) { $0 + $1.before[s] }
            let kept = parts.reduce(0) { $0 + $1.after[s] }
            // An entity may become a letter, so there can be more after than before.
            if total > 0 { result.append(.init(script: name, total: total, removed: max(0, total - kept))) }
        }
        return result.sorted { ($1.total, $0.script) < ($0.total, $1.script) }
    }

    private static func add(_ bytes: UnsafeBufferPointer<UInt8>, _ counts: inout [Int]) {
        var i = 0
        while i < bytes.count {
            let byte = bytes[i]
            if byte < 0x80 {
                if (byte | 0x20) &- 0x61 < 26 { counts[0] += 1 }
                i += 1
                continue
            }
            let (scalar, length) = decodeScalar(bytes, i)
            i += length
            if let script = script(scalar) { counts[script] += 1 }
        }
    }

    /// Position in `names` of a letter's script, nil for what is no letter.
    private static func script(_ scalar: UInt32) -> Int? {
        switch CharacterTables.characterClass(scalar) {
        case .letter, .ideograph: break
        default: return nil
        }
        switch scalar {
        case 0..<0x300, 0x1E00...0x1EFF, 0xFB00...0xFB06, 0xFF21...0xFF3A, 0xFF41...0xFF5A: return 0
        case 0x370...0x3FF, 0x1F00...0x1FFF: return 1
        case 0x400...0x52F: return 2
        case 0x590...0x5FF: return 3
        case 0x600...0x77F, 0xFB50...0xFDFF, 0xFE70...0xFEFE: return 4
        case 0x900...0x97F: return 5
        case 0xE00...0xE7F: return 6
        case 0x3040...0x30FF, 0x31F0...0x31FF, 0xFF66...0xFF9F: return 7
        case 0x2E80...0x2FDF, 0x3005...0x3007, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x3FFFF: return 8
        case 0x1100...0x11FF, 0x3130...0x318F, 0xAC00...0xD7A3: return 9
        default: return 10
        }
    }
}
