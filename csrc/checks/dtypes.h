// From a type known at run time to one known to the compiler.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

// f(T{}) for that one of T... which is behind dtype; `otherwise` for any other. A backend names
// its element types once: `for_dtype` in its bindings.
template <typename... T, typename Result, typename F>
Result for_dtypes(DType dtype, Result otherwise, F f) {
    Result result = otherwise;
    ((dtype == dtype_of<T> ? void(result = f(T{})) : void()), ...);
    return result;
}

// The type in which statistics of `dtype` are kept.
inline DType acc_dtype(DType dtype) {
    return dtype == DType::float64 ? DType::float64 : DType::float32;
}

}  // namespace plainformer
