import CarouselCore
import CarouselOpenCL
import Testing

@Suite("Recurrent layers against Double loops", .serialized, .enabled(if: DeviceSupport.isAvailable, DeviceSupport.skipReason))
struct RecurrentTests {
    /// Both families, the gpu kernels step by step (RecurrentPlanTests has their other plans), all cells, activations of both kinds, ragged lengths with zeros, odd and even widths.
    @Test(arguments: OpenCLBackend.KernelFamily.allCases)
    func forwardAndBackward(family: OpenCLBackend.KernelFamily) throws {
        let backend = try DeviceSupport.backend(family, adding: ["CAROUSEL_RECURRENT_PLAN": "stepwise"])
        let cells = [RecurrentCell(.rnn), RecurrentCell(.lstm), RecurrentCell(.gru),
                     RecurrentCell(.gru, resetAfter: false), RecurrentCell(.rnn, activation: .relu),
                     RecurrentCell(.lstm, activation: .linear, recurrentActivation: .hardSigmoid)]
        let ragged = [6, 4, 4, 4, 4, 4, 4, 4, 4, 3, 3, 2, 1, 1, 0, 0]
        for cell in cells {
            for (hidden, input, state) in [(5, 4, nil), (17, 33, nil), (16, 3, 7)] as [(Int, Int, Int?)]
            where state == nil || cell.kind == .lstm {
                for variant in 0..<3 {
                    let test = RecurrentCase(cell: cell, lengths: ragged, input: input, hidden: hidden, state: state,
                                             indexed: variant == 1, biases: variant != 2, initialState: variant != 2,
                                             optionalGradients: variant != 2)
                    let errors = try test.errors(on: backend)
                    #expect(errors.forward < 1e-5, "\(cell), H \(hidden), variant \(variant)")
                    #expect(errors.backward < 5e-5, "\(cell), H \(hidden), variant \(variant): \(errors.worst)")
                }
            }
        }
    }

    @Test(arguments: OpenCLBackend.KernelFamily.allCases)
    func emptyBatches(family: OpenCLBackend.KernelFamily) throws {
        let backend = try DeviceSupport.backend(family)
        for kind in RecurrentCell.Kind.allCases {
            for lengths in [[0, 0], [1], [1, 0]] {
                let errors = try RecurrentCase(cell: RecurrentCell(kind), lengths: lengths).errors(on: backend)
                #expect(errors.forward < 1e-5 && errors.backward < 5e-5, "\(kind), lengths \(lengths)")
            }
        }
    }

    @Test func wrongShapesAreNamed() throws {
        let backend = try DeviceSupport.backend(.cpu)
        let x = try backend.makeTensor(shape: [2, 3])
        do {
            try backend.multiply(MatrixProduct(x, x, into: x))
            Issue.record("a product of [2, 3] and [2, 3] went through")
        } catch let error as CarouselError {
            #expect(error.status == .internalError)
            #expect(error.message.contains("[2, 3]"))
        }
    }
}
