import CarouselCore
import CarouselNN

/// A recorded recurrent layer or stack, forward and backward, straight through the backend's operations.
struct GoldenLayer {
    private let file: GoldenFile
    private let cell: RecurrentCell
    private let time, batch, hidden, layers, stateWidth, directions: Int
    private let layout: SequenceLayout
    /// Row of the recorded batch at each place of ours (longest first).
    private let order: [Int]

    init(_ file: GoldenFile) throws {
        self.file = file
        cell = try file.cell()
        time = try file.size("time")
        batch = try file.size("batch")
        hidden = try file.size("hidden")
        layers = try file.size("layers")
        let projection = try file.size("projection", atLeast: 0)
        stateWidth = projection > 0 ? projection : hidden
        directions = try file.flag("bidirectional") ? 2 : 1
        // Asked before anything of these sizes is made: a file of some bytes may name any.
        _ = try file.tensor("input", [time, batch, try file.size("input")])
        let lengths = file.optional("lengths") == nil ? [Int](repeating: time, count: batch)
            : try file.integers("lengths", count: batch, in: 0..<time + 1)
        let order = lengths.indices.sorted { (lengths[$0], $1) > (lengths[$1], $0) }
        layout = SequenceLayout(lengths: order.map { lengths[$0] })
        self.order = order
    }

    func compare(on backend: any Backend) throws -> [GoldenComparison] {
        let tolerance = backend.scalarType == .float64 ? 1e-8 : 1e-5
        let packed = try PackedLayout(layout, on: backend)
        var comparisons: [GoldenComparison] = []
        func check(_ name: String, _ got: [Double]) throws {
            comparisons.append(.maximum(name, got, try file.tensor(name).doubles, tolerance: tolerance))
        }

        let width = try file.size("input")
        var values = try backend.makeTensor(pack(try file.tensor("input", [time, batch, width])), shape: [layout.rows, width])
        var passes: [[RecurrentPass]] = []
        for layer in 0..<layers {
            let merged = try backend.makeTensor(shape: [layout.rows, directions * stateWidth])
            var row: [RecurrentPass] = []
            for direction in 0..<directions {
                let x = direction == 1 ? try mirrored(values, packed, on: backend) : values
                let pass = try makePass(layer, direction, input: x, packed, on: backend)
                try backend.recurrentForward(pass)
                let y = direction == 1 ? try mirrored(pass.y, packed, on: backend) : pass.y
                try backend.copyColumns(y, from: 0, to: merged, at: direction * stateWidth, width: stateWidth, scale: 1, accumulate: false)
                row.append(pass)
            }
            passes.append(row)
            values = merged
        }
        try check("output", unpack(try backend.readDoubles(values), width: directions * stateWidth))
        try check("hn", try passes.joined().flatMap { restored(try backend.readDoubles($0.hT), width: stateWidth) })
        if cell.kind == .lstm {
            try check("cn", try passes.joined().flatMap { restored(try backend.readDoubles($0.cT!), width: hidden) })
        }

        let dOutput = try file.tensor("grad_output", [time, batch, directions * stateWidth])
        var dValues = try backend.makeTensor(pack(dOutput), shape: [layout.rows, directions * stateWidth])
        var dh0 = [[Double]](repeating: [], count: layers * directions), dc0 = dh0
        for layer in (0..<layers).reversed() {
            var total: Tensor?
            for direction in 0..<directions {
                let place = layer * directions + direction
                let pass = passes[layer][direction]
                var dy = try backend.makeTensor(shape: [layout.rows, stateWidth])
                try backend.copyColumns(dValues, from: direction * stateWidth, to: dy, at: 0, width: stateWidth, scale: 1, accumulate: false)
                if direction == 1 { dy = try mirrored(dy, packed, on: backend) }
                let gradients = RecurrentGradients(
                    dy: dy, dhT: try state("grad_hn", place, stateWidth, on: backend),
                    dcT: cell.kind == .lstm ? try state("grad_cn", place, hidden, on: backend) : nil,
                    dInput: try backend.makeTensor(shape: [layout.rows, pass.input.width]),
                    dh0: pass.h0 == nil ? nil : try backend.makeTensor(shape: [batch, stateWidth]),
                    dc0: pass.c0 == nil ? nil : try backend.makeTensor(shape: [batch, hidden]),
                    weights: try zeros(like: pass.weights, on: backend))
                try backend.recurrentBackward(pass, into: gradients)
                if let gradient = gradients.dh0 { dh0[place] = restored(try backend.readDoubles(gradient), width: stateWidth) }
                if let gradient = gradients.dc0 { dc0[place] = restored(try backend.readDoubles(gradient), width: hidden) }
                for (role, gradient) in roles(gradients.weights) {
                    try check("grad_\(role)_l\(layer)\(suffix(direction))", try backend.readDoubles(gradient))
                }
                let dInput = direction == 1 ? try mirrored(gradients.dInput!, packed, on: backend) : gradients.dInput!
                if let sum = total {
                    try backend.copyColumns(dInput, from: 0, to: sum, at: 0, width: dInput.shape[1], scale: 1, accumulate: true)
                } else {
                    total = dInput
                }
            }
            dValues = total!
        }
        try check("grad_input", unpack(try backend.readDoubles(dValues), width: dValues.shape[1]))
        if file.optional("grad_h0") != nil { try check("grad_h0", dh0.flatMap { $0 }) }
        if file.optional("grad_c0") != nil { try check("grad_c0", dc0.flatMap { $0 }) }
        return comparisons
    }

    private func suffix(_ direction: Int) -> String { direction == 1 ? "_reverse" : "" }

    private func roles(_ w: RecurrentWeights) -> [(String, Tensor)] {
        [("weight_ih", w.wIH), ("weight_hh", w.wHH), ("weight_hr", w.wHR), ("bias_ih", w.bIH), ("bias_hh", w.bHH)]
            .compactMap { name, tensor in tensor.map { (name, $0) } }
    }

    private func makePass(_ layer: Int, _ direction: Int, input: Tensor, _ packed: PackedLayout, on backend: any Backend) throws -> RecurrentPass {
        let rows = cell.gateCount * hidden
        func weight(_ role: String, _ shape: Shape) throws -> Tensor? {
            let name = "\(role)_l\(layer)\(suffix(direction))"
            guard file.optional(name) != nil else { return nil }
            return try backend.makeTensor(try file.tensor(name, shape).doubles, shape: shape)
        }
        guard let wIH = try weight("weight_ih", [rows, input.shape[1]]), let wHH = try weight("weight_hh", [rows, stateWidth]) else {
            throw CarouselError(.badData, "the weights of layer \(layer) are missing", at: file.path)
        }
        let place = layer * directions + direction
        return RecurrentPass(
            cell: cell, layout: packed, input: .dense(input),
            weights: RecurrentWeights(wIH: wIH, wHH: wHH, wHR: try weight("weight_hr", [stateWidth, hidden]),
                                      bIH: try weight("bias_ih", [rows]), bHH: try weight("bias_hh", [rows])),
            h0: try state("h0", place, stateWidth, on: backend),
            c0: cell.kind == .lstm ? try state("c0", place, hidden, on: backend) : nil,
            y: try backend.makeTensor(shape: [layout.rows, stateWidth]), hT: try backend.makeTensor(shape: [batch, stateWidth]),
            cT: cell.kind == .lstm ? try backend.makeTensor(shape: [batch, hidden]) : nil,
            activations: try RecurrentActivations(cell: cell, rows: layout.rows, hidden: hidden, state: stateWidth,
                                                  projected: stateWidth != hidden || file.optional("weight_hr_l0") != nil, on: backend))
    }

    private func zeros(like w: RecurrentWeights, on backend: any Backend) throws -> RecurrentWeights {
        func zero(_ tensor: Tensor) throws -> Tensor {
            let result = try backend.makeTensor(shape: tensor.shape)
            try backend.fill(result, with: 0)
            return result
        }
        return RecurrentWeights(wIH: try zero(w.wIH), wHH: try zero(w.wHH), wHR: try w.wHR.map(zero),
                                bIH: try w.bIH.map(zero), bHH: try w.bHH.map(zero))
    }

    private func mirrored(_ x: Tensor, _ packed: PackedLayout, on backend: any Backend) throws -> Tensor {
        let result = try backend.makeTensor(shape: x.shape)
        try backend.gather(x, rows: packed.reversedRows, into: result)
        return result
    }

    // MARK: Between [T, B, F] in the file's order and packed rows

    private func pack(_ tensor: HostTensor) -> [Double] {
        let width = tensor.shape[2], values = tensor.doubles
        var result: [Double] = []
        for t in 0..<layout.steps {
            for b in 0..<layout.activeRows[t] {
                let start = (t * batch + order[b]) * width
                result.append(contentsOf: values[start ..< start + width])
            }
        }
        return result
    }

    private func unpack(_ packed: [Double], width: Int) -> [Double] {
        var result = [Double](repeating: 0, count: time * batch * width)
        for t in 0..<layout.steps {
            for b in 0..<layout.activeRows[t] {
                let from = layout.row(step: t, sequence: b) * width, to = (t * batch + order[b]) * width
                for j in 0..<width { result[to + j] = packed[from + j] }
            }
        }
        return result
    }

    /// Slice `place` of a recorded state [L·D, B, F] in our order; nil if the file has none.
    private func state(_ name: String, _ place: Int, _ width: Int, on backend: any Backend) throws -> Tensor? {
        guard file.optional(name) != nil else { return nil }
        let values = try file.tensor(name, [layers * directions, batch, width]).doubles
        return try backend.makeTensor(order.flatMap { row in
            let start = (place * batch + row) * width
            return values[start ..< start + width]
        }, shape: [batch, width])
    }

    /// A state [B, F] in the file's order.
    private func restored(_ values: [Double], width: Int) -> [Double] {
        var result = values
        for (b, row) in order.enumerated() {
            for j in 0..<width { result[row * width + j] = values[b * width + j] }
        }
        return result
    }
}
