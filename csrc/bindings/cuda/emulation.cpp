// What only the emulation has: its orders and poisons, what it counted, and host memory that says
// it is a device's.
#include "cuda/emulation/control.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "adapter.h"
#include "gemm_sm90_plan.h"

namespace plainformer {

namespace nb = nanobind;

namespace {

nb::dlpack::dtype dtype_named(const std::string& name) {
    using Code = nb::dlpack::dtype_code;
    const struct {
        const char* name;
        Code code;
        uint8_t bits;
    } known[] = {{"float32", Code::Float, 32}, {"bfloat16", Code::Bfloat, 16},
                 {"float16", Code::Float, 16}, {"float64", Code::Float, 64},
                 {"int32", Code::Int, 32},     {"int64", Code::Int, 64},
                 {"bool", Code::Bool, 8},      {"uint8", Code::UInt, 8}};
    for (const auto& dtype : known)
        if (name == dtype.name) return {static_cast<uint8_t>(dtype.code), dtype.bits, 1};
    throw std::runtime_error("no DLPack type for " + name);
}

// A DLPack capsule of memory at `address`, kept alive by `owner`, on CUDA device 0; strides in
// elements.
nb::object capsule(uintptr_t address, const std::vector<size_t>& shape,
                   const std::vector<int64_t>& strides, const std::string& dtype,
                   nb::object owner) {
    nb::ndarray<> tensor(reinterpret_cast<void*>(address), shape.size(), shape.data(), owner,
                         strides.data(), dtype_named(dtype), nb::device::cuda::value, 0);
    return nb::cast(tensor);  // without a framework: a capsule
}

// (shape of the tiles, blocks in a cluster, parts of K) that gemm takes on sm_90a.
nb::tuple gemm_sm90_plan(int64_t M, int64_t N, int64_t K, int64_t matrices, int multiprocessors,
                         bool activates, bool sums) {
    const cuda::GemmSm90Plan plan =
        cuda::plan_gemm_sm90({M, N, K, matrices, multiprocessors, activates, sums});
    return nb::make_tuple(plan.ping_pong ? "ping-pong" : "cooperative", plan.cluster, plan.splits);
}

}  // namespace

void bind_emulation(py::module_& module) {
    using namespace emulation;
    module.def("set_order", &set_order, nb::arg("order"));
    module.def("set_poison", &set_poison, nb::arg("byte"));
    module.def("set_threads", &set_threads, nb::arg("count"));
    module.def("set_capability", &set_capability, nb::arg("capability"));
    module.def("capability", &capability);
    module.def("reset_stats", &reset_stats);
    module.def("stats", [] {
        const Stats s = stats();
        nb::dict counted;
        counted["launches"] = s.launches, counted["blocks"] = s.blocks;
        counted["switches"] = s.switches;
        counted["matrix_phases"] = s.matrix_phases, counted["matrix_replays"] = s.matrix_replays;
        return counted;
    });
    module.def("gemm_sm90_plan", &gemm_sm90_plan, nb::arg("M"), nb::arg("N"), nb::arg("K"),
               nb::arg("matrices") = 1, nb::arg("multiprocessors") = 4,
               nb::arg("activates") = false, nb::arg("sums") = false);
    module.def("dlpack_capsule", &capsule, nb::arg("address"), nb::arg("shape"), nb::arg("strides"),
               nb::arg("dtype"), nb::arg("owner"));
}

}  // namespace plainformer
