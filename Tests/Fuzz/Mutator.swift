import Carousel

/// Makes an input from valid ones by a few random changes, some of which know what formats are made of.
struct Mutator {
    let samples: [[UInt8]]
    let tokens: [[UInt8]]

    /// No input grows beyond this: what takes long on 64 KiB is found without the waiting.
    static let largest = 1 << 16

    private static let numbers = ["0", "-1", "1", "2", "255", "65536", "2147483648", "4294967296", "1000000000000", "9223372036854775807",
                                  "-9223372036854775808", "9223372036854775808", "18446744073709551616", "1e308", "1e999", "-1e999",
                                  "1e-999", "0.1", "nan", "inf", "-0", "00", "0x7f", "3.4e38", "3.5e38", "99999999999999999999999999999999",
                                  "1048576", "1048577"].map { Array($0.utf8) }
    private static let openings = ["[", "{", "{\"a\":", "[[", "\"", "- ", "? ", "'", "{a: ", "\\", "(", "<a ", "&", "\n ", "  ", "!!", "*"].map { Array($0.utf8) }
    private static let bytes: [UInt8] = [0, 1, 9, 10, 13, 26, 32, 34, 39, 44, 58, 91, 92, 93, 123, 125, 0x7F, 0x80, 0xBF, 0xC0, 0xE5, 0xED, 0xF0, 0xFE, 0xFF]

    func input(_ generator: inout SeededGenerator) -> [UInt8] {
        var input = samples[Int.random(in: 0..<samples.count, using: &generator)]
        // Mostly one or two changes, so that inputs stay nearly valid; now and then many.
        let changes = 1 << Int.random(in: 0...(Bool.random(using: &generator) ? 1 : 4), using: &generator)
        for _ in 0..<changes { change(&input, &generator) }
        if input.count > Self.largest { input.removeSubrange(Self.largest...) }
        return input
    }

    private func change(_ input: inout [UInt8], _ generator: inout SeededGenerator) {
        func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &generator) }
        /// A place in the input, its end included.
        let place = number(0..<input.count + 1)
        let rest = place..<min(input.count, place + 1 << number(0..<7))
        switch number(0..<15) {
        case 0 where place < input.count: input[place] ^= 1 << UInt8(number(0..<8))
        case 1 where place < input.count: input[place] = Self.bytes[number(0..<Self.bytes.count)]
        case 2: input.insert(Self.bytes[number(0..<Self.bytes.count)], at: place)
        case 3, 4:
            if !tokens.isEmpty { input.insert(contentsOf: tokens[number(0..<tokens.count)], at: place) }
        case 5:
            if !tokens.isEmpty { input.replaceSubrange(rest, with: tokens[number(0..<tokens.count)]) }
        case 6: input.removeSubrange(rest)
        case 7: input.removeSubrange(place...)
        case 8:
            // A part twice, or very often.
            let copies = 1 << number(0..<(number(0..<16) == 0 ? 13 : 3))
            let part = Array(input[rest])
            guard part.count * copies <= Self.largest else { return }
            input.insert(contentsOf: repeatElement(part, count: copies).joined(), at: place)
        case 9:
            let other = samples[number(0..<samples.count)]
            input.replaceSubrange(place..., with: other[number(0..<other.count + 1)...])
        case 10, 11: replaceNumber(&input, place, &generator)
        case 12:
            let depth = 1 << number(0..<(number(0..<8) == 0 ? 15 : 4))
            let opening = Self.openings[number(0..<Self.openings.count)]
            input.insert(contentsOf: repeatElement(opening, count: min(depth, Self.largest / opening.count)).joined(), at: place)
        case 13: exchangeLines(&input, &generator)
        default: input.insert(contentsOf: (0..<number(1..<9)).map { _ in UInt8.random(in: 0...255, using: &generator) }, at: place)
        }
    }

    /// The first run of digits from `place` on becomes a number at the edge of some type.
    private func replaceNumber(_ input: inout [UInt8], _ place: Int, _ generator: inout SeededGenerator) {
        func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        guard let start = input[place...].firstIndex(where: isDigit) ?? input.firstIndex(where: isDigit) else { return }
        let end = input[start...].firstIndex { !isDigit($0) } ?? input.count
        let replacement = Self.numbers[Int.random(in: 0..<Self.numbers.count, using: &generator)]
        input.replaceSubrange(start..<end, with: replacement)
    }

    private func exchangeLines(_ input: inout [UInt8], _ generator: inout SeededGenerator) {
        var lines = input.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        let a = Int.random(in: 0..<lines.count, using: &generator), b = Int.random(in: 0..<lines.count, using: &generator)
        lines.swapAt(a, b)
        input = Array(lines.joined(separator: [0x0A]))
    }
}
