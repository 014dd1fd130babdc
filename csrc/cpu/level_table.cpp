// Fills one level's operation tables. Built once per ISA level, like the kernels.
#include "dispatch.h"
#include "isa/vec.h"

namespace plainformer::PF_ISA {

#define PF_DECLARE(op, Args) \
    template <typename T>    \
    void op(const Args<T>&);
PF_TABLE(PF_DECLARE)
#undef PF_DECLARE

#define PF_ENTRY(op, Args) &op<T>,
template <typename T>
constexpr OperationTable<T> table = {PF_TABLE(PF_ENTRY)};
#undef PF_ENTRY

extern const OperationTable<float> float32_operations;
extern const OperationTable<bfloat16> bfloat16_operations;
const OperationTable<float> float32_operations = table<float>;
const OperationTable<bfloat16> bfloat16_operations = table<bfloat16>;
#ifdef PF_ISA_IS_GENERIC
extern const OperationTable<double> float64_operations;
const OperationTable<double> float64_operations = table<double>;
#endif

}  // namespace plainformer::PF_ISA
