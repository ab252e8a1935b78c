import CarouselCore

/// One string per line, for `vocabulary.txt` and `labels.txt`: a backslash, control characters and a
/// space at either end are escaped, so every string is read back exactly.
enum LineEscapes {
    static func encode(_ lines: [String]) -> String {
        var result = ""
        for line in lines {
            let scalars = Array(line.unicodeScalars)
            for (i, scalar) in scalars.enumerated() {
                switch scalar {
                case "\\": result += "\\\\"
                case "\n": result += "\\n"
                case "\r": result += "\\r"
                case "\t": result += "\\t"
                case " " where i == 0 || i == scalars.count - 1: result += "\\s"
                case _ where scalar.properties.generalCategory == .control || scalar.properties.isWhitespace && scalar != " ":
                    result += "\\u{" + String(scalar.value, radix: 16) + "}"
                default: result.unicodeScalars.append(scalar)
                }
            }
            result += "\n"
        }
        return result
    }

    /// - Throws: `badData` with the line of a broken escape.
    static func decode(_ text: String, file: String) throws -> [String] {
        var lines: [String] = []
        var current = String.UnicodeScalarView()
        var scalars = text.unicodeScalars.makeIterator()
        var unfinished = false
        func broken() -> CarouselError {
            CarouselError(.badData, "broken escape after a backslash", at: "\(file):\(lines.count + 1)",
                          hint: "restore the file from the model's folder; it is not meant to be edited by hand")
        }
        while let scalar = scalars.next() {
            unfinished = scalar != "\n"
            if scalar == "\n" {
                lines.append(String(current))
                current = .init()
                continue
            }
            guard scalar == "\\" else { current.append(scalar); continue }
            switch scalars.next() {
            case "\\": current.append("\\")
            case "n": current.append("\n")
            case "r": current.append("\r")
            case "t": current.append("\t")
            case "s": current.append(" ")
            case "u":
                guard scalars.next() == "{" else { throw broken() }
                var digits = ""
                while let digit = scalars.next(), digit != "}", digits.count < 7 { digits.unicodeScalars.append(digit) }
                guard let value = UInt32(digits, radix: 16), let decoded = Unicode.Scalar(value) else { throw broken() }
                current.append(decoded)
            default: throw broken()
            }
        }
        if unfinished { lines.append(String(current)) }
        return lines
    }
}
