// Products with rows that are read once and where they stand: q K^T as dot products of a register
// of keys at a time, P V as sums of weighted rows.
#pragma once
#include "attention_operands.h"

namespace plainformer::PF_ISA {

template <int n>
struct TileOf {
    static constexpr int rows = n;
};

// ---- q K^T --------------------------------------------------------------------------------------

// acc + a b for units of neighbors along two rows.
template <typename T>
PF_INLINE VecOf<T> add_products(VecOf<T> a, VecOf<T> b, VecOf<T> acc) {
    if constexpr (unit_elements<T> == 1)
        return fma(a, b, acc);
    else
        return multiply_add(bits_of(a), bits_of(b), acc);
}

// Scores of `rows` queries and as many keys as fill a register; rows of scores are score_row apart,
// key(i) is a row of width D.
template <typename T, int rows, typename Key>
PF_INLINE void dot_tile(acc_t<T>* scores, int64_t score_row, const T* const* q, int64_t D,
                        const Key& key) {
    constexpr int64_t whole = lanes<T> * unit_elements<T>;
    constexpr int keys = lanes<T> / rows;
    VecOf<T> sums[lanes<T>];
    for (auto& sum : sums) sum = VecOf<T>(acc_t<T>(0));
    int64_t c = 0;
    for (; c + whole <= D; c += whole) {
        VecOf<T> x[rows];
        for (int r = 0; r < rows; ++r) x[r] = load_along_k(q[r] + c);
        for (int i = 0; i < keys; ++i) {
            const VecOf<T> y = load_along_k(key(i) + c);
            for (int r = 0; r < rows; ++r)
                sums[r * keys + i] = add_products<T>(x[r], y, sums[r * keys + i]);
        }
    }
    for (; c < D; c += lanes<T>) {
        const Tail tail{static_cast<int>(least(lanes<T>, D - c))};
        for (int i = 0; i < keys; ++i) {
            const VecOf<T> y = load(key(i) + c, tail);
            for (int r = 0; r < rows; ++r)
                sums[r * keys + i] = fma(load(q[r] + c, tail), y, sums[r * keys + i]);
        }
    }
    alignas(64) acc_t<T> each[lanes<T>];
    store(each, sum_each(sums));
    for (int r = 0; r < rows; ++r)
        __builtin_memcpy(scores + r * score_row, each + r * keys, sizeof(acc_t<T>) * keys);
}

// Scores of `rows` queries and a register's number of keys `stride` apart, of which `count` exist;
// scores beyond them may hold anything. Few keys at a time where there are many queries: rows of a
// cache are often 4096 bytes apart, and only eight such lines fit the L1 cache.
template <typename T, int rows>
void dot_products(acc_t<T>* scores, int64_t score_row, const T* const* q, const T* k,
                  int64_t stride, int64_t count, int64_t D) {
    constexpr int64_t keys = lanes<T> / rows;
    for (int64_t j = 0; j < lanes<T> && j < count; j += keys) {
        const T* first = k + j * stride;
        if (j + keys <= count)
            dot_tile<T, rows>(scores + j, score_row, q, D,
                              [&](int64_t i) { return first + i * stride; });
        else
            dot_tile<T, rows>(scores + j, score_row, q, D,
                              [&](int64_t i) { return first + least(i, count - 1 - j) * stride; });
    }
}

// The same for any number of queries.
template <typename T>
void multiply_queries(acc_t<T>* scores, int64_t score_row, const T* const* q, int64_t rows,
                      const T* k, int64_t stride, int64_t count, int64_t D) {
    int64_t r = 0;
    const auto take = [&](auto tile) {
        constexpr int n = decltype(tile)::rows;
        for (; r + n <= rows; r += n)
            dot_products<T, n>(scores + r * score_row, score_row, q + r, k, stride, count, D);
    };
    if constexpr (lanes<T> >= 4) take(TileOf<4>{});
    take(TileOf<2>{});
    take(TileOf<1>{});
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
        const int64_t width = least(panel_columns<T>, v.width - c);
        const int64_t vectors = ceil_div(width, lanes<T>);
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
    const int64_t blocks = ceil_div(p.rows, most_weighted);
    const int64_t block = ceil_div(p.rows, blocks);
    for (int64_t r = 0; r < p.rows; r += block)
        add_weighted_panels<T, most_weighted>(
            sums + r * sums_row, sums_row,
            Weights<acc_t<T>>{p.data + r * p.stride, p.stride, least(block, p.rows - r)}, v);
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
