// Products over many rows; see Kernels/LongProduct.h.
#pragma once
#include "Kernels.h"

/// Whether `cvMultiply` hands a product to `cvLongProduct`.
bool cvIsLongProduct(const cvProduct *);
/// Floats of scratch memory.
long cvLongProductScratch(const cvContext *, const cvProduct *);
void cvLongProduct(cvContext *, const cvProduct *, float *scratch);
