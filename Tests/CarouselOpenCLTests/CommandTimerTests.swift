import CarouselCore
@testable import CarouselOpenCL
import Testing

/// Commands that are timed compute what they compute otherwise, and are told in their order on the host's clock.
@Suite(.enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason))
struct CommandTimerTests {
    /// A product of whole numbers, and its result.
    private static func product(on backend: OpenCLBackend) throws -> [Float] {
        let a = try backend.makeTensor((0..<12).map { Float($0) }, shape: [3, 4]), b = try backend.makeTensor((0..<8).map { Float($0) }, shape: [4, 2])
        let c = try backend.makeTensor(shape: [3, 2])
        try backend.multiply(MatrixProduct(a, b, into: c))
        return try backend.readFloats(c)
    }

    @Test(arguments: OpenCLBackend.KernelFamily.allCases) func commandsAreToldInOrder(family: OpenCLBackend.KernelFamily) throws {
        let backend = try DeviceSupport.backend(family), expected: [Float] = [28, 34, 76, 98, 124, 162]
        #expect(try Self.product(on: backend) == expected)
        nonisolated(unsafe) var commands: [DeviceCommand] = []
        let before = HostClock.nanoseconds
        try backend.recordCommands { commands += $0 }
        #expect(try Self.product(on: backend) == expected)
        let after = HostClock.nanoseconds
        try backend.recordCommands(nil)
        #expect(try Self.product(on: backend) == expected)

        let kernels = commands.filter { $0.bytes == nil }
        #expect(kernels.last?.name == (family == .gpu ? "matmul_tiled" : "matmul_panels"))
        #expect(kernels.allSatisfy { $0.workItems.count == 3 && $0.groupSize.count == 3 })
        #expect(commands.filter { $0.name == "write" }.map(\.bytes) == [48, 32] && commands.last?.name == "read" && commands.last?.bytes == 24)
        for (command, next) in zip(commands, commands.dropFirst()) { #expect(command.ended <= next.started) }
        for command in commands {
            #expect(command.queued <= command.submitted && command.submitted <= command.started && command.started <= command.ended)
            // The clocks are those of one machine: a second is far more than they may differ.
            #expect(command.queued > before - 1_000_000_000 && command.ended < after + 1_000_000_000)
        }
    }

    /// More commands between two waits than events are held for.
    @Test func manyCommandsWaitNowAndThen() throws {
        let backend = try DeviceSupport.backend(.cpu), x = try backend.makeTensor(shape: [16])
        nonisolated(unsafe) var count = 0
        try backend.recordCommands { count += $0.count }
        for _ in 0 ..< CommandTimer.mostPending + 100 { try backend.fill(x, with: 1) }
        #expect(count == CommandTimer.mostPending)
        try backend.recordCommands(nil)
        #expect(count == CommandTimer.mostPending + 100)
    }
}
