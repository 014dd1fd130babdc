// Every entry of the dispatch tables and its argument struct: the operations that all backends
// have, those of this one, and its tools. The tables and the declarations in each ISA namespace
// come from these lists.
#pragma once
#include "int8.h"
#include "packed_gemm.h"
#include "packed_linear_cross_entropy.h"
#include "plainformer/activation.h"
#include "plainformer/add.h"
#include "plainformer/attention.h"
#include "plainformer/cross_entropy.h"
#include "plainformer/dropout.h"
#include "plainformer/embedding.h"
#include "plainformer/gemm.h"
#include "plainformer/linear_cross_entropy.h"
#include "plainformer/norm.h"
#include "plainformer/operations.h"
#include "plainformer/optimizer.h"
#include "plainformer/rotary.h"
#include "plainformer/softmax.h"
#include "plainformer/topk.h"
#include "tools/elementary.h"
#include "tools/roofline.h"

// clang-format off
#define PF_CPU_OPERATIONS(X) \
    X(int8_linear, Int8LinearArgs) \
    X(int8_pack, Int8PackArgs) \
    X(pack_weight, PackArgs) \
    X(packed_gemm, PackedGemmArgs) \
    X(packed_linear_cross_entropy, PackedLinearCrossEntropyArgs)

#define PF_TOOLS(X) \
    X(elementary, ElementaryArgs) \
    X(memory_pass, MemoryPassArgs) \
    X(peak, PeakArgs)

#define PF_TABLE(X) PF_OPERATIONS(X) PF_CPU_OPERATIONS(X) PF_TOOLS(X)
// clang-format on
