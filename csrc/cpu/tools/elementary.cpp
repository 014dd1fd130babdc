// Elementary functions on arrays: tools/elementary.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "tools/elementary.h"

#include "isa/math.h"  // exp, log, ...
#include "isa/rows.h"  // fill_blocks

namespace plainformer::PF_ISA {

namespace {

template <typename T, typename F>
void map(const ElementaryArgs<T>& s, F f) {
    fill_blocks(s.y, s.N, Reach::near,
                [&](int64_t i, auto tail) { return f(load(s.x + i, tail)); });
}

}  // namespace

template <typename T>
void elementary(const ElementaryArgs<T>& s) {
    switch (s.function) {
        case Elementary::exp:
            return map(s, [](auto x) { return exp(x); });
        case Elementary::exp2:
            return map(s, [](auto x) { return exp2(x); });
        case Elementary::log:
            return map(s, [](auto x) { return log(x); });
        case Elementary::sigmoid:
            return map(s, [](auto x) { return sigmoid(x); });
        case Elementary::tanh:
            return map(s, [](auto x) { return tanh(x); });
        case Elementary::erf:
            return map(s, [](auto x) { return erf(x); });
        case Elementary::exp2_or_zero:
            return map(s, [](auto x) { return exp2_or_zero(x); });
    }
}
PF_INSTANTIATE(elementary, ElementaryArgs)

}  // namespace plainformer::PF_ISA
