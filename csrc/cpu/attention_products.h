// Products with rows that are read once and where they stand: q K^T as dot products of a register
// of keys at a time, P V as sums of weighted rows.
#pragma once
#include "attention_operands.h"

namespace plainformer::PF_ISA {

template <typename A>
PF_INLINE A larger(A a, A b) {
    return a > b ? a : b;
}

// ---- q K^T --------------------------------------------------------------------------------------

// Lane i: the sum of the lanes of r[i], which are added as a tree.
template <typename A>
PF_INLINE Vec<A> sum_each(Vec<A> (&r)[Vec<A>::width]) {
    transpose(r);
    for (int n = Vec<A>::width / 2; n > 0; n /= 2)
        for (int i = 0; i < n; ++i) r[i] = r[i] + r[i + n];
    return r[0];
}

// acc + a b for units of neighbors along two rows.
template <typename T>
PF_INLINE VecOf<T> add_products(VecOf<T> a, VecOf<T> b, VecOf<T> acc) {
    if constexpr (unit_elements<T> == 1)
        return fma(a, b, acc);
    else
        return multiply_add(bits_of(a), bits_of(b), acc);
}

// q k for a register of keys; key(i) is a row of width D.
template <typename T, typename Key>
PF_INLINE VecOf<T> dot_products_of(const T* q, int64_t D, const Key& key) {
    constexpr int64_t whole = lanes<T> * unit_elements<T>;
    VecOf<T> sums[lanes<T>];
    for (auto& sum : sums) sum = VecOf<T>(acc_t<T>(0));
    int64_t c = 0;
    for (; c + whole <= D; c += whole) {
        const VecOf<T> x = load_along_k(q + c);
        for (int64_t i = 0; i < lanes<T>; ++i)
            sums[i] = add_products<T>(x, load_along_k(key(i) + c), sums[i]);
    }
    for (; c < D; c += lanes<T>) {
        const Tail tail{static_cast<int>(lesser(lanes<T>, D - c))};
        const VecOf<T> x = load(q + c, tail);
        for (int64_t i = 0; i < lanes<T>; ++i) sums[i] = fma(x, load(key(i) + c, tail), sums[i]);
    }
    return sum_each(sums);
}

// For keys `stride` apart, of which `count` exist; lanes beyond them hold anything.
template <typename T>
VecOf<T> dot_products(const T* q, const T* k, int64_t stride, int64_t count, int64_t D) {
    if (count >= lanes<T>) return dot_products_of(q, D, [&](int64_t i) { return k + i * stride; });
    return dot_products_of(q, D, [&](int64_t i) { return k + lesser(i, count - 1) * stride; });
}

// ---- P V ----------------------------------------------------------------------------------------

// (rows, keys)
template <typename A>
struct Weights {
    const A* data;
    int64_t stride, rows;
};

constexpr int most_weighted = 6;  // rows whose sums fit the registers

template <typename T, int rows, int vectors, typename Last>
void add_weighted_tile(acc_t<T>* sums, int64_t sums_row, const Weights<acc_t<T>>& p,
                       const HeadRows<T>& v, Last last) {
    VecOf<T> sum[rows][vectors];
    for (int r = 0; r < rows; ++r)
        for (int n = 0; n < vectors; ++n) sum[r][n] = load(sums + r * sums_row + n * lanes<T>);
    for (int64_t j = 0; j < v.count; ++j) {
        const T* row = v.data + j * v.stride;
        VecOf<T> x[vectors];
        for (int n = 0; n < vectors - 1; ++n) x[n] = load(row + n * lanes<T>);
        x[vectors - 1] = load(row + (vectors - 1) * lanes<T>, last);
        for (int r = 0; r < rows; ++r) {
            const VecOf<T> weight(p.data[r * p.stride + j]);
            for (int n = 0; n < vectors; ++n) sum[r][n] = fma(weight, x[n], sum[r][n]);
        }
    }
    for (int r = 0; r < rows; ++r)
        for (int n = 0; n < vectors; ++n) store(sums + r * sums_row + n * lanes<T>, sum[r][n]);
}

template <typename T, int rows, typename Last>
void add_weighted_columns(acc_t<T>* sums, int64_t sums_row, const Weights<acc_t<T>>& p,
                          const HeadRows<T>& v, int64_t vectors, Last last) {
    if constexpr (tile_vectors == 4) {
        if (vectors == 4) return add_weighted_tile<T, rows, 4>(sums, sums_row, p, v, last);
        if (vectors == 3) return add_weighted_tile<T, rows, 3>(sums, sums_row, p, v, last);
    }
    if (vectors == 2) return add_weighted_tile<T, rows, 2>(sums, sums_row, p, v, last);
    add_weighted_tile<T, rows, 1>(sums, sums_row, p, v, last);
}

// At most `rows` rows, panel by panel of columns.
template <typename T, int rows>
void add_weighted_panels(acc_t<T>* sums, int64_t sums_row, const Weights<acc_t<T>>& p,
                         const HeadRows<T>& v) {
    if constexpr (rows > 1) {
        if (p.rows < rows) return add_weighted_panels<T, rows - 1>(sums, sums_row, p, v);
    }
    for (int64_t c = 0; c < v.width; c += panel_columns<T>) {
        const int64_t width = lesser(panel_columns<T>, v.width - c);
        const int64_t vectors = round_up_div(width, lanes<T>);
        const HeadRows<T> columns{v.data + c, v.stride, v.count, width};
        const Tail last{static_cast<int>(width - (vectors - 1) * lanes<T>)};
        if (last.n == lanes<T>)
            add_weighted_columns<T, rows>(sums + c, sums_row, p, columns, vectors, Full{});
        else
            add_weighted_columns<T, rows>(sums + c, sums_row, p, columns, vectors, last);
    }
}

// sums (p.rows, width of v), rows sums_row apart and whole registers long, += P V.
template <typename T>
void add_weighted_rows(acc_t<T>* sums, int64_t sums_row, const Weights<acc_t<T>>& p,
                       const HeadRows<T>& v) {
    const int64_t blocks = round_up_div(p.rows, most_weighted);
    const int64_t block = round_up_div(p.rows, blocks);
    for (int64_t r = 0; r < p.rows; r += block)
        add_weighted_panels<T, most_weighted>(
            sums + r * sums_row, sums_row,
            Weights<acc_t<T>>{p.data + r * p.stride, p.stride, lesser(block, p.rows - r)}, v);
}

// The same without the products whose weight is 0, so that 0 NaN adds nothing.
template <typename T>
void add_seen_products(acc_t<T>* sums, int64_t sums_row, const Weights<acc_t<T>>& p,
                       const HeadRows<T>& v) {
    for (int64_t j = 0; j < v.count; ++j)
        for (int64_t r = 0; r < p.rows; ++r) {
            const acc_t<T> weight = p.data[r * p.stride + j];
            if (weight == 0) continue;
            acc_t<T>* row = sums + r * sums_row;
            for_lanes<T>(v.width, [&](int64_t c, auto tail) {
                const VecOf<T> x = load(v.data + j * v.stride + c, tail);
                store(row + c, tail, fma(VecOf<T>(weight), x, load(row + c, tail)));
            });
        }
}

}  // namespace plainformer::PF_ISA
