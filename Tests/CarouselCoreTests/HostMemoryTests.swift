@testable import CarouselCore
import Foundation
import Testing

/// The figures of the system, from folders made for the test.
@Suite struct HostMemoryTests {
    private let root: String

    init() throws {
        root = FileManager.default.temporaryDirectory.appendingPathComponent("carousel-\(UUID().uuidString)").path + "/"
        try write("MemTotal:  4096 kB\nMemAvailable:  2048 kB\n", to: "proc/meminfo")
    }

    private func write(_ text: String, to path: String) throws {
        let file = root + path
        try FileManager.default.createDirectory(atPath: String(file[..<file.lastIndex(of: "/")!]), withIntermediateDirectories: true)
        try text.write(toFile: file, atomically: true, encoding: .utf8)
    }

    private func available(limit: Int? = nil) -> Int {
        defer { try? FileManager.default.removeItem(atPath: root) }
        return HostMemory.available(root: root, limit: limit)
    }

    @Test func theMachine() { #expect(available() == 2048 * 1024) }
    @Test func aLimitOfTheProcess() { #expect(available(limit: 1000) == 1000) }

    @Test func aControlGroupOfVersion2() throws {
        try write("0::/app/job\n", to: "proc/self/cgroup")
        try write("max\n", to: "sys/fs/cgroup/app/job/memory.max")
        try write("700000\n", to: "sys/fs/cgroup/app/job/memory.current")
        try write("1000000\n", to: "sys/fs/cgroup/app/memory.max")
        try write("700000\n", to: "sys/fs/cgroup/app/memory.current")
        try write("anon 600000\ninactive_file 100000\n", to: "sys/fs/cgroup/app/memory.stat")
        #expect(available() == 400_000, "the group above limits too, and cached files give way")
    }

    @Test func aControlGroupOfVersion1() throws {
        try write("5:cpu:/x\n4:memory:/x\n0::/\n", to: "proc/self/cgroup")
        try write("500000\n", to: "sys/fs/cgroup/memory/x/memory.limit_in_bytes")
        try write("200000\n", to: "sys/fs/cgroup/memory/x/memory.usage_in_bytes")
        try write("9223372036854771712\n", to: "sys/fs/cgroup/memory/memory.limit_in_bytes")
        try write("900000\n", to: "sys/fs/cgroup/memory/memory.usage_in_bytes")
        #expect(available() == 300_000)
    }

    @Test func unknown() throws {
        try FileManager.default.removeItem(atPath: root)
        #expect(available() == 0)
    }

    @Test func thisMachine() { #expect(HostMemory.available > 1 << 20) }
}
