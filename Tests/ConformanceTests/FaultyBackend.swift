import CarouselCore
import CarouselReference

/// A correct device with one planted mistake.
final class FaultyBackend: Backend {
    let inner: ReferenceBackend
    let fault: Fault?

    /// - Parameter rounding: operands of products are rounded to it, though the device does not say so.
    init(_ fault: Fault?, rounding: Precision = .float32) {
        self.fault = fault
        inner = ReferenceBackend(precision: rounding)
    }

    var info: DeviceInfo { inner.info }
    var scalarType: ElementType { inner.scalarType }
    var allocatedBytes: Int { inner.allocatedBytes }

    func makeBuffer(count: Int, type: ElementType) throws -> any DeviceBuffer {
        try inner.makeBuffer(count: count, type: type)
    }

    func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) throws { try inner.write(bytes, to: tensor) }
    func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws { try inner.read(tensor, into: bytes) }
    func finish() throws { try inner.finish() }

    /// A copy of `tensor` with its values changed.
    func altered(_ tensor: Tensor, _ change: (inout [Double]) -> Void) throws -> Tensor {
        let copy = try makeTensor(shape: tensor.shape)
        var values = try readDoubles(tensor)
        change(&values)
        try write(values, to: copy)
        return copy
    }

    /// Changes the values of `tensor` in place.
    func alter(_ tensor: Tensor, _ change: (inout [Double]) -> Void) throws {
        var values = try readDoubles(tensor)
        change(&values)
        try write(values, to: tensor)
    }

    func flat(_ tensor: Tensor, _ range: Range<Int>) -> Tensor {
        Tensor(buffer: tensor.buffer, offset: tensor.offset + range.lowerBound, shape: [range.count])
    }
}

// MARK: vectors and matrices

extension FaultyBackend {
    func fill(_ tensor: Tensor, with value: Double) throws {
        let forgets = fault == .fillForgetsLastElement && tensor.count > 0
        try inner.fill(forgets ? flat(tensor, 0..<tensor.count - 1) : tensor, with: value)
    }

    func copyColumns(_ source: Tensor, from sourceColumn: Int, to target: Tensor, at targetColumn: Int, width: Int,
                     scale: Double, accumulate: Bool) throws {
        try inner.copyColumns(source, from: sourceColumn, to: target, at: targetColumn,
                              width: fault == .copyForgetsLastColumn ? max(0, width - 1) : width,
                              scale: fault == .copyIgnoresScale ? 1 : scale, accumulate: accumulate)
    }

    func multiply(_ a: Tensor, _ b: Tensor, into c: Tensor, accumulate: Bool) throws {
        try inner.multiply(a, b, into: c, accumulate: accumulate && fault != .multiplyIgnoresAccumulate)
    }

    func activate(_ activation: Activation, _ x: Tensor, into y: Tensor) throws {
        try inner.activate(activation, x, into: y)
        if fault == .activationOffByOnePartInTenThousand { try alter(y) { for i in $0.indices { $0[i] *= 1.0001 } } }
    }

    func activateBackward(_ activation: Activation, y: Tensor, dy: Tensor, into dx: Tensor) throws {
        let wrong = fault == .tanhSlopeForSigmoid && activation == .sigmoid
        try inner.activateBackward(wrong ? .tanh : activation, y: y, dy: dy, into: dx)
    }

    func dropout(_ x: Tensor, into y: Tensor, mask: DropoutMask) throws {
        var mask = mask
        if fault == .dropoutOfTheNextKey { mask.key &+= 1 }
        if fault == .dropoutIgnoresRows { mask.rows = nil }
        try inner.dropout(x, into: y, mask: mask)
        if fault == .dropoutWithoutScale { try alter(y) { for i in $0.indices { $0[i] *= 1 - mask.rate } } }
    }

    func multiply(_ product: MatrixProduct) throws {
        var p = product
        if fault == .productTransposed && p.b.shape[0] == p.b.shape[1] { p.transposeB.toggle() }
        if fault == .productIgnoresAccumulate { p.accumulate = false }
        if fault == .productForgetsBias { p.bias = nil }
        if fault == .productForgetsLastTerm && p.transposeA && !p.transposeB && p.k > 0 {
            p.a = p.a.rows(0..<p.a.shape[0] - 1)
            p.b = p.b.rows(0..<p.b.shape[0] - 1)
        }
        try inner.multiply(p)
        if fault == .productWritesBeyondItsResult { try inner.fill(flat(p.c, p.c.count..<p.c.count + 1), with: 0) }
        if fault == .productChangesItsInput && p.a.count > 0 { try inner.fill(flat(p.a, 0..<1), with: 0) }
    }

    func columnSums(of x: Tensor, into sums: Tensor, accumulate: Bool) throws {
        try inner.columnSums(of: x, into: sums, accumulate: accumulate && fault != .columnSumsIgnoreAccumulate)
    }
}

// MARK: embedding, pooling, loss

extension FaultyBackend {
    func gather(_ table: Tensor, rows: Tensor, into y: Tensor) throws {
        guard fault == .gatherReadsNextRow else { return try inner.gather(table, rows: rows, into: y) }
        let next = try readIntegers(rows).map { ($0 + 1) % Int32(table.shape[0]) }
        try inner.gather(table, rows: makeTensor(next, shape: rows.shape), into: y)
    }

    func segmentSums(of values: Tensor, index: RowIndex, into sums: Tensor) throws {
        try inner.segmentSums(of: values, index: index, into: sums)
        if fault == .segmentSumsForgetLastSegment && index.distinctCount > 0 {
            try inner.fill(sums.rows(index.distinctCount - 1..<index.distinctCount), with: 0)
        }
    }

    func scatterAdd(_ values: Tensor, rows: Tensor, into table: Tensor) throws {
        let count = fault == .scatterForgetsLastRow ? max(0, rows.count - 1) : rows.count
        try inner.scatterAdd(values.rows(0..<count), rows: rows.rows(0..<count), into: table)
    }

    func pool(_ pooling: Pooling, _ x: Tensor, layout: PackedLayout, into y: Tensor, argmax: Tensor?) throws {
        try inner.pool(pooling, x, layout: layout, into: y, argmax: argmax)
        let packed = layout.layout, width = x.shape[1]
        if fault == .meanOverAllSteps && pooling == .mean && packed.steps > 0 {
            try alter(y) { values in
                for i in values.indices { values[i] *= Double(packed.lengths[i / width]) / Double(packed.steps) }
            }
        }
        if fault == .argmaxOfEmptySequence, let argmax {
            try write(try readIntegers(argmax).map { max($0, 0) }, to: argmax)
        }
    }

    func poolBackward(_ pooling: Pooling, dy: Tensor, layout: PackedLayout, argmax: Tensor?, into dx: Tensor) throws {
        if fault == .poolBackwardOverwrites { try inner.fill(dx, with: 0) }
        try inner.poolBackward(pooling, dy: dy, layout: layout, argmax: argmax, into: dx)
    }

    func crossEntropy(_ loss: CrossEntropy) throws {
        var changed = loss
        if fault == .lossIgnoresSmoothing { changed.labelSmoothing = 0 }
        if fault == .lossIgnoresWeights { changed.weights = nil }
        if fault == .lossGradientNotScaled { changed.scale = 1 }
        try inner.crossEntropy(changed)
        if fault == .lossScaled { try alter(loss.losses) { for i in $0.indices { $0[i] *= loss.scale } } }
    }
}

// MARK: optimizers

extension FaultyBackend {
    private func other(_ variant: OptimizerVariant) -> OptimizerVariant { variant == .keras ? .pytorch : .keras }

    func squaredNorm(of x: Tensor, into sum: Tensor, accumulate: Bool) throws {
        try inner.squaredNorm(of: x, into: sum, accumulate: accumulate && fault != .normIgnoresAccumulate)
    }

    func clipByNorm(_ x: Tensor, squaredNorm: Tensor, maximum: Double, variant: OptimizerVariant) throws {
        let norm = try readDoubles(squaredNorm)[0].squareRoot()
        if fault == .clipAlways && norm > 0 {
            return try alter(x) { for i in $0.indices { $0[i] *= maximum / norm } }
        }
        try inner.clipByNorm(x, squaredNorm: squaredNorm, maximum: maximum,
                             variant: fault == .clipOfOtherVariant ? other(variant) : variant)
    }

    func scale(_ x: Tensor, by factor: Tensor) throws {
        guard fault != .scaleIgnoresFactor else { return }
        try inner.scale(x, by: factor)
    }

    func adjustLossScale(_ step: LossScaleStep) throws {
        var step = step
        if fault == .lossScaleGrowsEarly { step.rule.growthInterval -= 1 }
        if fault == .lossScaleHasNoFloor { step.rule.smallest /= 2 }
        try inner.adjustLossScale(step)
        if fault == .overflowIsNotSkipped { try inner.fill(step.skip, with: 0) }
    }

    func clipByValue(_ x: Tensor, limit: Double) throws { try inner.clipByValue(x, limit: limit) }

    func sgd(_ step: SGDStep, weights: Tensor, gradients: Tensor, velocity: Tensor?) throws {
        var step = step
        if fault == .sgdOfOtherVariant { step.variant = other(step.variant) }
        if fault == .sgdWithoutNesterov { step.nesterov = false }
        if fault == .sgdIgnoresFault { step.fault = nil }
        if fault == .sgdIgnoresDecay { step.weightDecay = 0 }
        try inner.sgd(step, weights: weights, gradients: gradients, velocity: velocity)
    }

    func adam(_ step: AdamStep, weights: Tensor, gradients: Tensor, m: Tensor, v: Tensor) throws {
        var step = step
        if fault == .adamOfOtherVariant { step.variant = other(step.variant) }
        if fault == .adamStepOffByOne { step.step += 1 }
        if fault == .adamIgnoresFault { step.fault = nil }
        if fault == .adamIgnoresDecay { step.weightDecay = 0 }
        try inner.adam(step, weights: weights, gradients: gradients, m: m, v: v)
    }

    func rmsprop(_ step: RMSpropStep, weights: Tensor, gradients: Tensor, v: Tensor, momentum: Tensor?) throws {
        var step = step
        if fault == .rmspropIgnoresFault { step.fault = nil }
        if fault == .rmspropOfOtherVariant { step.variant = other(step.variant) }
        try inner.rmsprop(step, weights: weights, gradients: gradients, v: v, momentum: momentum)
    }

    func average(_ weights: Tensor, into average: Tensor, decay: Double) throws {
        try inner.average(weights, into: average, decay: fault == .averageSwapped ? 1 - decay : decay)
    }

    func record(_ event: AdamEvent, as number: Int, in history: AdamHistory, fault watched: Tensor?) throws {
        try inner.record(event, as: number, in: history, fault: fault == .recordIgnoresFault ? nil : watched)
    }

    func adamRows(_ pass: AdamRowsPass) throws {
        var pass = pass
        if fault == .rowsForgetTheLast, let rows = pass.rows, rows.count > 0 {
            pass.rows = rows.rows(0..<rows.count - 1)
            pass.gradients = pass.gradients?.rows(0..<rows.count - 1)
        }
        if fault == .rowsIgnoreFault { pass.step.fault = nil }
        if fault == .rowsLoseTheirAverage { pass.table.average = nil }
        if fault == .rowsStepOffByOne { pass.step.step += 1 }
        let marks = try readIntegers(pass.table.history.marks)
        try inner.adamRows(pass)
        if fault == .rowsTakeEventsAgain { try write(marks, to: pass.table.history.marks) }
        if fault == .rowsRoundOtherwise { try alter(pass.table.weights) { for i in $0.indices { $0[i] *= 1 + 0x1p-50 } } }
    }
}
