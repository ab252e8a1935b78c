import CarouselCore
import Foundation

/// Built programs on disk, so that the second start does not compile.
///
/// A file holds a first line, the whole key, a checksum and the binary: a damaged file, or one whose name
/// collides, is taken as absent. Files are written under a temporary name and renamed, so that processes
/// starting together do not see halves. Problems with the disk only cost the time of building again.
struct BinaryCache {
    private static let magic = Data("carousel program 1\n".utf8)
    /// nil = off.
    let directory: URL?

    /// - Parameter directory: nil = `$XDG_CACHE_HOME/carousel` or `~/.cache/carousel`.
    ///   `CAROUSEL_KERNEL_CACHE=off` switches the cache off.
    init(directory: URL?, environment: [String: String]) {
        let isOff = environment[EnvironmentSettings.kernelCache.rawValue] == "off"
        self.directory = isOff ? nil : directory ?? CacheFolder.root(environment: environment)
    }

    /// Where the program with this key lies; nil when the cache is off.
    func file(for key: String) -> URL? {
        let bytes = Data(key.utf8)
        let name = Self.hex(Self.hash(bytes, seed: 0)) + Self.hex(Self.hash(bytes, seed: 0x9E37_79B9_7F4A_7C15))
        return directory?.appendingPathComponent(name + ".program")
    }

    func load(_ key: String) -> Data? {
        guard let file = file(for: key), let data = try? Data(contentsOf: file) else { return nil }
        let header = Self.header(key)
        guard data.count > header.count + 16, data.starts(with: header) else { return nil }
        let sum = data[header.count ..< header.count + 16]
        let binary = Data(data[(header.count + 16)...])
        return sum == Data(Self.hex(Self.hash(binary, seed: 1)).utf8) ? binary : nil
    }

    func store(_ binary: Data, for key: String) {
        guard let file = file(for: key), let directory else { return }
        let manager = FileManager.default
        try? manager.createDirectory(at: directory, withIntermediateDirectories: true)
        let temporary = directory.appendingPathComponent(".\(UUID().uuidString).temporary")
        let data = Self.header(key) + Data(Self.hex(Self.hash(binary, seed: 1)).utf8) + binary
        guard (try? data.write(to: temporary)) != nil else {
            try? manager.removeItem(at: temporary)
            return
        }
        if rename(temporary.path, file.path) != 0 { try? manager.removeItem(at: temporary) }
    }

    private static func header(_ key: String) -> Data { magic + Data("\(key.utf8.count)\n".utf8) + Data(key.utf8) }

    /// FNV-1a (Fowler, Noll, Vo) with 64 bits.
    private static func hash(_ data: Data, seed: UInt64) -> UInt64 {
        data.withUnsafeBytes { bytes in
            bytes.reduce(0xCBF2_9CE4_8422_2325 ^ seed) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
        }
    }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
