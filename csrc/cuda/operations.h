// The operations of this backend: one function each, with the argument struct that it shares with
// its twin in csrc/cpu. All of them compute on `context`'s stream and return before they are done.
#pragma once
#include "context.h"
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

namespace plainformer::cuda {

#define PF_DECLARE(op, Args) \
    template <typename T>    \
    void op(const Args<T>& args, Context& context);
PF_OPERATIONS(PF_DECLARE)
#undef PF_DECLARE

// In <op>.cu, below the launcher: the element types that kernels have.
#define PF_INSTANTIATE(op, Args)                       \
    template void op(const Args<float>&, Context&);    \
    template void op(const Args<bfloat16>&, Context&); \
    template void op(const Args<float16>&, Context&);

}  // namespace plainformer::cuda
