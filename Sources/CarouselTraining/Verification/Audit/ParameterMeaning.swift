import CarouselCore
import CarouselNN

/// Says what an element of a parameter is: which layer, gate and unit, which token.
struct ParameterMeaning {
    private let cells: [RecurrentCell.Kind]
    private let words: [Int: String]

    init(_ model: ModelConfiguration, words: [Int: String]) {
        cells = model.layers.compactMap { if case .recurrent(let kind, _) = $0 { kind } else { nil } }
        self.words = words
    }

    /// Gates the rows of a parameter are divided into; 1 where there are none.
    func gates(of parameter: Parameter) -> Int {
        guard let recurrent = Recurrent(parameter.name, cells), recurrent.role != "weight_hr" else { return 1 }
        return Self.gateNames(recurrent.kind).count
    }

    /// Element `index` of `parameter`: `lstm 0, gate f, unit 17, state 5`.
    func describe(_ parameter: Parameter, _ index: Int) -> String {
        let width = parameter.shape.rank > 1 ? parameter.shape[1] : 1
        let row = index / width, column = index % width
        if let recurrent = Recurrent(parameter.name, cells) {
            let layer = "\(recurrent.kind.rawValue) \(recurrent.number)" + (recurrent.isBackward ? " backward" : "")
            if recurrent.role == "weight_hr" { return "\(layer), projected unit \(row), unit \(column)" }
            let gates = Self.gateNames(recurrent.kind)
            let hidden = parameter.shape[0] / gates.count
            let unit = (gates.count > 1 ? "gate \(gates[row / hidden]), " : "") + "unit \(row % hidden)"
            switch recurrent.role {
            case "weight_ih": return "\(layer), \(unit), input \(column)"
            case "weight_hh": return "\(layer), \(unit), state \(column)"
            default: return "\(layer), \(unit)"
            }
        }
        if parameter.name == "embedding.weight" {
            return "token \(row)" + (words[row].map { " \"\($0)\"" } ?? "") + ", element \(column)"
        }
        let layer = parameter.name.split(separator: ".").dropLast().joined(separator: " ")
        let unit = layer == "head" ? "class \(row)" : "unit \(row)"
        return "\(layer), \(unit)" + (parameter.shape.rank > 1 ? ", input \(column)" : "")
    }

    private static func gateNames(_ kind: RecurrentCell.Kind) -> [String] {
        switch kind {
        case .rnn: ["h"]
        case .lstm: ["i", "f", "g", "o"]
        case .gru: ["r", "z", "n"]
        }
    }

    /// `rnn.{number}.{role}_l0[_reverse]` taken apart.
    private struct Recurrent {
        var number: Int
        var kind: RecurrentCell.Kind
        var role: String
        var isBackward: Bool

        init?(_ name: String, _ cells: [RecurrentCell.Kind]) {
            let parts = name.split(separator: ".").map(String.init)
            guard parts.count == 3, parts[0] == "rnn", let number = Int(parts[1]), cells.indices.contains(number),
                  let end = parts[2].range(of: "_l0") else { return nil }
            self.number = number
            kind = cells[number]
            role = String(parts[2][..<end.lowerBound])
            isBackward = parts[2].hasSuffix("_reverse")
        }
    }
}
