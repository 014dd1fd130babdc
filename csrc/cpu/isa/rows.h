// Walking rows: blocks of them as tasks, several running sums a row, stores past the caches.
#pragma once
#include "isa/vec.h"
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

// Registers a block of columns: neighboring cache lines, which the processor fetches together.
constexpr int column_parts = 4;

// f(n, c, count) for blocks of `count` columns from column c of N matrices (L, M). A block is
// column_parts registers wide, or one register or less where the matrix ends.
template <typename T, typename F>
PF_INLINE void for_column_blocks(int64_t N, int64_t L, int64_t M, const F& f) {
    constexpr int64_t wide = column_parts * lanes<T>;
    const int64_t whole = M / wide, blocks = whole + (M % wide + lanes<T> - 1) / lanes<T>;
    const int64_t grain = rows_per_task(task_elements, wide * L);
    parallel_for(N * blocks, grain, [&](int64_t i) {
        const int64_t n = i / blocks, block = i % blocks;
        if (block < whole) return f(n, block * wide, wide);
        const int64_t c = whole * wide + (block - whole) * lanes<T>;
        f(n, c, least(M - c, lanes<T>));
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

// A load waits for an earlier store whose address has the same low 12 bits, although the two have
// nothing to do with each other. True where walking upward, the loads from x meet the stores to y
// that are still on their way: each register would wait for the one before it (four times slower in
// GELU). Walking downward they part.
PF_INLINE bool loads_meet_stores(const void* y, const void* x) {
    const uintptr_t ahead =
        (reinterpret_cast<uintptr_t>(y) - reinterpret_cast<uintptr_t>(x)) % 4096;
    return 0 < ahead && ahead < 2048;
}

// Whether so many elements are written past the caches.
template <typename T>
bool goes_past_caches(int64_t elements) {
    return outgrows_caches(elements * static_cast<int64_t>(sizeof(T)));
}

// f(i, Full{}) or f(i, Tail{}) over n elements that come from x and go to y, elementwise and in no
// fixed order. Stores past the caches need aligned registers: then a partial register goes up to
// the first such place in y.
template <typename T, typename F>
PF_INLINE void for_lanes_to(const T* y, const void* x, int64_t n, bool past_caches, F&& f) {
    constexpr int64_t bytes = lanes<T> * static_cast<int64_t>(sizeof(T));
    int64_t head = 0;
    if (past_caches) {
        const int64_t beyond = static_cast<int64_t>(reinterpret_cast<uintptr_t>(y) % bytes);
        head = (bytes - beyond) % bytes / static_cast<int64_t>(sizeof(T));
        head = least(head, n);
    }
    const int64_t whole = (n - head) / lanes<T>, rest = head + whole * lanes<T>;
    const bool downward = loads_meet_stores(y, x);
    const int64_t step = downward ? -lanes<T> : lanes<T>;
    int64_t i = downward ? rest - lanes<T> : head;
    for (int64_t left = whole; left > 0; --left, i += step) f(i, Full{});
    if (head > 0) f(0, Tail{static_cast<int>(head)});
    if (rest < n) f(rest, Tail{static_cast<int>(n - rest)});
}

// The same in tasks.
template <typename T, typename F>
PF_INLINE void for_blocks(const T* y, const T* x, int64_t n, bool past_caches, const F& f) {
    for_row_blocks(n, 1, past_caches, [&](int64_t begin, int64_t end) {
        for_lanes_to(y + begin, x + begin, end - begin, past_caches,
                     [&](int64_t i, auto tail) { f(begin + i, tail); });
    });
}

template <typename T>
PF_INLINE void put(T* p, Full, VecOf<T> v, bool past_caches) {
    past_caches ? stream(p, v) : store(p, v);
}
template <typename T>
PF_INLINE void put(T* p, Tail tail, VecOf<T> v, bool) {
    store(p, tail, v);
}

}  // namespace plainformer::PF_ISA
