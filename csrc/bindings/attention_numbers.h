// What attention is given beside its arrays, from a tuple: kernels/_attention.Options.
#pragma once
#include "checks/attention.h"
#include "function.h"

namespace plainformer {

template <>
struct Argument<const AttentionNumbers&> {
    static constexpr const char* name = "tuple";
    static AttentionNumbers of(PyObject* object) {
        if (!PyTuple_Check(object)) refuse_kind("a tuple");
        if (PyTuple_GET_SIZE(object) < 12) throw py::index_error("expected 12 options");
        AttentionNumbers n;
        Py_ssize_t place = 0;
        const auto read = [&](auto* to) {
            *to = Argument<std::decay_t<decltype(*to)>>::of(PyTuple_GET_ITEM(object, place++));
        };
        read(&n.layout), read(&n.may_share_heads);
        read(&n.longest_q), read(&n.longest_k);
        read(&n.scale), read(&n.softcap);
        read(&n.left), read(&n.right), read(&n.bottom_right);
        read(&n.dropout_p), read(&n.seed), read(&n.offset);
        return n;
    }
};

}  // namespace plainformer
