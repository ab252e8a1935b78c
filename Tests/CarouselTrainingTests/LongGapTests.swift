import Carousel
import CarouselCPU
import CarouselCore
@testable import CarouselNN
import CarouselOpenCL
import CarouselReference
@testable import CarouselTraining
import Testing

/// Rows that nobody touches for more than a thousand steps, with every kind of number in them.
@Suite struct LongGapTests {
    private static let rows = 13, width = 37, count = 13 * 37

    /// Weights and moments as they are in trainings, and where rounding, underflow and signs of 0 could betray a shortcut.
    private static func start() -> (w: [Double], m: [Double], v: [Double]) {
        var generator = SeededGenerator(seed: 11, purpose: 2)
        func draw() -> Double { 2 * generator.uniform() - 1 }
        var w: [Double] = [], m: [Double] = [], v: [Double] = []
        for row in 0..<rows {
            for column in 0..<width {
                let g = draw()
                var (weight, first, second) = (0.05 * draw(), 1e-3 * g, 1e-6 * (g * g + 0.01))
                switch row {
                case 0: weight = column % 2 == 0 ? 0.0 : -0.0
                case 1: weight *= 1e-8
                case 2: (first, second) = (0, 0)
                case 3: first = 0
                case 4: (first, second) = (1e4 * g, 1e8 * g * g)
                case 5: (first, second) = (1e-37 * g, 1e-38)
                case 6: (first, second) = (1e-20 * g, 1e-36)
                case 7: (weight, first) = (-0.0, column % 3 == 0 ? 0 : 1e-12 * g)
                case 8: weight = 1e6 * draw()
                case 9: (first, second) = (1e-3 * g, 0)
                case 10: weight = 0x1p-20 * (1 + 1e-3 * draw())
                default: break
                }
                w.append(weight)
                m.append(first)
                v.append(second)
            }
        }
        return (w, m, v)
    }

    /// A schedule with a long warm-up, a fall to nothing and a step up in the middle.
    private static func rate(_ step: Int) -> Double {
        if step < 100 { return 1e-5 * Double(step + 1) }
        if step == 700 { return 0.1 }
        return 1e-3 * max(0, 1 - Double(step - 100) / 1000)
    }

    private struct Case { var variant: OptimizerVariant, decay: Double, epsilon: Double, first: Int, averages: Bool }
    private static let cases = [
        Case(variant: .keras, decay: 0, epsilon: 1e-7, first: 1, averages: false),
        Case(variant: .pytorch, decay: 0.01, epsilon: 1e-8, first: 400, averages: true),
        Case(variant: .pytorch, decay: 0, epsilon: 1e-30, first: 5000, averages: false),
        Case(variant: .keras, decay: 0.5, epsilon: 1e-3, first: 5000, averages: true),
    ]

    private static func bits(_ tensors: [Tensor], on backend: any Backend) throws -> [UInt64] {
        try tensors.flatMap { try backend.readDoubles($0).map(\.bitPattern) }
    }

    private static func compare(_ name: String, _ backend: any Backend, steps: Int) throws {
        let (w, m, v) = start(), shape: Shape = [rows, width]
        for item in cases {
            func buffers() throws -> [Tensor] { try [w, m, v, w].map { try backend.makeTensor($0, shape: shape) } }
            let whole = try buffers(), lazy = try buffers(), zeros = try backend.makeTensor([Double](repeating: 0, count: count), shape: shape)
            let table = try LazyTable(parameter: 0, weights: lazy[0], m: lazy[1], v: lazy[2], on: backend)
            if item.averages { try table.keep(average: lazy[3]) }
            let sound = try backend.makeTensor([0.0], shape: [1])
            for number in 0..<steps {
                let step = AdamStep(learningRate: rate(number), epsilon: item.epsilon, weightDecay: item.decay, variant: item.variant,
                                    step: item.first + number, fault: sound)
                try backend.adam(step, weights: whole[0], gradients: zeros, m: whole[1], v: whole[2])
                try table.update(step)
                if item.averages && number % 4 == 3 {
                    try backend.average(whole[0], into: whole[3], decay: 0.97)
                    try table.updateAverage(decay: 0.97, fault: sound)
                }
                // Some rows are looked at on the way, the others only in the end.
                if number % 97 == 50 { try table.catchUp(backend.makeTensor([Int32(number % 3), Int32(4 + number % 9)], shape: [2])) }
            }
            try table.settle()
            #expect(try bits(lazy, on: backend) == bits(whole, on: backend), "\(name), \(item)")
        }
    }

    @Test func onTheReference() throws { try Self.compare("reference", ReferenceBackend(), steps: 1400) }

    @Test(arguments: InstructionSet.allCases.filter(\.isAvailable)) func onTheCPU(_ instructions: InstructionSet) throws {
        try Self.compare(instructions.name, try CPUBackend(threads: 2, instructions: instructions), steps: 1400)
    }

    @Test func onOpenCL() throws {
        guard !OpenCLBackend.devices().devices.isEmpty else { return }
        for family in OpenCLBackend.KernelFamily.allCases {
            try Self.compare(family.plan, try OpenCLBackend(device: 0, family: family), steps: 500)
        }
    }

    /// The shortcut is allowed only where updates shrink: not where the rate rises faster than m falls, nor where ε is so
    /// small that v's underflow would show.
    @Test func stepsThatShrink() {
        func step(_ number: Int, rate: Double = 1e-3, epsilon: Double = 1e-8, decay: Double = 0, variant: OptimizerVariant = .pytorch, beta1: Double = 0.9) -> AdamStep {
            AdamStep(learningRate: rate, beta1: beta1, epsilon: epsilon, weightDecay: decay, variant: variant, step: number)
        }
        #expect(step(100).shrinks(after: step(99)))
        #expect(step(100, rate: 1.05e-3).shrinks(after: step(99)))
        #expect(!step(100, rate: 1.2e-3).shrinks(after: step(99)))
        #expect(!step(100, rate: 1e-3).shrinks(after: step(99, rate: 0)))
        #expect(!step(100, epsilon: 1e-20).shrinks(after: step(99, epsilon: 1e-20)))
        #expect(!step(50_000, beta1: 0.9995).shrinks(after: step(49_999, beta1: 0.9995)))
        #expect(!step(100, decay: 100).shrinks(after: step(99, decay: 100)))
        #expect(step(100, variant: .keras).shrinks(after: step(99, variant: .keras)))
    }
}
