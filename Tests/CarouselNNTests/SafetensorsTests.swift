import CarouselCore
import CarouselNN
import Foundation
import Testing

@Suite struct SafetensorsTests {
    static let sample = Safetensors(tensors: [
        HostTensor(name: "b", shape: [2, 3], values: .float32([1, -2, 3.5, 0, .greatestFiniteMagnitude, .leastNonzeroMagnitude])),
        HostTensor(name: "a", shape: [2], values: .float64([.pi, -1e300])),
        HostTensor(name: "n", shape: [3], values: .int32([1, -2, .max])),
        HostTensor(name: "l", shape: [1, 1], values: .int64([.min])),
        HostTensor(name: "scalar", shape: [], values: .float32([7])),
        HostTensor(name: "empty", shape: [0, 4], values: .float32([])),
    ], metadata: ["format": "pt", "note": "ä\n\"quoted\""])

    @Test func readsWhatItWrites() throws {
        let read = try Safetensors(data: try Self.sample.encoded(), name: "memory")
        #expect(read.metadata == Self.sample.metadata)
        for tensor in Self.sample.tensors { #expect(read[tensor.name] == tensor) }
        #expect(read.tensors.count == Self.sample.tensors.count)
    }

    @Test func headerIsPaddedAndWidestComesFirst() throws {
        let data = try Self.sample.encoded()
        let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        #expect(length % 8 == 0)
        #expect(try Safetensors(data: data, name: "memory").tensors.first?.name == "a")
    }

    /// Every prefix of a file is refused with the name of the file, and so are foreign and inconsistent files.
    @Test func refusesDamagedFiles() throws {
        let data = try Self.sample.encoded()
        for length in 0 ..< data.count {
            let error = #expect(throws: CarouselError.self) { try Safetensors(data: data.prefix(length), name: "cut.safetensors") }
            #expect(error?.status == .badData)
            #expect(error?.location == "cut.safetensors")
        }
        func file(_ header: String, body: Int) -> Data {
            var data = Data()
            withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { data.append(contentsOf: $0) }
            return data + Data(header.utf8) + Data(count: body)
        }
        let broken = [
            file("[]", body: 0), file("{\"a\":1}", body: 0), file("{", body: 0),
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", body: 4),
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", body: 4),
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,4]}}", body: 4),
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1000000000000],\"data_offsets\":[0,4000000000000]}}", body: 4),
            file("{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", body: 4),
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", body: 8),
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", body: 8),
            file("{\"__metadata__\":{\"k\":1}}", body: 0),
            Data([255, 255, 255, 255, 255, 255, 255, 255]) + Data(count: 100),
        ]
        for data in broken {
            #expect(throws: CarouselError.self) { try Safetensors(data: data, name: "broken") }
        }
        #expect(throws: CarouselError.self) { try Safetensors(contentsOf: "/no/such/file") }
    }
}
