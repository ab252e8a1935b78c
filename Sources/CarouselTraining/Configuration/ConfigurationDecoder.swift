import CarouselCore

/// Decodes a `ConfigurationNode` strictly: a key that nothing asks for is an error, and so is a value of another
/// type. Which keys exist is learnt from the types themselves, by noting what their `init(from:)` asks for, so
/// no list of keys is written twice.
struct ConfigurationDecoder: Decoder {
    let node: ConfigurationNode
    let codingPath: [any CodingKey]
    let asked: AskedKeys
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    /// The keys asked for below each path.
    final class AskedKeys {
        var keys: [String: [String]] = [:]
    }

    /// - Throws: `badConfiguration` with the place, the full key and a hint.
    static func decode<T: Decodable>(_ type: T.Type, from node: ConfigurationNode) throws -> T {
        let decoder = ConfigurationDecoder(node: node, codingPath: [], asked: AskedKeys())
        let value: T
        do {
            value = try T(from: decoder)
        } catch let error as DecodingError {
            throw decoder.explain(error)
        }
        try decoder.refuseUnknownKeys(in: node, path: [])
        return value
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .mapping = node.value else { throw mismatch("keys with values") }
        let path = ConfigurationDecoder.path(codingPath)
        if asked.keys[path] == nil { asked.keys[path] = [] }
        return KeyedDecodingContainer(ConfigurationKeyedContainer<Key>(decoder: self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .list(let nodes) = node.value else { throw mismatch("a list") }
        return ConfigurationListContainer(decoder: self, nodes: nodes)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { ConfigurationValueContainer(decoder: self) }

    /// The decoder of a value below this one.
    func child(_ key: any CodingKey, _ node: ConfigurationNode) -> ConfigurationDecoder {
        ConfigurationDecoder(node: node, codingPath: codingPath + [key], asked: asked)
    }

    static func path(_ keys: [any CodingKey]) -> String {
        keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }

    func error(_ message: String, hint: String? = nil) -> CarouselError {
        let path = ConfigurationDecoder.path(codingPath)
        return CarouselError(.badConfiguration, path.isEmpty ? message : "\(path): \(message)", at: node.origin.description, hint: hint)
    }

    func mismatch(_ expected: String) -> CarouselError { error("expected \(expected), found \(node.kind)") }

    // MARK: values

    func bool() throws -> Bool {
        switch node.value {
        case .bool(let value): return value
        case .text("yes"), .text("on"): return true
        case .text("no"), .text("off"): return false
        default: throw mismatch("true or false")
        }
    }

    /// Text; a number is taken as it was written, since columns are named by number too.
    func string() throws -> String {
        switch node.value {
        case .text(let text), .number(let text): return text
        default: throw mismatch("text")
        }
    }

    func double() throws -> Double {
        guard case .number(let text) = node.value, let value = Double(text) else { throw mismatch("a number") }
        return value
    }

    func integer<I: FixedWidthInteger>(_ type: I.Type) throws -> I {
        let expected = I.isSigned ? "a whole number" : "a whole number of at least 0"
        guard case .number(let text) = node.value, let value = I(text) else { throw mismatch(expected) }
        return value
    }

    func value<T: Decodable>(_ type: T.Type) throws -> T {
        if let choices = type as? any (CaseIterable & RawRepresentable).Type {
            let names = Self.names(of: choices)
            if !names.isEmpty {
                let word = try? string()
                guard let word, names.contains(word) else {
                    let near = word.flatMap { Suggestion.nearest(to: $0, among: names) }
                    throw error("expected one of \(names.joined(separator: ", ")), found \(node.kind)",
                                hint: near.map { "did you mean '\($0)'?" })
                }
            }
        }
        do {
            return try T(from: self)
        } catch let error as DecodingError {
            throw explain(error)
        }
    }

    private static func names<C: CaseIterable & RawRepresentable>(of type: C.Type) -> [String] {
        C.allCases.compactMap { $0.rawValue as? String }
    }

    // MARK: errors

    /// Turns what an `init(from:)` threw into an error with a place.
    private func explain(_ error: DecodingError) -> CarouselError {
        switch error {
        case .keyNotFound(let key, _):
            // A misspelt key shows as a missing one: look for it among what nothing has asked for.
            let known = asked.keys[ConfigurationDecoder.path(codingPath)] ?? []
            if case .mapping(let entries) = node.value,
               let entry = entries.first(where: { !known.contains($0.key) && Suggestion.nearest(to: $0.key, among: [key.stringValue]) != nil }) {
                let prefix = codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
                return ConfigurationNode.unknownKey((prefix + [entry.key]).joined(separator: "."), among: [key.stringValue],
                                                    prefix: prefix, at: entry.origin)
            }
            return self.error("needs the key '\(key.stringValue)'")
        case .dataCorrupted(let context): return self.error(context.debugDescription)
        case .typeMismatch(_, let context), .valueNotFound(_, let context): return self.error(context.debugDescription)
        @unknown default: return self.error("\(error)")
        }
    }

    private func refuseUnknownKeys(in node: ConfigurationNode, path: [String]) throws {
        switch node.value {
        case .mapping(let entries):
            guard let known = asked.keys[path.joined(separator: ".")] else { return }
            for entry in entries {
                guard known.contains(entry.key) else {
                    let sections = path.isEmpty ? known.filter { asked.keys[$0]?.contains(entry.key) == true } : []
                    throw ConfigurationNode.unknownKey((path + [entry.key]).joined(separator: "."), among: known, prefix: path,
                                                       sections: sections, at: entry.origin)
                }
                try refuseUnknownKeys(in: entry.node, path: path + [entry.key])
            }
        case .list(let nodes):
            for (index, child) in nodes.enumerated() { try refuseUnknownKeys(in: child, path: path + [String(index)]) }
        default: return
        }
    }
}

private struct IndexKey: CodingKey {
    let index: Int
    var stringValue: String { String(index) }
    var intValue: Int? { index }
    init(_ index: Int) { self.index = index }
    init?(stringValue: String) { nil }
    init?(intValue: Int) { index = intValue }
}

private struct ConfigurationKeyedContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: ConfigurationDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }
    var allKeys: [Key] { decoder.node.keys.compactMap { Key(stringValue: $0) } }

    private func ask(_ key: Key) -> ConfigurationNode? {
        decoder.asked.keys[ConfigurationDecoder.path(codingPath), default: []].append(key.stringValue)
        return decoder.node[key.stringValue]
    }

    private func child(_ key: Key) throws -> ConfigurationDecoder {
        guard let node = ask(key) else {
            throw DecodingError.keyNotFound(key, .init(codingPath: codingPath, debugDescription: ""))
        }
        return decoder.child(key, node)
    }

    func contains(_ key: Key) -> Bool { ask(key) != nil }
    func decodeNil(forKey key: Key) throws -> Bool {
        guard let node = ask(key), case .null = node.value else { return decoder.node[key.stringValue] == nil }
        return true
    }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try child(key).bool() }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try child(key).string() }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try child(key).double() }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { Float(try child(key).double()) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try child(key).integer(type) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try child(key).integer(type) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try child(key).integer(type) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try child(key).integer(type) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try child(key).integer(type) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try child(key).integer(type) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try child(key).integer(type) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try child(key).integer(type) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try child(key).integer(type) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try child(key).integer(type) }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try child(key).value(type) }

    func nestedContainer<N: CodingKey>(keyedBy type: N.Type, forKey key: Key) throws -> KeyedDecodingContainer<N> {
        try child(key).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try child(key).unkeyedContainer() }
    func superDecoder() throws -> any Decoder { decoder }
    func superDecoder(forKey key: Key) throws -> any Decoder { try child(key) }
}

private struct ConfigurationListContainer: UnkeyedDecodingContainer {
    let decoder: ConfigurationDecoder
    let nodes: [ConfigurationNode]
    var currentIndex = 0
    var codingPath: [any CodingKey] { decoder.codingPath }
    var count: Int? { nodes.count }
    var isAtEnd: Bool { currentIndex >= nodes.count }

    init(decoder: ConfigurationDecoder, nodes: [ConfigurationNode]) {
        self.decoder = decoder
        self.nodes = nodes
    }

    private mutating func next() throws -> ConfigurationDecoder {
        guard !isAtEnd else { throw decoder.error("the list is too short: \(nodes.count)") }
        defer { currentIndex += 1 }
        return decoder.child(IndexKey(currentIndex), nodes[currentIndex])
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, case .null = nodes[currentIndex].value else { return false }
        currentIndex += 1
        return true
    }
    mutating func decode(_ type: Bool.Type) throws -> Bool { try next().bool() }
    mutating func decode(_ type: String.Type) throws -> String { try next().string() }
    mutating func decode(_ type: Double.Type) throws -> Double { try next().double() }
    mutating func decode(_ type: Float.Type) throws -> Float { Float(try next().double()) }
    mutating func decode(_ type: Int.Type) throws -> Int { try next().integer(type) }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try next().integer(type) }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try next().integer(type) }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try next().integer(type) }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try next().integer(type) }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try next().integer(type) }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try next().integer(type) }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try next().integer(type) }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try next().integer(type) }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try next().integer(type) }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try next().value(type) }
    mutating func nestedContainer<N: CodingKey>(keyedBy type: N.Type) throws -> KeyedDecodingContainer<N> {
        try next().container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try next() }
}

private struct ConfigurationValueContainer: SingleValueDecodingContainer {
    let decoder: ConfigurationDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }

    func decodeNil() -> Bool { if case .null = decoder.node.value { true } else { false } }
    func decode(_ type: Bool.Type) throws -> Bool { try decoder.bool() }
    func decode(_ type: String.Type) throws -> String { try decoder.string() }
    func decode(_ type: Double.Type) throws -> Double { try decoder.double() }
    func decode(_ type: Float.Type) throws -> Float { Float(try decoder.double()) }
    func decode(_ type: Int.Type) throws -> Int { try decoder.integer(type) }
    func decode(_ type: Int8.Type) throws -> Int8 { try decoder.integer(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try decoder.integer(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try decoder.integer(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try decoder.integer(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try decoder.integer(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try decoder.integer(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try decoder.integer(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try decoder.integer(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try decoder.integer(type) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try decoder.value(type) }
}
