#include "families.h"
#include "function.h"
#include "packed_weight.h"
#include "runtime/allocator.h"

namespace plainformer {

PackedWeight::~PackedWeight() { release(panels); }

bool PackedWeight::is_current() const {
    const bool one_level = dtype == DType::float64;
    return level == (one_level ? level_for<double>(current_level()) : current_level());
}

namespace {

PyTypeObject* packed_weight_type = nullptr;  // kept for the life of the process

// Weights (out, in) of one type and one `in`, which together are (K, N) = (in, sum of out).
bool is_stackable(const ArrayList& weights) {
    for (size_t i = 0; i < weights.size(); ++i) {
        const ArrayView w = weights[i];
        if (!w.usable() || w.ndim() != 2) return false;
        const ArrayView first = weights[0];
        if (w.dtype() != first.dtype() || w.dim(1) != first.dim(1)) return false;
    }
    return weights.size() > 0;
}

py::object pack_weight(const ArrayList& weights) {
    if (!is_stackable(weights)) return py::none();
    return for_dtype(weights[0].dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        std::vector<PackPiece<T>> pieces;
        int64_t N = 0;
        for (size_t i = 0; i < weights.size(); ++i) {
            const ArrayView w = weights[i];
            PackPiece<T> piece{};
            piece.data = w.data<T>(), piece.columns = w.dim(0);
            piece.row = w.stride(1), piece.column = w.stride(0);
            pieces.push_back(piece);
            N += w.dim(0);
        }
        const Level level = level_for<T>(current_level());
        auto packed = std::make_unique<PackedWeight>(dtype_of<T>, level, N, weights[0].dim(1));
        PackArgs<T> s{};
        s.panels = &packed->panels, s.bytes = &packed->bytes;
        s.pieces = pieces.data(), s.pieces_count = static_cast<int64_t>(pieces.size());
        s.K = packed->K, s.N = N;
        run(dispatch<T>(level).pack_weight, s);
        return py::cast(std::move(packed));
    });
}

}  // namespace

const PackedWeight* packed_weight_of(py::handle object) {
    if (Py_TYPE(object.ptr()) != packed_weight_type) return nullptr;
    return object.cast<const PackedWeight*>();
}

void bind_pack_weight(py::module_& module) {
    py::class_<PackedWeight> type(module, "PackedWeight",
                                  "A weight in the order in which kernels of one ISA level read it;"
                                  " made by plainformer.kernels.pack_weight.");
    type.def_property_readonly(
            "shape", [](const PackedWeight& w) { return py::make_tuple(w.N, w.K); }, "(out, in).")
        .def_property_readonly(
            "dtype", [](const PackedWeight& w) { return numpy_dtype(w.dtype); }, "Element type.")
        .def_property_readonly(
            "nbytes", [](const PackedWeight& w) { return w.bytes; }, "Bytes of memory held.")
        .def_property_readonly(
            "level", [](const PackedWeight& w) { return level_name(w.level); },
            "The ISA level whose kernels read it.")
        .def_property_readonly("is_current", &PackedWeight::is_current,
                               "Whether the level in use is that level.")
        .def("__repr__", [](const PackedWeight& w) {
            return py::str("PackedWeight(shape=({}, {}), dtype={}, level={})")
                .format(w.N, w.K, numpy_dtype(w.dtype), level_name(w.level));
        });
    packed_weight_type = reinterpret_cast<PyTypeObject*>(type.ptr());
    packed_weight_type->tp_new = nullptr;  // PackedWeight.__new__ would make one without panels
    def<&pack_weight>(module, "pack_weight");
}

}  // namespace plainformer
