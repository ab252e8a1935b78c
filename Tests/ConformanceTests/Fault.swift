/// Mistakes the conformance suite must find: one is planted in a correct device at a time.
enum Fault: String, CaseIterable, Sendable {
    // vector
    case fillForgetsLastElement, copyForgetsLastColumn, copyIgnoresScale, multiplyIgnoresAccumulate
    case tanhSlopeForSigmoid, activationOffByOnePartInTenThousand
    case dropoutOfTheNextKey, dropoutIgnoresRows, dropoutWithoutScale
    // matrix
    case productTransposed, productIgnoresAccumulate, productForgetsBias, productForgetsLastTerm
    case columnSumsIgnoreAccumulate, productWritesBeyondItsResult, productChangesItsInput
    // embedding
    case gatherReadsNextRow, scatterForgetsLastRow, segmentSumsForgetLastSegment
    // pooling
    case meanOverAllSteps, argmaxOfEmptySequence, poolBackwardOverwrites
    // loss
    case lossIgnoresSmoothing, lossIgnoresWeights, lossScaled, lossGradientNotScaled
    // optimizer
    case normIgnoresAccumulate, clipOfOtherVariant, clipAlways, sgdOfOtherVariant, sgdWithoutNesterov, sgdIgnoresDecay
    case scaleIgnoresFactor, lossScaleGrowsEarly, lossScaleHasNoFloor, overflowIsNotSkipped
    case sgdIgnoresFault, adamIgnoresFault, rmspropIgnoresFault
    case adamOfOtherVariant, adamStepOffByOne, adamIgnoresDecay, rmspropOfOtherVariant, averageSwapped
    case rowsForgetTheLast, rowsTakeEventsAgain, rowsIgnoreFault, rowsLoseTheirAverage, rowsStepOffByOne, recordIgnoresFault
    case rowsRoundOtherwise
    // recurrent, forward
    case gatesSwapped, recurrentActivationTakenAsSigmoid, initialStateIgnored, initialCellIgnored
    case finalStateOneStepEarly, finalStateOfEmptySequenceIsZero, inferenceDiffers, previousStateNotKept
    case resetBeforeForAfter, candidateBiasOutsideReset, maskIgnored, maskOfTheNextSequence
    // recurrent, backward
    case outputGradientIgnored, finalGradientOnlyForLongest, finalCellGradientIgnored
    case inputGradientNotWritten, initialStateGradientNotWritten, initialCellGradientNotWritten
    case biasGradientStale, biasGradientOverwritten, recurrentGradientOverwritten, projectionGradientOverwritten
    case firstStepMissingInRecurrentGradient, lastStepMissingInInputGradient, maskMissingInStateGradient, unmaskedStateInRecurrentGradient

    /// The areas of the suite that must find it.
    var operations: Set<String> {
        switch self {
        case .fillForgetsLastElement, .copyForgetsLastColumn, .copyIgnoresScale, .multiplyIgnoresAccumulate,
             .tanhSlopeForSigmoid, .activationOffByOnePartInTenThousand, .dropoutOfTheNextKey, .dropoutIgnoresRows,
             .dropoutWithoutScale:
            ["vector"]
        case .productTransposed, .productIgnoresAccumulate, .productForgetsBias, .productForgetsLastTerm,
             .columnSumsIgnoreAccumulate, .productWritesBeyondItsResult, .productChangesItsInput:
            ["matrix"]
        case .gatherReadsNextRow, .scatterForgetsLastRow, .segmentSumsForgetLastSegment: ["embedding"]
        case .meanOverAllSteps, .argmaxOfEmptySequence, .poolBackwardOverwrites: ["pooling"]
        case .lossIgnoresSmoothing, .lossIgnoresWeights, .lossScaled, .lossGradientNotScaled: ["loss"]
        case .normIgnoresAccumulate, .clipOfOtherVariant, .clipAlways, .sgdOfOtherVariant, .sgdWithoutNesterov,
             .scaleIgnoresFactor, .lossScaleGrowsEarly, .lossScaleHasNoFloor, .overflowIsNotSkipped, .sgdIgnoresFault, .adamIgnoresFault, .rmspropIgnoresFault,
             .sgdIgnoresDecay, .adamOfOtherVariant, .adamStepOffByOne, .adamIgnoresDecay, .rmspropOfOtherVariant,
             .averageSwapped, .rowsForgetTheLast, .rowsTakeEventsAgain, .rowsIgnoreFault, .rowsLoseTheirAverage, .rowsStepOffByOne,
             .recordIgnoresFault, .rowsRoundOtherwise:
            ["optimizer"]
        case .resetBeforeForAfter, .candidateBiasOutsideReset: ["gru"]
        case .initialCellIgnored, .finalCellGradientIgnored, .initialCellGradientNotWritten,
             .projectionGradientOverwritten:
            ["lstm"]
        case .gatesSwapped, .recurrentActivationTakenAsSigmoid: ["lstm", "gru"]
        default: ["rnn", "lstm", "gru"]
        }
    }
}
