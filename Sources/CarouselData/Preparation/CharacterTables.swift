/// What a character is for the tokenizers.
enum CharacterClass: UInt8 {
    case space, letter, digit
    /// Joins the character before it.
    case mark
    /// A letter of a script without spaces: a token of its own for `words`.
    case ideograph
    /// Punctuation and symbols.
    case other
}

/// Properties of characters from Swift's Unicode data, kept in tables where it pays.
enum CharacterTables {
    private static let size: UInt32 = 0x3000

    private static let classes: [UInt8] = (0..<size).map { value in
        guard let scalar = Unicode.Scalar(value) else { return CharacterClass.other.rawValue }
        return computedClass(scalar).rawValue
    }

    private static let lowercases: [UInt16] = (0..<size).map { UInt16(computedLowercase($0)) }

    /// The class of a scalar value.
    @inline(__always)
    static func characterClass(_ value: UInt32) -> CharacterClass {
        switch value {
        case 0..<size: return CharacterClass(rawValue: classes[Int(value)]) ?? .other
        case 0x4E00...0x9FFF, 0x3400...0x4DBF: return .ideograph
        case 0xAC00...0xD7A3: return .letter
        default: return Unicode.Scalar(value).map(computedClass) ?? .other
        }
    }

    /// The lower-case form of a scalar value; the first character where that has several.
    static func lowercase(_ value: UInt32) -> UInt32 {
        switch value {
        case 0..<size: return UInt32(lowercases[Int(value)])
        case 0x3000...0xA63F, 0xAC00...0xD7FF: return value
        default: return computedLowercase(value)
        }
    }

    private static func computedLowercase(_ value: UInt32) -> UInt32 {
        guard let scalar = Unicode.Scalar(value), scalar.properties.changesWhenLowercased else { return value }
        return scalar.properties.lowercaseMapping.unicodeScalars.first?.value ?? value
    }

    private static func computedClass(_ scalar: Unicode.Scalar) -> CharacterClass {
        switch scalar.value {
        // Radicals, iteration marks, kana, bopomofo, ideographs with their extensions, half-width katakana.
        case 0x2E80...0x2FDF, 0x3005...0x3007, 0x3021...0x3029, 0x3041...0x3096, 0x309D...0x30FA, 0x30FC...0x312F, 0x31A0...0x31FF,
             0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0xFF66...0xFF9F, 0x1B000...0x1B16F, 0x20000...0x3FFFF:
            return .ideograph
        default: break
        }
        let properties = scalar.properties
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .letterNumber: return .letter
        case .nonspacingMark, .spacingMark, .enclosingMark: return .mark
        case .decimalNumber: return .digit
        case .spaceSeparator, .lineSeparator, .paragraphSeparator, .control: return .space
        default: return .other
        }
    }
}
