import CarouselCore
import CarouselData
import CarouselNN
import Foundation

// A configuration comes from up to four layers; each wins over the ones before it:
// defaults < preset < file < settings (`--set`, and the options that stand for one).

extension RunConfiguration {
    /// One value given on the command line.
    public struct Setting: Sendable {
        /// Names and list positions, as `training.optimizer.beta1` or `model.layers.1.lstm.units`.
        public var key: String
        /// As YAML: `0.01`, `true`, `[mean, max]`.
        public var value: String
        /// What the user typed, for errors: `--set training.epochs=3`, `--epochs 3`.
        public var source: String

        public init(key: String, value: String, source: String) {
            self.key = key
            self.value = value
            self.source = source
        }

        /// - Parameter assignment: `key=value`.
        /// - Throws: `usage` (64) without an equals sign or a key.
        public init(_ assignment: String) throws {
            let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw CarouselError(.usage, "a setting is key=value", at: "--set \(assignment)",
                                    hint: "--set training.learning_rate=0.001")
            }
            self.init(key: String(parts[0]), value: String(parts[1]), source: "--set \(assignment)")
        }
    }

    /// Puts a configuration together and validates it.
    /// - Parameters:
    ///   - preset: nil = the file's own `preset`, or the default preset where the file gives no model either.
    ///   - file: YAML; any of the keys.
    ///   - settings: applied in order.
    /// - Throws: `badConfiguration` (78) with place, key and suggestion; `missingInput` (66) without the file.
    public static func resolve(preset: String? = nil, file: String? = nil, settings: [Setting] = []) throws -> RunConfiguration {
        let fileTree = try file.map(readTree)
        let named = try preset ?? fileTree?["preset"].flatMap { node in
            if case .null = node.value { return nil }
            return try ConfigurationDecoder(node: node, codingPath: [RunConfiguration.CodingKeys.preset], asked: .init()).string()
        }
        var tree: ConfigurationNode
        if named == nil, let fileTree, fileTree["model"]?["layers"] != nil {
            tree = fileTree
        } else {
            let origin = preset == nil ? fileTree?["preset"]?.origin.description : nil
            let start = try Preset.named(named ?? Preset.standard.name, at: origin)
            tree = try ConfigurationNode(encoding: start.configuration, source: "preset \(start.name)")
            if let fileTree { tree = tree.overlaid(by: fileTree) }
        }
        return try resolve(tree, settings)
    }

    /// Reads a configuration from a YAML file and validates it.
    /// - Throws: as `resolve`.
    public static func load(file: String) throws -> RunConfiguration { try resolve(file: file) }

    /// Sets one value: `training.learning_rate=0.01`, `model.layers.1.lstm.units=64`.
    /// - Throws: `usage` (64) without `=`; `badConfiguration` (78) for an unknown key or a wrong value.
    public mutating func set(_ assignment: String) throws { try set(Setting(assignment)) }

    /// Sets one value.
    /// - Throws: `badConfiguration` (78) for an unknown key or a wrong value.
    public mutating func set(_ setting: Setting) throws {
        let tree = try ConfigurationNode(encoding: self, source: "configuration")
        self = try Self.resolve(tree, [setting])
    }

    /// The whole configuration, every key written out; `load` reads it back equal.
    public func yaml() throws -> String {
        try ConfigurationNode.yaml(of: self)
    }

    private static func readTree(_ file: String) throws -> ConfigurationNode {
        guard FileManager.default.fileExists(atPath: file), let data = FileManager.default.contents(atPath: file) else {
            throw CarouselError(.missingInput, "cannot read the configuration", at: file, hint: "--config FILE.yaml, or --preset NAME")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw CarouselError(.badConfiguration, "is not UTF-8 text", at: file)
        }
        var tree = try ConfigurationNode(yaml: text, source: file, hasLines: true)
        // An empty file gives no key, which is not the same as giving nothing for all of them.
        if case .null = tree.value { tree.value = .mapping([]) }
        return tree
    }

    private static func resolve(_ sources: ConfigurationNode, _ settings: [Setting]) throws -> RunConfiguration {
        // Decoding fills in the defaults, so that every key there is can be set.
        var configuration = try ConfigurationDecoder.decode(RunConfiguration.self, from: sources)
        let complete = try ConfigurationNode(encoding: configuration, source: "defaults")
        var tree = complete.overlaid(by: sources, elementwise: true)
        for setting in settings {
            let value = try ConfigurationNode(yaml: setting.value, source: setting.source, hasLines: false)
            let path = setting.key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            try tree.replace(path[...], with: value)
        }
        if !settings.isEmpty { configuration = try ConfigurationDecoder.decode(RunConfiguration.self, from: tree) }
        do {
            try configuration.validate()
        } catch var error as CarouselError {
            // Validation names a key; say where that key was written as well.
            guard let key = error.location else { throw error }
            let path = key.split(separator: ".").map(String.init)
            if let node = (0..<path.count).lazy.compactMap({ tree.node(at: path.dropLast($0)) }).first {
                error.message = "\(key): \(error.message)"
                error.location = node.origin.description
            }
            throw error
        }
        return configuration
    }
}
