import CVector
import CarouselCore
@testable import CarouselCPU
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The polynomial functions of every instruction set against libm in Double.
@Suite struct VectorMathTests {
    static let available = InstructionSet.allCases.filter(\.isAvailable)

    /// Every 997th float32 bit pattern of magnitude up to `limit`, both signs.
    static func sweep(limit: Float) -> [Float] {
        stride(from: Float(1e-30).bitPattern, through: limit.bitPattern, by: 9973).flatMap { bits in
            [Float(bitPattern: bits), -Float(bitPattern: bits)]
        }
    }

    /// Largest error in units of the last place of the right result.
    static func error(_ activation: Activation, _ set: InstructionSet, _ reference: (Double) -> Double) throws -> Double {
        let backend = try CPUBackend(threads: 1, instructions: set)
        let inputs = sweep(limit: 80)
        let x = try backend.makeTensor(inputs, shape: [inputs.count])
        try backend.activate(activation, x, into: x)
        let results = try backend.readFloats(x)
        var worst = 0.0
        for (input, result) in zip(inputs, results) {
            let right = reference(Double(input))
            let unit = max(Double(Float(right).ulp), 0x1p-149)
            worst = max(worst, abs(Double(result) - right) / unit)
        }
        return worst
    }

    @Test(arguments: available) func sigmoidIsWithinAFewUnits(_ set: InstructionSet) throws {
        let worst = try Self.error(.sigmoid, set) { 1 / (1 + exp(-$0)) }
        #expect(worst < 4)
    }

    @Test(arguments: available) func tanhIsWithinAFewUnits(_ set: InstructionSet) throws {
        let worst = try Self.error(.tanh, set) { tanh($0) }
        #expect(worst < 4)
    }

    @Test(arguments: available) func specialValuesKeepTheirMeaning(_ set: InstructionSet) throws {
        let backend = try CPUBackend(threads: 1, instructions: set)
        let inputs: [Float] = [.infinity, -.infinity, .nan, 0, -0.0, 1000, -1000]
        func results(_ activation: Activation) throws -> [Float] {
            let x = try backend.makeTensor(inputs, shape: [inputs.count])
            try backend.activate(activation, x, into: x)
            return try backend.readFloats(x)
        }
        let t = try results(.tanh), s = try results(.sigmoid), h = try results(.hardSigmoid), r = try results(.relu)
        #expect(t[0] == 1 && t[1] == -1 && t[2].isNaN && t[3] == 0 && t[5] == 1 && t[6] == -1)
        #expect(s[0] == 1 && s[1] < 1e-37 && s[2].isNaN && s[3] == 0.5 && s[5] == 1)
        #expect(h[0] == 1 && h[1] == 0 && h[2].isNaN && h[3] == 0.5)
        #expect(r[0] == .infinity && r[1] == 0 && r[2].isNaN)
    }

    @Test func instructionSetsWithFusedMultiplyAddAgreeToTheBit() throws {
        guard InstructionSet.avx512.isAvailable else { return }
        let inputs = Self.sweep(limit: 80)
        for activation in Activation.allCases {
            var results: [[UInt32]] = []
            for set in [InstructionSet.avx2, .avx512] {
                let backend = try CPUBackend(threads: 1, instructions: set)
                let x = try backend.makeTensor(inputs, shape: [inputs.count])
                try backend.activate(activation, x, into: x)
                results.append(try backend.readFloats(x).map(\.bitPattern))
            }
            #expect(results[0] == results[1], "\(activation)")
        }
    }

    @Test(arguments: available) func dropoutFollowsTheCounterBasedGenerator(_ set: InstructionSet) throws {
        let backend = try CPUBackend(threads: 1, instructions: set)
        let mask = DropoutMask(rate: 0.4, key: 77, rows: try backend.makeTensor([2, 0, 5] as [Int32], shape: [3]))
        let x = try backend.makeTensor([Float](repeating: 1, count: 3 * 21), shape: [3, 21])
        try backend.dropout(x, into: x, mask: mask)
        var expected: [Float] = []
        for row in [2, 0, 5] {
            for j in 0..<21 {
                let bits = RandomGenerator.bits(key: 77, counter: UInt64(row * 21 + j)).0
                expected.append(bits >= mask.threshold ? Float(1 / (1 - 0.4)) : 0)
            }
        }
        #expect(try backend.readFloats(x) == expected)
    }
}
