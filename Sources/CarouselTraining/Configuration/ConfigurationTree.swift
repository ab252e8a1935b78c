import CarouselCore
import Foundation
import Yams

/// Where a value of a configuration was written: a place in a file, or the option that gave it.
struct ConfigurationOrigin: Sendable, Equatable {
    /// A file's path, `--set key=value`, or `preset NAME`.
    var source: String
    /// 1-based; nil where the source has no lines.
    var line: Int?
    var column: Int?

    var description: String {
        guard let line else { return source }
        return "\(source):\(line):\(column ?? 1)"
    }

    fileprivate init(_ source: String, _ mark: Mark? = nil, hasLines: Bool = false) {
        self.source = source
        line = hasLines ? mark?.line : nil
        column = hasLines ? mark?.column : nil
    }
}

/// A configuration as a tree whose every value knows where it was written, so that layers of configuration can
/// be laid over each other and an error can still name the file and line it comes from.
struct ConfigurationNode: Sendable {
    struct Entry: Sendable {
        var key: String
        var origin: ConfigurationOrigin
        var node: ConfigurationNode
    }

    enum Value: Sendable {
        case null
        case bool(Bool)
        /// A number as it was written.
        case number(String)
        case text(String)
        case list([ConfigurationNode])
        case mapping([Entry])
    }

    var value: Value
    var origin: ConfigurationOrigin

    /// As a message says it.
    var kind: String {
        switch value {
        case .null: "nothing"
        case .bool(let value): "\(value)"
        case .number(let text): "the number \(text)"
        case .text(let text): "the text '\(text)'"
        case .list(let nodes): "a list of \(nodes.count)"
        case .mapping: "keys with values"
        }
    }

    /// The node at a key or a list position; nil where there is none.
    subscript(key: String) -> ConfigurationNode? {
        switch value {
        case .mapping(let entries): return entries.first { $0.key == key }?.node
        case .list(let nodes):
            guard let index = Int(key), nodes.indices.contains(index) else { return nil }
            return nodes[index]
        default: return nil
        }
    }

    /// The node at a path of keys and list positions.
    func node(at path: some Sequence<String>) -> ConfigurationNode? {
        var node: ConfigurationNode? = self
        for key in path { node = node?[key] }
        return node
    }

    /// Keys or list positions below this node.
    var keys: [String] {
        switch value {
        case .mapping(let entries): entries.map(\.key)
        case .list(let nodes): nodes.indices.map(String.init)
        default: []
        }
    }

    /// This tree with `upper` laid over it: keys of `upper` win, keys it lacks stay.
    /// - Parameter elementwise: lists of one length are laid over each other too; otherwise a list is replaced whole.
    func overlaid(by upper: ConfigurationNode, elementwise: Bool = false) -> ConfigurationNode {
        switch (value, upper.value) {
        case (.mapping(var entries), .mapping(let uppers)):
            for entry in uppers {
                if let index = entries.firstIndex(where: { $0.key == entry.key }) {
                    entries[index].node = entries[index].node.overlaid(by: entry.node, elementwise: elementwise)
                    entries[index].origin = entry.origin
                } else {
                    entries.append(entry)
                }
            }
            return ConfigurationNode(value: .mapping(entries), origin: upper.origin)
        case (.list(let lowers), .list(let uppers)) where elementwise && lowers.count == uppers.count:
            let nodes = zip(lowers, uppers).map { $0.overlaid(by: $1, elementwise: true) }
            return ConfigurationNode(value: .list(nodes), origin: upper.origin)
        default:
            return upper
        }
    }

    /// Replaces the node at an existing path.
    /// - Throws: `badConfiguration` with the nearest known key where a key of the path does not exist.
    mutating func replace(_ path: ArraySlice<String>, with node: ConfigurationNode, done: [String] = []) throws {
        guard let key = path.first else {
            self = node
            return
        }
        guard var child = self[key] else { throw unknown(key, at: node.origin, under: done) }
        try child.replace(path.dropFirst(), with: node, done: done + [key])
        switch value {
        case .mapping(var entries):
            for index in entries.indices where entries[index].key == key { entries[index].node = child }
            value = .mapping(entries)
        case .list(var nodes):
            if let index = Int(key) { nodes[index] = child }
            value = .list(nodes)
        default: break
        }
    }

    private func unknown(_ key: String, at origin: ConfigurationOrigin, under done: [String]) -> CarouselError {
        let full = (done + [key]).joined(separator: ".")
        if case .list(let nodes) = value {
            return CarouselError(.badConfiguration, "\(done.joined(separator: ".")) is a list of \(nodes.count): there is no '\(key)' in it",
                                 at: origin.description, hint: nodes.isEmpty ? nil : "a position from 0 to \(nodes.count - 1)")
        }
        let sections = done.isEmpty ? keys.filter { self[$0]?.keys.contains(key) == true } : []
        return Self.unknownKey(full, among: keys, prefix: done, sections: sections, at: origin)
    }

    /// The error for a key nobody reads, with the nearest known one.
    /// - Parameter sections: for a key at the top, the sections that do know it.
    static func unknownKey(_ full: String, among known: [String], prefix: [String], sections: [String] = [],
                           at origin: ConfigurationOrigin) -> CarouselError {
        // A decoder may have asked for a key more than once.
        let known = known.enumerated().filter { !known[..<$0.offset].contains($0.element) }.map(\.element)
        let key = full.split(separator: ".").last.map(String.init) ?? full
        let place = prefix.isEmpty ? "" : " of \(prefix.joined(separator: "."))"
        let hint: String
        if known.isEmpty {
            hint = "\(prefix.joined(separator: ".")) has no keys below it"
        } else if let section = sections.first {
            hint = "did you mean '\(section).\(key)'?"
        } else if let near = Suggestion.nearest(to: key, among: known) {
            hint = "did you mean '\((prefix + [near]).joined(separator: "."))'?"
        } else {
            hint = "one of the keys\(place): \(known.joined(separator: ", "))"
        }
        return CarouselError(.badConfiguration, "unknown key '\(full)'", at: origin.description, hint: hint)
    }
}

extension ConfigurationNode {
    /// Reads YAML.
    /// - Parameters:
    ///   - source: named in errors.
    ///   - hasLines: whether a line of `yaml` is a line the user can open.
    /// - Throws: `badConfiguration` with file, line and column.
    init(yaml: String, source: String, hasLines: Bool) throws {
        let origin = ConfigurationOrigin(source)
        func fail(_ problem: String, _ mark: Mark?) -> CarouselError {
            CarouselError(.badConfiguration, "not valid YAML: \(problem)",
                          at: ConfigurationOrigin(source, mark, hasLines: hasLines).description,
                          hint: hasLines ? "indent with spaces, write `key: value`, and quote text that holds : or #" : nil)
        }
        // The parser itself compares and hashes keys with all that their aliases stand for.
        guard Self.expandedSize(yaml) <= Self.largest else {
            throw CarouselError(.badConfiguration, "is too large for a configuration, or its aliases (*name) stand for too much",
                                at: origin.description, hint: "write values out instead of naming them")
        }
        do {
            guard let root = try Yams.compose(yaml: yaml) else {
                self.init(value: .null, origin: origin)
                return
            }
            var budget = 100_000
            self = try Self(root, source: source, hasLines: hasLines, budget: &budget)
        } catch let error as YamlError {
            switch error {
            case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
                 .composer(let context, let problem, let mark, _):
                throw fail([context?.text, problem].compactMap { $0 }.joined(separator: ", "), mark)
            case .reader(let problem, _, _, _): throw fail(problem, nil)
            case .duplicatedKeysInMapping(let keys, let context):
                throw fail("the key '\(keys.joined(separator: "', '"))' is given twice", context.mark)
            default: throw fail("\(error)", nil)
            }
        }
    }

    /// Bytes of YAML with every alias written out.
    private static let largest = 1 << 20

    /// At least the bytes that `yaml` has once every alias (`*name`) is replaced by what stands from its anchor
    /// (`&name`) to the alias. Marks inside texts count too.
    private static func expandedSize(_ yaml: String) -> Int {
        var size = 0
        var anchors: [[UInt8]: Int] = [:]
        var rest = yaml.utf8[...]
        while let byte = rest.popFirst() {
            size += 1
            guard byte == UInt8(ascii: "&") || byte == UInt8(ascii: "*") else { continue }
            let name = Array(rest.prefix { $0 > 0x20 && !",[]{}&*".utf8.contains($0) })
            if byte == UInt8(ascii: "&") {
                anchors[name] = size
            } else if let start = anchors[name] {
                size += size - start
                guard size <= largest else { return size }
            }
        }
        return size
    }

    private init(_ node: Node, source: String, hasLines: Bool, budget: inout Int) throws {
        let origin = ConfigurationOrigin(source, node.mark, hasLines: hasLines)
        budget -= 1 // Aliases of aliases can stand for more nodes than there is memory.
        guard budget > 0 else {
            throw CarouselError(.badConfiguration, "holds more than 100000 values", at: origin.description)
        }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            self.init(value: isPlain ? Self.plain(scalar.string) : .text(scalar.string), origin: origin)
        case .sequence(let nodes):
            var list: [ConfigurationNode] = []
            for node in nodes { list.append(try Self(node, source: source, hasLines: hasLines, budget: &budget)) }
            self.init(value: .list(list), origin: origin)
        case .mapping(let pairs):
            var entries: [Entry] = []
            for (key, child) in pairs {
                guard let name = key.string else {
                    throw CarouselError(.badConfiguration, "a key must be a word", at: origin.description)
                }
                entries.append(Entry(key: name, origin: ConfigurationOrigin(source, key.mark, hasLines: hasLines),
                                     node: try Self(child, source: source, hasLines: hasLines, budget: &budget)))
            }
            self.init(value: .mapping(entries), origin: origin)
        case .alias:
            throw CarouselError(.badConfiguration, "an alias (*name) without its anchor", at: origin.description)
        }
    }

    /// An unquoted word, by the rules of YAML 1.2's core schema (in which `no` and `on` are words).
    private static func plain(_ text: String) -> Value {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".inf", ".Inf", "+.inf": return .number("inf")
        case "-.inf", "-.Inf": return .number("-inf")
        case ".nan", ".NaN": return .number("nan")
        default:
            let startsAsNumber = text.first.map { "+-.0123456789".contains($0) } ?? false
            return startsAsNumber && (Double(text) != nil || UInt64(text) != nil) ? .number(text) : .text(text)
        }
    }

    /// The tree of a value, every key of it.
    init(encoding value: some Encodable, source: String) throws {
        try self.init(yaml: try Self.yaml(of: value), source: source, hasLines: false)
    }

    /// A value as YAML, every key of it, with numbers as people write them: 0.001, where Yams has 1e-3.
    /// - Throws: `internalError`.
    static func yaml(of value: some Encodable) throws -> String {
        do {
            let tree = try Yams.compose(yaml: try YAMLEncoder().encode(value)) ?? Node([(Node, Node)]())
            let encoder = JSONEncoder()
            encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: ".inf", negativeInfinity: "-.inf", nan: ".nan")
            // JSON is YAML; what the parser does not take in texts does not matter for numbers.
            let json = String(decoding: try encoder.encode(value).filter { (0x20..<0x7F).contains($0) }, as: UTF8.self)
            let numbers = try Yams.compose(yaml: json)
            return try Yams.serialize(node: exact(tree, numbers), allowUnicode: true)
        } catch {
            throw CarouselError(.internalError, "a configuration cannot be written: \(error)")
        }
    }

    /// The same tree with the exact `numbers` of the other one: Yams keeps 15 digits, too few to read the same number back.
    private static func exact(_ node: Node, _ numbers: Node?) -> Node {
        switch node {
        case .mapping(let pairs):
            return Node(pairs.map { ($0.key, exact($0.value, $0.key.string.flatMap { numbers?[$0] })) })
        case .sequence(let nodes):
            return Node(nodes.enumerated().map { exact($0.element, numbers?[$0.offset]) })
        case .scalar(let scalar):
            guard scalar.style == .plain, Int(scalar.string) == nil, UInt64(scalar.string) == nil, scalar.string.first?.isLetter != true,
                  Double(scalar.string) != nil, let number = numbers?.scalar.flatMap({ Double($0.string) }), number.isFinite else { return node }
            return Node("\(number)", Tag(.float), .plain)
        case .alias: return node
        }
    }
}
