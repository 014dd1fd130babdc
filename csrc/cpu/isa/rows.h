// Walking rows: blocks of them as tasks, several running sums a row, stores past the caches.
#pragma once
#include "isa/vec.h"
#include "plainformer/arith.h"    // least
#include "runtime/caches.h"       // outgrows_caches
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

// f(begin, end) for blocks of N rows of C elements, each row's bytes its own affair. A task that
// writes past the caches ends by waiting until all of it has arrived.
template <typename F>
PF_INLINE void for_row_blocks(int64_t N, int64_t C, bool past_caches, const F& f) {
    const int64_t rows = rows_per_task(past_caches ? streamed_task_elements : task_elements, C);
    parallel_for(ceil_div(N, rows), 1, [&](int64_t task) {
        f(task * rows, least(N, (task + 1) * rows));
        if (past_caches) stream_fence();
    });
}

// f(n) for every one of N rows of C elements.
template <typename F>
PF_INLINE void for_rows(int64_t N, int64_t C, bool past_caches, const F& f) {
    for_row_blocks(N, C, past_caches, [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n) f(n);
    });
}

// f(n, c, count) for blocks of at most column_block columns, from column c of N matrices (L, M).
template <typename F>
PF_INLINE void for_column_blocks(int64_t N, int64_t L, int64_t M, bool past_caches, const F& f) {
    const int64_t blocks = ceil_div(M, column_block), width = least(M, column_block);
    const int64_t elements = past_caches ? streamed_task_elements : task_elements;
    parallel_for(N * blocks, rows_per_task(elements, width * L), [&](int64_t i) {
        const int64_t c = i % blocks * column_block;
        f(i / blocks, c, least(M - c, column_block));
        if (past_caches) stream_fence();
    });
}

// f(i, part, Full{}) or f(i, part, Tail{}) over n elements of T, part cycling through `parts`
// running sums: one alone would wait for its own addition, four cycles each.
template <typename T, int parts, typename F>
PF_INLINE void for_lanes_in_parts(int64_t n, F&& f) {
    int64_t i = 0;
    for (; i + parts * lanes<T> <= n; i += parts * lanes<T>)
        for (int part = 0; part < parts; ++part) f(i + part * lanes<T>, part, Full{});
    for (; i + lanes<T> <= n; i += lanes<T>) f(i, 0, Full{});
    if (i < n) f(i, 0, Tail{static_cast<int>(n - i)});
}

// `parts` running sums of lanes, starting at zero.
template <typename T, int parts>
struct RunningSum {
    VecOf<T> v[parts];

    PF_INLINE RunningSum() {
        for (int i = 0; i < parts; ++i) v[i] = VecOf<T>(acc_t<T>(0));
    }
    PF_INLINE VecOf<T>& operator[](int part) { return v[part]; }
    PF_INLINE acc_t<T> total() const {
        VecOf<T> sum = v[0];
        for (int i = 1; i < parts; ++i) sum = sum + v[i];
        return reduce_add(sum);
    }
};

// Whether a kernel that reads and writes so many elements, all arrays together, is larger than the
// last cache. What it writes would push everything else out, and would be gone from there before
// anyone read it: it is written past the caches.
template <typename T>
bool goes_past_caches(int64_t elements) {
    return outgrows_caches(elements * static_cast<int64_t>(sizeof(T)));
}

template <typename T>
PF_INLINE void put(T* p, Full, VecOf<T> v, bool past_caches) {
    past_caches ? stream(p, v) : store(p, v);
}
template <typename T>
PF_INLINE void put(T* p, Tail tail, VecOf<T> v, bool) {
    store(p, tail, v);
}

// Registers that are computed before the first of them is stored. A load waits for an earlier store
// whose address has the same low 12 bits, although the two have nothing to do with each other:
// taken one by one, the loads from an array of NumPy (16 modulo 4096) would each wait for the store
// of the register before it to an array of ours (64 modulo 4096). docs/notes/pointwise.md
template <typename T>
inline constexpr int64_t stored_together = least(8, 256 / static_cast<int64_t>(sizeof(VecOf<T>)));

// write(i, tail, f(i, tail), past_caches) for the whole registers of [begin, end).
template <typename T, bool past_caches, typename F, typename Write>
PF_INLINE void fill_whole(int64_t begin, int64_t end, const F& f, const Write& write) {
    constexpr int64_t group = stored_together<T>;
    int64_t i = begin;
    for (; i + group * lanes<T> <= end; i += group * lanes<T>) {
        decltype(f(i, Full{})) values[group];
#pragma GCC unroll 8
        for (int64_t j = 0; j < group; ++j) values[j] = f(i + j * lanes<T>, Full{});
#pragma GCC unroll 8
        for (int64_t j = 0; j < group; ++j) write(i + j * lanes<T>, Full{}, values[j], past_caches);
    }
    for (; i < end; i += lanes<T>) write(i, Full{}, f(i, Full{}), past_caches);
}

// The same for n elements, those at the ends as tails. Stores past the caches need aligned
// registers: then a partial one goes up to the first such place in y.
template <typename T, typename F, typename Write>
PF_INLINE void fill_by(const T* y, int64_t n, bool past_caches, const F& f, const Write& write) {
    int64_t head = 0;
    if (past_caches) {
        constexpr int64_t bytes = lanes<T> * static_cast<int64_t>(sizeof(T));
        const int64_t beyond = static_cast<int64_t>(reinterpret_cast<uintptr_t>(y) % bytes);
        head = least(n, (bytes - beyond) % bytes / static_cast<int64_t>(sizeof(T)));
    }
    const int64_t rest = head + (n - head) / lanes<T> * lanes<T>;
    const auto partial = [&](int64_t i, int64_t count) {
        const Tail tail{static_cast<int>(count)};
        if (count > 0) write(i, tail, f(i, tail), false);
    };
    partial(0, head);
    if (past_caches)
        fill_whole<T, true>(head, rest, f, write);
    else
        fill_whole<T, false>(head, rest, f, write);
    partial(rest, n - rest);
}

// y[i] = f(i, Full{}) or f(i, Tail{}) for n elements.
template <typename T, typename F>
PF_INLINE void fill(T* y, int64_t n, bool past_caches, const F& f) {
    fill_by(y, n, past_caches, f,
            [&](int64_t i, auto tail, VecOf<T> v, bool past) { put(y + i, tail, v, past); });
}

template <typename T>
struct TwoRegisters {
    VecOf<T> first, second;
};

// The same with two outputs: f gives TwoRegisters<T>. Only where both are aligned alike can they go
// past the caches.
template <typename T, typename F>
PF_INLINE void fill_two(T* y, T* z, int64_t n, bool past_caches, const F& f) {
    constexpr uintptr_t bytes = lanes<T> * sizeof(T);
    const bool alike =
        (reinterpret_cast<uintptr_t>(y) - reinterpret_cast<uintptr_t>(z)) % bytes == 0;
    fill_by(y, n, past_caches && alike, f,
            [&](int64_t i, auto tail, const TwoRegisters<T>& v, bool past) {
                put(y + i, tail, v.first, past);
                put(z + i, tail, v.second, past);
            });
}

// y[i] = f(i, Full{}) or f(i, Tail{}) for n elements, in tasks.
template <typename T, typename F>
PF_INLINE void fill_blocks(T* y, int64_t n, bool past_caches, const F& f) {
    for_row_blocks(n, 1, past_caches, [&](int64_t begin, int64_t end) {
        fill(y + begin, end - begin, past_caches,
             [&](int64_t i, auto tail) { return f(begin + i, tail); });
    });
}

}  // namespace plainformer::PF_ISA
