// softmax along an axis that is not the last, for softmax.cu.
#pragma once
#include "context.h"
#include "plainformer/softmax.h"

namespace plainformer::cuda {

template <typename T>
void softmax_along_columns(const SoftmaxArgs<T>& s, Context& context);

template <typename T>
void softmax_backward_along_columns(const SoftmaxBackwardArgs<T>& s, Context& context);

}  // namespace plainformer::cuda
