import Carousel
@testable import CarouselOpenCL
import CarouselReference
import Foundation
import Testing

/// Mistakes planted one at a time in the kernels: the audit must find each and name where it is.
@Suite(.serialized, .enabled(if: AuditSamples.hasOpenCL, "no OpenCL device on this machine")) struct KernelFaultTests {
    private static let groups = [
        (KernelFaults.lstm, "everything"), (KernelFaults.gruResetAfter, "gru-reset-after"), (KernelFaults.gruResetBefore, "gru-reset-before"),
        (KernelFaults.rnn, "simple-rnn"), (KernelFaults.recurrentDropout, "recurrent-dropout"),
    ]

    /// One test, so that the programs without faults are built once.
    @Test func everyFaultIsNamed() throws {
        try AuditSamples.withFolder { cache in
            for (faults, model) in Self.groups {
                let audit = try Audit(AuditSamples.audited(model, variant: .pytorch), limits: AuditLimits(rows: 4, steps: 16, trainingSteps: 1, samples: 0))
                for family in OpenCLBackend.KernelFamily.allCases {
                    let planted = faults.filter { $0.family == family.rawValue }
                    guard !planted.isEmpty else { continue }
                    let sound = audit.run(on: try AuditSamples.openCL(family, cache: cache))
                    #expect(sound.verdict == .passed, "\(sound.lines(onlyBad: true).joined(separator: "\n"))")
                    for fault in planted {
                        let text = try Self.edited(fault)
                        let device = audit.run(on: try AuditSamples.openCL(family, cache: cache, replacing: [fault.file: text]))
                        expectNamed(fault, family, device)
                    }
                }
            }
        }
    }

    /// What operands that round to the other neighbour may do hides no wrong formula.
    @Test func faultsFailInLowerPrecision() throws {
        try AuditSamples.withFolder { cache in
            for (faults, model) in [(KernelFaults.rnn, "simple-rnn"), (KernelFaults.gruResetBefore, "gru-reset-before")] {
                let audit = try Audit(AuditSamples.audited(model, variant: .pytorch), limits: AuditLimits(rows: 4, steps: 16, trainingSteps: 1, samples: 0),
                                      precision: .bfloat16)
                let sound = audit.run(on: try AuditSamples.openCL(.cpu, cache: cache, precision: .bfloat16))
                #expect(sound.verdict == .passed, "\(sound.lines(onlyBad: true).joined(separator: "\n"))")
                for fault in faults {
                    let text = try Self.edited(fault)
                    let device = audit.run(on: try AuditSamples.openCL(.cpu, cache: cache, replacing: [fault.file: text], precision: .bfloat16))
                    expectNamed(fault, .cpu, device)
                }
            }
        }
    }

    private func expectNamed(_ fault: KernelFault, _ family: OpenCLBackend.KernelFamily, _ device: AuditedDevice) {
        let title = "\(fault.name), \(family.rawValue) kernels"
        #expect(device.verdict == .failed, "\(title)")
        #expect(device.problem == nil, "\(title)")
        func tensor(_ name: String) -> AuditTensor? { device.tensors.first { "\($0.kind.rawValue) \($0.name)" == name } }
        let named = tensor(fault.tensor)
        let table = device.lines(onlyBad: true).joined(separator: "\n")
        #expect(named?.verdict == .failed, "\(title): \(fault.tensor) is not named\n\(table)")
        #expect(fault.place.isEmpty || named?.worst.contains(fault.place) == true, "\(title): not at \(fault.place)\n\(table)")
        for name in fault.passing { #expect(tensor(name)?.verdict == .passed, "\(title): \(name) should pass\n\(table)") }
    }

    /// The file's text with the fault. Each edit must apply exactly once, so that faults cannot outlive the code.
    static func edited(_ fault: KernelFault) throws -> String {
        var text = try KernelSources(environment: [:]).text(fault.file)
        for edit in fault.edits {
            let places = text.ranges(of: edit.old).count
            try #require(places == 1, "\(fault.name): '\(edit.old)' occurs \(places) times in \(fault.file)")
            text = text.replacing(edit.old, with: edit.new)
        }
        return text
    }

    @Test func bothFamiliesHaveMany() {
        for family in OpenCLBackend.KernelFamily.allCases {
            #expect(Self.groups.flatMap(\.0).filter { $0.family == family.rawValue }.count >= 12)
        }
    }
}
