@testable import CarouselOpenCL
import CarouselCore
import Foundation
import Testing

/// Probes tell what a device can do, and a refusal is an answer.
@Suite(.enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason)) struct DeviceProbeTests {
    private func ask(_ name: String) throws -> ProbeAnswer {
        try #require(DeviceProbe.all.first { $0.name == name }, "\(name)").run(device: 0)
    }

    @Test func namesAreDifferent() {
        #expect(Set(DeviceProbe.all.map(\.name)).count == DeviceProbe.all.count)
    }

    @Test func launchesAndTransfersAreMeasured() throws {
        for name in ["launch", "transfer"] {
            let answer = try ask(name)
            #expect(answer.outcome == .works && answer.facts.count >= 3, "\(answer)")
            for fact in answer.facts { #expect(fact.value > 0 && fact.value.isFinite, "\(fact)") }
        }
    }

    /// Bounded: work-groups that are not on the device together leave, and the probe says so.
    @Test func aBarrierIsMeasuredOrGivenUp() throws {
        let answer = try ask("barrier 1x")
        #expect([.works, .timedOut].contains(answer.outcome) && !answer.facts.isEmpty, "\(answer)")
    }

    @Test func whatTheCompilerRefusesIsQuoted() throws {
        let description = try OpenCLBackend.find(0).description
        guard !description.vendor.contains("NVIDIA") else { return }
        for name in ["mma bf16", "cp.async", "release acquire"] {
            let answer = try ask(name)
            #expect(answer.outcome == .refused && answer.message?.contains("this compiler does not write PTX") == true, "\(answer)")
        }
        #expect(try ask("ptx program").outcome == .notTried)
    }

    @Test func localMemoryIsRealOrRefused() throws {
        let bytes = try OpenCLBackend.find(0).description.localMemory
        for (name, size) in [("local 48K", 48), ("local 64K argument", 64)] where size << 10 <= bytes {
            #expect(try ask(name).outcome == .works, "\(name)")
        }
    }

    /// A wrong number is not a working device.
    @Test func aWrongResultIsFound() throws {
        let machine = try ProbeMachine(device: 0)
        let source = "__kernel void probe(__global uint *y) { y[get_local_id(0)] = get_local_id(0) == 7 ? 0 : get_local_id(0); }"
        let finding = try machine.check(try machine.kernel("probe", of: source), groups: 1, 32) { UInt32($0) }
        #expect(finding.outcome == .wrong && finding.message?.contains("place 7 holds 0") == true, "\(finding)")
        #expect(throws: ProbeRefusal.self) { try machine.kernel("probe", of: "__kernel void probe(__global uint *y) { y[0] = nothing; }") }
    }

    /// Work-groups that never meet: the answer is there in time.
    @Test func groupsThatCannotMeetGoHome() throws {
        let machine = try ProbeMachine(device: 0)
        guard machine.description.type == .cpu else { return }
        let finding = try machine.measureBarrier(.atomics, groups: machine.description.computeUnits * 8, patience: 20_000)
        #expect(finding.outcome == .timedOut && finding.message?.contains("gave up") == true, "\(finding)")
    }
}
