// What happens to a tile's sums while they are in L1: bias, activation, rounding to T.
#pragma once
#include "isa/activations.h"  // with_activation
#include "plainformer/gemm.h"

namespace plainformer::PF_ISA {

struct Identity {
    template <typename V>
    static PF_INLINE V value(V x) {
        return x;
    }
    template <typename V>
    static PF_INLINE V gradient(V, V dy) {
        return dy;
    }
};

// f(Identity{}), f(Relu{}), ...: the choice is made once, outside of f's loops.
template <typename F>
PF_INLINE void with_activation_or_none(Activation kind, F&& f) {
    if (kind == Activation::none) return f(Identity{});
    with_activation(kind, f);
}

// A rectangle of the result: rows [m, m + rows), columns [n, n + columns).
struct Rectangle {
    int64_t m, n;
    int rows, columns;
};

// Sums that lie in C already and need nothing more.
template <typename T>
bool is_plain(const GemmArgs<T>& s) {
    return s.C_acc || (sizeof(T) == sizeof(acc_t<T>) && !s.bias &&
                       s.activation == Activation::none && !s.preactivation);
}

// sums: (rows, columns), sum_row apart; may be the place in C itself.
template <typename T, typename F>
PF_INLINE void finish_tile_with(F f, const GemmArgs<T>& s, const acc_t<T>* sums, int64_t sum_row,
                                Rectangle at) {
    for (int r = 0; r < at.rows; ++r, sums += sum_row) {
        const int64_t out = (at.m + r) * s.C_row + at.n;
        for_lanes<acc_t<T>>(at.columns, [&](int64_t i, auto tail) {
            VecOf<T> z = load(sums + i, tail);
            if (s.bias) z = z + load(s.bias + at.n + i, tail);
            if (s.preactivation) store(s.preactivation + out + i, tail, z);
            store(s.C + out + i, tail, f.value(z));
        });
    }
}

template <typename T>
void finish_tile(const GemmArgs<T>& s, const acc_t<T>* sums, int64_t sum_row, Rectangle at) {
    with_activation_or_none(s.activation,
                            [&](auto f) { finish_tile_with(f, s, sums, sum_row, at); });
}

}  // namespace plainformer::PF_ISA
