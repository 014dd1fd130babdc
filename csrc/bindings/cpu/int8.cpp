#include "int8.h"

#include "checks/gemm.h"
#include "families.h"
#include "function.h"
#include "plainformer/arith.h"
#include "runtime/allocator.h"

namespace plainformer {

// An int8 weight in the panels of one ISA level: what pack_int8 makes and linear_int8 takes.
struct Int8Weight {
    Level level;
    Int8Panels panels;
    void* block = nullptr;
    int64_t bytes = 0;

    explicit Int8Weight(Level level_) : level(level_) {}
    ~Int8Weight() { release(block); }
    Int8Weight(const Int8Weight&) = delete;
    Int8Weight& operator=(const Int8Weight&) = delete;

    bool is_current() const { return level == current_level(); }
    int64_t group_size() const { return panels.group; }
};

namespace {

PyTypeObject* int8_weight_type = nullptr;  // kept for the life of the process

// The Int8Weight behind a Python object, or null.
const Int8Weight* int8_weight_of(py::handle object) {
    if (Py_TYPE(object.ptr()) != int8_weight_type) return nullptr;
    return object.cast<const Int8Weight*>();
}

// values (N, K) of int8, of any strides, and scale (N, groups) of float32.
py::object pack_int8(py::handle values, const ArrayView& scale, int64_t group_size) {
    if (!py::isinstance<py::array_t<int8_t>>(values)) return py::none();
    const auto array = py::reinterpret_borrow<py::array>(values);
    if (array.ndim() != 2) return py::none();
    const int64_t N = array.shape(0), K = array.shape(1);
    const bool is_whole =
        group_size == K || (group_size > 0 && group_size < K && group_size % 4 == 0);
    const int64_t groups = is_whole && K > 0 ? ceil_div(K, group_size) : 0;
    if (!is_whole || !scale.contiguous() || scale.dtype() != DType::float32 ||
        !scale.has_shape({N, groups}))
        return py::none();
    auto packed = std::make_unique<Int8Weight>(current_level());
    packed->panels.N = N, packed->panels.K = K, packed->panels.group = group_size;
    Int8PackArgs<float> s{};
    s.panels = &packed->panels, s.block = &packed->block, s.bytes = &packed->bytes;
    s.values = static_cast<const int8_t*>(array.data());
    s.values_row = array.strides(0), s.values_column = array.strides(1);
    s.scale = scale.data<float>();
    run(dispatch<float>(packed->level).int8_pack, s);
    return py::cast(std::move(packed));
}

// Whether the sums of a group are exact in int32.
bool is_exact(const Int8Panels& w) { return w.group <= most_exact_terms; }

py::object linear_int8(const ArrayView& x, py::handle weight, const ArrayView& bias, int activation,
                       bool dynamic) {
    const Int8Weight* const w = int8_weight_of(weight);
    if (!w || !w->is_current() || !is_activation(activation) ||
        (x.dtype() != DType::float32 && x.dtype() != DType::bfloat16) ||
        !is_linear(x, x.dtype(), w->panels.N, w->panels.K, bias) || !x.last_axis_contiguous() ||
        (dynamic && !is_exact(w->panels)))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        MatrixView rows;
        if (!flatten(x, &rows)) return py::none();
        Int8LinearArgs<T> s{};
        py::object y = new_array(linear_shape(x, w->panels.N), &s.y);
        s.x = x.data<T>(), s.x_row = rows.row, s.M = rows.rows;
        s.weight = w->panels;
        s.bias = bias.data<T>();
        s.activation = static_cast<Activation>(activation);
        s.dynamic = dynamic;
        run(dispatch<T>(w->level).int8_linear, s);
        return y;
    });
}

}  // namespace

void bind_int8(py::module_& module) {
    py::class_<Int8Weight> type(module, "Int8Weight",
                                "An int8 weight in the order in which kernels of one ISA level read"
                                " it; made by plainformer.kernels.pack_int8.");
    type.def_property_readonly(
            "shape", [](const Int8Weight& w) { return py::make_tuple(w.panels.N, w.panels.K); },
            "(out, in).")
        .def_property_readonly("group_size", &Int8Weight::group_size,
                               "Values along `in` that share a scale.")
        .def_property_readonly(
            "nbytes", [](const Int8Weight& w) { return w.bytes; }, "Bytes of memory held.")
        .def_property_readonly(
            "level", [](const Int8Weight& w) { return level_name(w.level); },
            "The ISA level whose kernels read it.")
        .def_property_readonly("is_current", &Int8Weight::is_current,
                               "Whether the level in use is that level.")
        .def("__repr__", [](const Int8Weight& w) {
            return py::str("Int8Weight(shape=({}, {}), group_size={}, level={})")
                .format(w.panels.N, w.panels.K, w.panels.group, level_name(w.level));
        });
    int8_weight_type = reinterpret_cast<PyTypeObject*>(type.ptr());
    int8_weight_type->tp_new = nullptr;  // Int8Weight.__new__ would make one without panels
    def<&pack_int8>(module, "pack_int8");
    def<&linear_int8>(module, "linear_int8");
}

}  // namespace plainformer
