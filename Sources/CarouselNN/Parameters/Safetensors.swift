import CarouselCore
import Foundation

/// The safetensors file format: an 8-byte little-endian header length, a JSON header, the packed bytes.
///
/// Reads F32, F64, I32 and I64. As strict as the reference reader: no holes, no overlaps, no bytes left
/// over, metadata of strings only. Every size is checked against the file's length before anything is
/// allocated.
public struct Safetensors: Sendable, Equatable {
    public var tensors: [HostTensor]
    public var metadata: [String: String]

    public init(tensors: [HostTensor], metadata: [String: String] = [:]) {
        self.tensors = tensors
        self.metadata = metadata
    }

    public subscript(name: String) -> HostTensor? { tensors.first { $0.name == name } }

    /// Reads a file.
    /// - Throws: `missingInput` if there is none, `badData` naming file and tensor if it is not safetensors.
    public init(contentsOf path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else {
            throw CarouselError(.missingInput, "there is no such file", at: path)
        }
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
        } catch {
            throw CarouselError(.inputOutput, "cannot be read: \(error.localizedDescription)", at: path)
        }
        try self.init(data: data, name: path)
    }

    /// - Parameters:
    ///   - name: what error messages call the data.
    ///   - isWanted: whether a tensor is to be copied out; the others are checked only.
    public init(data: Data, name: String, where isWanted: (String) -> Bool = { _ in true }) throws {
        func bad(_ message: String) -> CarouselError {
            CarouselError(.badData, message, at: name, hint: "is the file complete, and a .safetensors file? Copy or export it again")
        }
        guard data.count >= 8 else { throw bad("\(data.count) bytes are too few for a safetensors file") }
        let headerLength = data.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard headerLength <= 100_000_000, headerLength <= UInt64(data.count - 8) else {
            throw bad("not a safetensors file, or cut short: its header would be \(headerLength) bytes of \(data.count)")
        }
        let bodyStart = data.startIndex + 8 + Int(headerLength)
        let header = data[data.startIndex + 8 ..< bodyStart]
        guard header.first == UInt8(ascii: "{"),
              let object = try? JSONSerialization.jsonObject(with: header) as? [String: Any] else {
            throw bad("its header is not a JSON object")
        }
        let body = data[bodyStart...]
        var metadata: [String: String] = [:]
        var found: [(begin: Int, end: Int, name: String, tensor: HostTensor?)] = []
        for (key, value) in object {
            if key == "__metadata__" {
                guard let strings = value as? [String: String] else { throw bad("its metadata holds something other than strings") }
                metadata = strings
                continue
            }
            found.append(try Self.entry(key, value, body: body, isWanted: isWanted(key), bad: bad))
        }
        found.sort { ($0.begin, $0.end, $0.name) < ($1.begin, $1.end, $1.name) }
        var position = 0
        for entry in found {
            guard entry.begin == position else { throw bad("tensor '\(entry.name)' leaves a hole or overlaps another at byte \(position)") }
            position = entry.end
        }
        guard position == body.count else { throw bad("\(body.count - position) bytes belong to no tensor") }
        tensors = found.compactMap(\.tensor)
        self.metadata = metadata
    }

    private static func entry(_ key: String, _ value: Any, body: Data, isWanted: Bool, bad: (String) -> CarouselError)
        throws -> (begin: Int, end: Int, name: String, tensor: HostTensor?)
    {
        guard let entry = value as? [String: Any], let type = entry["dtype"] as? String,
              let extents = entry["shape"] as? [Int], let offsets = entry["data_offsets"] as? [Int], offsets.count == 2 else {
            throw bad("the entry of tensor '\(key)' lacks dtype, shape or data_offsets")
        }
        let widths = ["F32": 4, "F64": 8, "I32": 4, "I64": 8]
        guard let width = widths[type] else {
            throw bad("tensor '\(key)' has type \(type); Carousel reads F32, F64, I32 and I64")
        }
        guard extents.count <= Shape.highestRank else {
            throw bad("tensor '\(key)' has \(extents.count) axes; Carousel reads up to \(Shape.highestRank)")
        }
        var count = 1
        for extent in extents {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow else { throw bad("tensor '\(key)' has an impossible shape \(extents)") }
            count = product
        }
        let (begin, end) = (offsets[0], offsets[1])
        let (bytes, overflow) = count.multipliedReportingOverflow(by: width)
        guard begin >= 0, end >= begin, end <= body.count else {
            throw bad("tensor '\(key)' \(extents) lies outside the file (bytes \(begin) to \(end) of \(body.count)): it is cut short")
        }
        guard !overflow, end - begin == bytes else {
            throw bad("tensor '\(key)' \(extents) of \(type) does not fit its \(end - begin) bytes")
        }
        guard isWanted else { return (begin, end, key, nil) }
        let slice = body[body.startIndex + begin ..< body.startIndex + end]
        let values: HostTensor.Values
        switch type {
        case "F32": values = .float32(elements(slice, count, zero: 0))
        case "F64": values = .float64(elements(slice, count, zero: 0))
        case "I32": values = .int32(elements(slice, count, zero: 0))
        default: values = .int64(elements(slice, count, zero: 0))
        }
        return (begin, end, key, HostTensor(name: key, shape: Shape(extents), values: values))
    }

    private static func elements<T>(_ bytes: Data, _ count: Int, zero: T) -> [T] {
        var result = [T](repeating: zero, count: count)
        result.withUnsafeMutableBytes { _ = bytes.copyBytes(to: $0) }
        return result
    }

    /// The file's bytes: tensors with the widest elements first, then by name; header padded to 8 bytes.
    public func encoded() throws -> Data {
        func kind(_ tensor: HostTensor) -> (type: String, width: Int) {
            switch tensor.values {
            case .float32: ("F32", 4)
            case .float64: ("F64", 8)
            case .int32: ("I32", 4)
            case .int64: ("I64", 8)
            }
        }
        let sorted = tensors.sorted { (kind($1).width, $0.name) < (kind($0).width, $1.name) }
        var data = try Self.header(sorted.map { ($0.name, $0.shape, kind($0).type, kind($0).width) }, metadata: metadata)
        data.reserveCapacity(data.count + sorted.reduce(0) { $0 + $1.shape.count * kind($1).width })
        for tensor in sorted {
            switch tensor.values {
            case .float32(let v): v.withUnsafeBytes { data.append(contentsOf: $0) }
            case .float64(let v): v.withUnsafeBytes { data.append(contentsOf: $0) }
            case .int32(let v): v.withUnsafeBytes { data.append(contentsOf: $0) }
            case .int64(let v): v.withUnsafeBytes { data.append(contentsOf: $0) }
            }
        }
        return data
    }

    /// The beginning of a file of float32 tensors, up to the first byte of the first; the tensors follow it in this
    /// order without gaps. For files that are written tensor by tensor.
    public static func header(float32 tensors: [(name: String, shape: Shape)], metadata: [String: String]) throws -> Data {
        try header(tensors.map { ($0.name, $0.shape, "F32", 4) }, metadata: metadata)
    }

    private static func header(_ tensors: [(name: String, shape: Shape, type: String, width: Int)], metadata: [String: String]) throws -> Data {
        var header: [String: Any] = [:]
        if !metadata.isEmpty { header["__metadata__"] = metadata }
        var position = 0
        for tensor in tensors {
            let end = position + tensor.shape.count * tensor.width
            header[tensor.name] = ["dtype": tensor.type, "shape": tensor.shape.extents, "data_offsets": [position, end]] as [String: Any]
            position = end
        }
        var json = try JSONSerialization.data(withJSONObject: header, options: [.sortedKeys, .withoutEscapingSlashes])
        while json.count % 8 != 0 { json.append(UInt8(ascii: " ")) }
        var data = Data(capacity: 8 + json.count)
        withUnsafeBytes(of: UInt64(json.count).littleEndian) { data.append(contentsOf: $0) }
        data.append(json)
        return data
    }
}
