import ArgumentParser
import Carousel

struct DevicesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devices",
        abstract: "List the CPU with the BLAS in use and every OpenCL device, and say what is missing.",
        discussion: """
            The name in the first column is what --device takes. An OpenCL device of type CPU is used only when it is \
            named: --device auto takes the first OpenCL GPU, else Carousel's own CPU path.
            """)

    /// What `--json` prints.
    private struct Listing: Encodable {
        var devices: [DeviceInfo]
        var problem: String?
        var hint: String?
    }

    @OptionGroup var printing: OutputOptions

    func run() throws {
        printing.apply()
        let inventory = try Device.available()
        if printing.json {
            try Console.print(json: Listing(devices: inventory.devices, problem: inventory.problem, hint: inventory.hint))
            return
        }
        for info in inventory.devices {
            var facts = ["\(info.computeUnits) compute units"]
            if info.kind == .opencl { facts.insert(info.isGPU ? "GPU" : "not a GPU", at: 0) }
            if info.memory > 0 { facts.append("\(Format.bytes(info.memory)) of memory") }
            if info.largestAllocation > 0 { facts.append("largest buffer \(Format.bytes(info.largestAllocation))") }
            try Console.print("\(info.selector)  \(info.name)")
            try Console.print("    " + facts.joined(separator: ", "))
            let maker = [info.vendor, info.driver].filter { !$0.isEmpty }.joined(separator: ", ")
            if !maker.isEmpty { try Console.print("    \(maker)") }
            if !info.details.isEmpty { try Console.print("    " + info.details.joined(separator: "; ")) }
        }
        if let problem = inventory.problem {
            try Console.print("no OpenCL device: \(problem)")
            if let hint = inventory.hint { try Console.print("    try: \(hint)") }
        }
    }
}
