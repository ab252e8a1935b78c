// Gathers the functions of one instruction set into its table. Defines: WIDTH, PANEL, TABLE, NAME.
#include "Vectors.h"
#include "Bfloat16.h"
#include "Compact.h"
#include "Elements.h"
#include "AdamRows.h"
#include "Coming.h"
#include "Product.h"
#include "LongProduct.h"
#include "Recurrent.h"
#include "RNN.h"
#include "LSTM.h"
#include "GRU.h"
#include "Peak.h"

static void recurrentForward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    switch (p->kind) {
    case cvLSTM: lstmForward(p, s, row, work); break;
    case cvGRU: gruForward(p, s, row, work); break;
    default: rnnForward(p, s, row, work); break;
    }
}

static void recurrentBackward(const cvRecurrent *p, const cvRecurrentAreas *s, long row, float *work) {
    switch (p->kind) {
    case cvLSTM: lstmBackward(p, s, row, work); break;
    case cvGRU: gruBackward(p, s, row, work); break;
    default: rnnBackward(p, s, row, work); break;
    }
}

const cvKernels TABLE = {
    .name = NAME, .width = WIDTH, .panel = PANEL,
    .peak = peak, .peakFlops = 2l * peakChains * WIDTH,
    .packPanel = packPanel, .productBlock = productBlock, .columnSums = columnSums, .add = addTo,
    .longProductBlock = longProductBlock, .addTransposed = addTransposed, .addParts = addParts,
    .sumRows = sumRows, .scaledCopy = scaledCopy, .multiply = multiply, .activate = activate, .activateBackward = activateBackward,
    .dropout = dropout, .maximum = maximum, .softmax = softmax, .softmaxGradient = softmaxGradient,
    .sumOfSquares = sumOfSquares, .clip = clip, .sgd = sgd, .adam = adam, .adamRow = adamRow, .rmsprop = rmsprop, .average = average,
    .packGates = packGates, .recurrentForward = recurrentForward, .recurrentBackward = recurrentBackward,
};
