import ArgumentParser
import Carousel

/// `auto`, `cpu`, `opencl`, `opencl:N`, and for checks `reference`.
struct DeviceSelector: ExpressibleByArgument {
    let text: String

    init?(argument: String) {
        let isNumbered = argument.hasPrefix("opencl:") && UInt16(argument.dropFirst(7)) != nil
        guard isNumbered || ["auto", "cpu", "opencl", "reference"].contains(argument) else { return nil }
        text = argument
    }

    var defaultValueDescription: String { text }

    /// Opens the device and says which one it is.
    func open(_ precision: Precision) throws -> any Backend {
        let backend = try Device.open(text, precision: precision)
        let info = backend.info, products = precision == .float32 ? "" : ", products in \(precision.rawValue)"
        if text == "auto" && info.kind == .cpu {
            Console.message("device: cpu, \(info.name) (no OpenCL GPU here; `carousel devices` says why)\(products)")
        } else {
            Console.message("device: \(info.selector), \(info.name)\(products)")
        }
        if let problem = (backend as? any Tunable)?.tuningProblem { Console.message("note: \(problem)") }
        return backend
    }
}

/// `--device`, for commands that run a model.
struct DeviceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where to compute: auto, cpu, opencl or opencl:N. auto takes the first OpenCL GPU, else the CPU.", valueName: "device"))
    var device = DeviceSelector(argument: "auto")!
    @OptionGroup var products: PrecisionOptions

    /// Opens the device and says which one it is.
    /// - Parameter usual: the precision where no option names one.
    func open(_ usual: Precision = .float32) throws -> any Backend { try device.open(products.precision ?? usual) }
}

/// `--precision`
struct PrecisionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("What matrix products round their operands to: float32, bfloat16 or float16, as far as the device can.", valueName: "type"))
    var precision: Precision?
}

extension Precision: ExpressibleByArgument {}

/// Which columns of a table hold what.
struct ColumnOptions: ParsableArguments {
    @Option(help: "Column of the text: a name or a number from 1.")
    var textColumn: String?
    @Option(help: "Column of the label: a name or a number from 1.")
    var labelColumn: String?

    /// `options` with the columns named here.
    func applied(to options: ReadOptions) -> ReadOptions {
        var options = options
        if let textColumn { options.textColumn = textColumn }
        if let labelColumn { options.labelColumn = labelColumn }
        return options
    }
}

/// What every command that prints a result has.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print the result as JSON.")
    var json = false
    @Flag(name: .shortAndLong, help: "No progress and no messages; errors stay.")
    var quiet = false

    func apply() { Console.isQuiet = quiet }
}

extension TokenizerKind: ExpressibleByArgument {}

/// Where a configuration comes from.
struct ConfigurationOptions: ParsableArguments {
    @Option(help: "A named configuration; see the list below.")
    var preset: String?
    @Option(name: .customLong("config"), help: ArgumentHelp("A YAML file with any of the configuration's keys.", valueName: "file"))
    var file: String?
    @Option(name: .customLong("set"), help: ArgumentHelp("Set one value of the configuration; may be repeated.", valueName: "key=value"))
    var settings: [String] = []

    func validate() throws {
        if preset != nil && file != nil {
            throw ValidationError("give --preset or --config, not both; a file may name its preset: `preset: bilstm`")
        }
        if let preset, !Preset.all.contains(where: { $0.name == preset }) {
            let names = Preset.all.map(\.name)
            let near = Suggestion.nearest(to: preset, among: names).map { "; did you mean '\($0)'?" } ?? ""
            throw ValidationError("there is no preset '\(preset)'\(near) Presets: \(names.joined(separator: ", "))")
        }
        for setting in settings where !setting.contains("=") || setting.hasPrefix("=") {
            throw ValidationError("--set \(setting): a setting is key=value, as in --set training.learning_rate=0.001")
        }
    }

    /// - Parameter options: settings that stand for options of their own, applied last.
    func resolve(adding options: [RunConfiguration.Setting] = []) throws -> RunConfiguration {
        try RunConfiguration.resolve(preset: preset, file: file, settings: try settings.map { try .init($0) } + options)
    }

    /// One line per preset, for help texts.
    static var presetList: String {
        let width = Preset.all.map(\.name.count).max() ?? 0
        return Preset.all.map { "  " + $0.name + String(repeating: " ", count: width - $0.name.count) + "  " + $0.summary }
            .joined(separator: "\n")
    }
}

extension CheckpointInterval: ExpressibleByArgument {
    /// `500`, `500 steps`, `90s`, `5 minutes`, `1h`: a plain number counts steps.
    public init?(argument: String) {
        let number = argument.prefix { $0.isNumber || $0 == "." }
        let unit = argument.dropFirst(number.count).drop { $0 == " " }
        guard let value = Double(number), value > 0, value <= 1e9 else { return nil }
        switch unit {
        case "", "step", "steps":
            guard let steps = Int(number) else { return nil }
            self = .steps(steps)
        case "s", "second", "seconds": self = .seconds(value)
        case "m", "min", "minute", "minutes": self = .seconds(60 * value)
        case "h", "hour", "hours": self = .seconds(3600 * value)
        default: return nil
        }
    }

    public var defaultValueDescription: String {
        switch self {
        case .steps(let steps): "\(steps) steps"
        case .seconds(let seconds): "\(Int(seconds)) s"
        }
    }
}
