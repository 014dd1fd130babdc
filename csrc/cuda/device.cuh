// The one header that kernels include. Device code by nvcc; the same names on the host, checked, by
// any other compiler (emulation/, docs/cuda-emulation.md).
#pragma once
#ifdef __CUDACC__
#include "primitives.cuh"
#else
#include "emulation/primitives.h"
#endif

#include "errors.cuh"
#include "reduce.cuh"
#include "vector.cuh"
