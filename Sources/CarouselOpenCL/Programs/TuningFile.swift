import CarouselCore
import Foundation

/// What `carousel tune` measured on one device, on disk beside the built programs.
///
/// A file counts only for the device, driver and kernels it was measured with, and only whole: results do not depend on it,
/// but sizes measured for something else could be slow.
struct TuningFile: Codable {
    private static let currentFormat = "carousel tuning 1"

    private var format = TuningFile.currentFormat
    /// What was measured on: see `Owner`.
    private var owner: Owner
    private(set) var measured: [MeasuredChoice]
    /// Hash of `measured`.
    private var sum: String

    /// Whose measurements these are.
    struct Owner: Codable, Equatable {
        var device: String
        var platform: String
        var driver: String
        /// Hash of the kernels whose sizes they are.
        var kernels: String

        init(_ device: OpenCLDeviceDescription, sources: KernelSources) throws {
            self.device = "\(device.vendor) \(device.name)"
            platform = "\(device.platform) \(device.platformVersion)"
            driver = device.driver
            kernels = SHA256.hexadecimal(of: try sources.program(["matmul.cl"]))
        }

        /// The same for all kernels, so that a new program replaces what an old one left.
        fileprivate var fileName: String {
            "tuning-" + SHA256.hexadecimal(of: [device, platform, driver].joined(separator: "\n")).prefix(16) + ".json"
        }
    }

    init(_ owner: Owner, _ measured: [MeasuredChoice]) {
        self.owner = owner
        self.measured = measured
        sum = Self.sum(of: measured)
    }

    private static func sum(of measured: [MeasuredChoice]) -> String {
        SHA256.hexadecimal(of: measured.map { "\($0.choice.subject): \($0.choice.text): \($0.gain)" }.joined(separator: "\n"))
    }

    static func place(_ owner: Owner, in folder: URL) -> URL { folder.appendingPathComponent(owner.fileName) }

    /// What the folder holds for `owner`; nothing where it holds nothing.
    /// - Throws: `badData` for a file that is not whole or was made for something else.
    static func load(_ owner: Owner, in folder: URL) throws -> [MeasuredChoice] {
        let place = place(owner, in: folder)
        guard FileManager.default.fileExists(atPath: place.path) else { return [] }
        func refusal(_ reason: String) -> CarouselError {
            CarouselError(.badData, "\(reason); the sizes inside the program are used", at: place.path, hint: "carousel tune measures again")
        }
        guard let data = try? Data(contentsOf: place), let file = try? JSONDecoder().decode(TuningFile.self, from: data),
              file.format == currentFormat, file.sum == sum(of: file.measured) else { throw refusal("this file of measured sizes is damaged") }
        guard file.owner == owner else {
            throw refusal(file.owner.kernels == owner.kernels ? "these sizes were measured on another device or driver" : "these sizes were measured for other kernels")
        }
        var scratch = Tuning.table[0]
        guard file.measured.allSatisfy({ scratch.apply($0.choice) }) else { throw refusal("this file holds sizes that no kernel has") }
        return file.measured
    }

    func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}

extension OpenCLBackend: Tunable {
    /// The sizes for a device, and why a file of measured ones was not used.
    static func tuning(_ device: OpenCLDeviceDescription, _ precision: Precision, sources: KernelSources, folder: URL?,
                       environment: [String: String]) throws -> (tuning: Tuning, measured: [MeasuredChoice], problem: String?) {
        let name = environment[EnvironmentSettings.tuning.rawValue] ?? ""
        var tuning = try Tuning.named(name)
        guard name.isEmpty else { return (tuning, [], nil) }
        let words = "\(device.vendor) \(device.name)".lowercased()
        for line in Tuning.devices where device.type == .gpu && words.contains(line.device) { _ = tuning.apply(line.choice) }
        guard let folder else { return (tuning, [], nil) }
        do {
            let measured = try TuningFile.load(try TuningFile.Owner(device, sources: sources), in: folder)
            for entry in measured where entry.choice.precision ?? precision == precision { _ = tuning.apply(entry.choice) }
            return (tuning, measured, nil)
        } catch let error as CarouselError where error.status == .badData {
            return (tuning, [], "\(error)")
        }
    }

    /// Products on matrix units have no sizes of their own.
    public var tuningChoices: [TuningChoice] {
        shippedTuning.choices(family, precision).filter { matrixUnits == nil || ProductTile(sizes: $0.sizes) == nil }
    }

    public func alternatives(to choice: TuningChoice) -> [TuningChoice] { Tuning.neighbours(of: choice).filter(hasRoom) }

    public func choose(_ choice: TuningChoice) throws {
        var next = tuning
        // The sizes inside the program are made to fit where they are used.
        guard tuningChoices.contains(choice) || hasRoom(choice), next.apply(choice) else {
            throw CarouselError(.badConfiguration, "\(info.selector) cannot compute \(choice.subject) with \(choice.text)")
        }
        tuning = next
    }

    public func tuningFile(with measured: [MeasuredChoice], replacing subjects: Set<String>) throws -> (folder: String, name: String, text: String) {
        guard let folder = tuningFolder else {
            throw CarouselError(.cannotCreateOutput, "there is no cache folder to keep measured sizes in",
                                hint: "set HOME or XDG_CACHE_HOME, and CAROUSEL_KERNEL_CACHE not to off")
        }
        let owner = try TuningFile.Owner(device, sources: programs.sources)
        let others = ((try? TuningFile.load(owner, in: folder)) ?? []).filter { !subjects.contains($0.choice.subject) }
        return (folder.path, TuningFile.place(owner, in: folder).lastPathComponent, try TuningFile(owner, others + measured).text())
    }

    private func hasRoom(_ choice: TuningChoice) -> Bool {
        if let tile = ProductTile(sizes: choice.sizes) {
            let parts = ProductShape(rawValue: choice.shape)?.rows == nil ? 1 : 4
            return tile.fits(parts: parts, operand: precision.byteCount, device)
        }
        return choice.sizes["GROUP"] ?? 1 <= device.largestWorkGroup
    }
}
