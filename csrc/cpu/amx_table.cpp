// The tables of a level of AMX: the products of bfloat16 are AMX's, all else is the level's below.
// Constants: code that fills them when the module is loaded would run on processors without AMX.
#include "dispatch.h"
#include "isa/vec.h"

#define PF_DECLARE(op, Args) \
    template <typename T>    \
    void op(const Args<T>&);

namespace plainformer {

namespace PF_BELOW {
PF_TABLE(PF_DECLARE)
}

namespace PF_ISA {

PF_DECLARE(gemm, GemmArgs)
PF_DECLARE(packed_gemm, PackedGemmArgs)
PF_DECLARE(pack_weight, PackArgs)
PF_DECLARE(linear_cross_entropy, LinearCrossEntropyArgs)
PF_DECLARE(packed_linear_cross_entropy, PackedLinearCrossEntropyArgs)
PF_DECLARE(tile_peak, PeakArgs)

#define PF_ENTRY(op, Args) &PF_BELOW::op<T>,
template <typename T>
constexpr OperationTable<T> table_below = {PF_TABLE(PF_ENTRY)};
#undef PF_ENTRY

constexpr OperationTable<bfloat16> table = [] {
    OperationTable<bfloat16> filled = table_below<bfloat16>;
    filled.gemm = &gemm<bfloat16>;
    filled.packed_gemm = &packed_gemm<bfloat16>;
    filled.pack_weight = &pack_weight<bfloat16>;
    filled.linear_cross_entropy = &linear_cross_entropy<bfloat16>;
    filled.packed_linear_cross_entropy = &packed_linear_cross_entropy<bfloat16>;
#ifdef __AMX_BF16__  // the twins' speed is no ceiling
    filled.peak = &tile_peak<bfloat16>;
#endif
    return filled;
}();

extern const OperationTable<float> float32_operations;
extern const OperationTable<bfloat16> bfloat16_operations;
const OperationTable<float> float32_operations = table_below<float>;
const OperationTable<bfloat16> bfloat16_operations = table;

}  // namespace PF_ISA
}  // namespace plainformer
