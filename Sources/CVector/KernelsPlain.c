// The kernels for any processor: the compiler's 4-float vectors without fused multiply-add.
#include "Kernels.h"
#include <string.h>

#pragma STDC FP_CONTRACT OFF
#define WIDTH 4
#define PANEL 2
#define TABLE cvKernelsPlain
#define NAME "plain vectors of 4"
#include "Kernels/Table.h"
