import CarouselCore
@testable import CarouselOpenCL
import Foundation
import Testing

@Suite("Programs, cache and errors", .serialized, .enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason))
struct ProgramTests {
    private func fill(_ backend: OpenCLBackend) throws -> [Float] {
        let x = try backend.makeTensor(shape: [5])
        try backend.fill(x, with: 3)
        return try backend.readFloats(x)
    }

    @Test func brokenKernelReportsTheCompilersLog() throws {
        try DeviceSupport.withFolder { folder in
            try "__kernel void vector_fill(__global float *x) { undeclared_thing = 1; }"
                .write(to: folder.appendingPathComponent("vector.cl"), atomically: true, encoding: .utf8)
            let backend = try DeviceSupport.backend(.cpu, adding: ["CAROUSEL_KERNEL_DIRECTORY": folder.path])
            do {
                _ = try fill(backend)
                Issue.record("a broken kernel was accepted")
            } catch let error as CarouselError {
                #expect(error.status == .internalError)
                #expect(error.message.contains("vector.cl"))
                #expect(error.message.contains("clBuildProgram"))
                #expect(error.message.contains("undeclared_thing"), "the log is missing: \(error.message)")
            }
        }
    }

    @Test func programsComeFromDiskAndDamagedOnesAreBuiltAgain() throws {
        try DeviceSupport.withFolder { folder in
            let on = ["CAROUSEL_KERNEL_CACHE": "on"]
            func compiled() throws -> Int {
                let backend = try DeviceSupport.backend(.cpu, cache: folder, adding: on)
                #expect(try fill(backend) == [3, 3, 3, 3, 3])
                return backend.programs.compiledCount
            }
            #expect(try compiled() == 1)
            #expect(try compiled() == 0)
            let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            #expect(files.count == 1)
            let file = try #require(files.first)
            let good = try Data(contentsOf: file)
            var flipped = good
            flipped[flipped.count - 10] ^= 0x40
            for damaged in [flipped, good.prefix(good.count / 2), Data(), good + Data([0])] {
                try Data(damaged).write(to: file)
                #expect(try compiled() == 1)
                #expect(try compiled() == 0)
            }
        }
    }

    @Test func cacheCanBeSwitchedOff() throws {
        try DeviceSupport.withFolder { folder in
            let backend = try DeviceSupport.backend(.cpu, cache: folder, adding: ["CAROUSEL_KERNEL_CACHE": "off"])
            _ = try fill(backend)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
        }
    }

    @Test func errorsHaveTheirStatus() throws {
        func status(_ body: () throws -> Void) -> CarouselCore.ExitStatus? {
            do { try body() } catch { return (error as? CarouselError)?.status }
            return nil
        }
        #expect(status { _ = try OpenCLBackend(device: 99) } == .deviceUnavailable)
        #expect(status { _ = try OpenCLBackend(device: -1) } == .deviceUnavailable)
        #expect(status { _ = try DeviceSupport.backend(.cpu, adding: ["CAROUSEL_KERNEL_FAMILY": "tpu"]) } == .badConfiguration)
        let backend = try DeviceSupport.backend(.cpu)
        #expect(status { _ = try backend.makeBuffer(count: 1 << 50, type: .float32) } == .outOfMemory)
        #expect(status { _ = try backend.makeBuffer(count: .max, type: .float32) } == .outOfMemory)
        let other = try DeviceSupport.backend(.cpu)
        let x = try other.makeTensor(shape: [2])
        #expect(status { try backend.fill(x, with: 0) } == .internalError)
    }

    @Test func scratchMemoryIsReused() throws {
        let backend = try DeviceSupport.backend(.cpu)
        for _ in 0..<3 { _ = try fill(backend) }
        let before = backend.allocatedBytes
        for _ in 0..<50 { _ = try fill(backend) }
        #expect(backend.allocatedBytes == before)
    }

    /// Without defines: each file has defaults for its parameters.
    @Test(arguments: OpenCLBackend.KernelFamily.allCases)
    func everyKernelFileBuilds(family: OpenCLBackend.KernelFamily) throws {
        let backend = try DeviceSupport.backend(family)
        let special: [KernelName] = family == .gpu
            ? [.matmulTiled, .rnnStep, .lstmStep, .gruStep, .recurrentForward(.lstm, .step), .recurrentBackward(.rnn, .sequence), .reduceRows, .poolingMean]
            : [.matmulPanels, .rnnRows, .lstmRows, .gruRows, .reduceRowPanels, .poolingMeanRows]
        let names = special + [.fill, .gather, .lossSoftmax, .sgd]
        for name in names { _ = try backend.programs.kernel(name, [:]) }
    }
}

@Suite("Discovery")
struct DiscoveryTests {
    @Test func devicesOrAReason() {
        let found = OpenCLBackend.devices()
        #expect(found.devices.isEmpty == (found.reason != nil))
        for (index, device) in found.devices.enumerated() {
            #expect(device.index == index)
            #expect(device.computeUnits > 0 && device.memory > 0 && device.largestAllocation > 0 && !device.name.isEmpty)
        }
    }
}
