// Walking rows: blocks of them as tasks, several running sums a row, stores past the caches.
#pragma once
#include "isa/far.h"
#include "isa/vec.h"
#include "plainformer/arith.h"    // least
#include "runtime/caches.h"       // outgrows_caches
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

// How far a kernel reaches: what it reads and writes, all arrays together, fits L2, lies beyond it,
// or is larger than the last cache. Then its outputs would push everything else out of there, and
// be gone before anyone read them: they are written past the caches.
enum class Reach { near, far, past };

template <typename T>
Reach reach_of(int64_t elements) {
    const int64_t bytes = elements * static_cast<int64_t>(sizeof(T));
    if (outgrows_caches(bytes)) return Reach::past;
    return bytes > l2_bytes ? Reach::far : Reach::near;
}

// The same for outputs that are read again at once.
PF_INLINE Reach kept(Reach reach) { return reach == Reach::past ? Reach::far : reach; }

// f(Far{}) or f(Full{}): how whole registers are loaded.
template <typename T, typename F>
PF_INLINE void with_whole(Reach reach, const F& f) {
    if (has_far<T> && reach != Reach::near) return f(Far{});
    f(Full{});
}

// f(begin, end) for blocks of N rows of C elements, each row's bytes its own affair. A task that
// writes past the caches ends by waiting until all of it has arrived.
template <typename F>
PF_INLINE void for_row_blocks(int64_t N, int64_t C, Reach reach, const F& f) {
    const bool past_caches = reach == Reach::past;
    const int64_t rows = rows_per_task(past_caches ? streamed_task_elements : task_elements, C);
    parallel_for(ceil_div(N, rows), 1, [&](int64_t task) {
        f(task * rows, least(N, (task + 1) * rows));
        if (past_caches) stream_fence();
    });
}

// f(n) for every one of N rows of C elements.
template <typename F>
PF_INLINE void for_rows(int64_t N, int64_t C, Reach reach, const F& f) {
    for_row_blocks(N, C, reach, [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n) f(n);
    });
}

// f(n, c, count) for blocks of at most column_block columns, from column c of N matrices (L, M). Of
// tall matrices they are narrow, so that the last cache holds a block from pass to pass.
template <typename T, typename F>
PF_INLINE void for_column_blocks(int64_t N, int64_t L, int64_t M, Reach reach, const F& f) {
    const bool tall = L * column_block * static_cast<int64_t>(sizeof(T)) > l2_bytes;
    const int64_t block = tall ? 4 * lanes<T> : column_block;
    const int64_t blocks = ceil_div(M, block), width = least(M, block);
    const bool past_caches = reach == Reach::past;
    const int64_t elements = past_caches ? streamed_task_elements : task_elements;
    parallel_for(N * blocks, rows_per_task(elements, width * L), [&](int64_t i) {
        const int64_t c = i % blocks * block;
        f(i / blocks, c, least(M - c, block));
        if (past_caches) stream_fence();
    });
}

// f(i, part, whole) or f(i, part, Tail{}) over n elements of T, part cycling through `parts`
// running sums: one alone would wait for its own addition, four cycles each.
template <typename T, int parts, typename Whole, typename F>
PF_INLINE void for_whole_in_parts(int64_t n, Whole whole, const F& f) {
    int64_t i = 0;
    for (; i + parts * lanes<T> <= n; i += parts * lanes<T>)
        for (int part = 0; part < parts; ++part) f(i + part * lanes<T>, part, whole);
    for (; i + lanes<T> <= n; i += lanes<T>) f(i, 0, whole);
    if (i < n) f(i, 0, Tail{static_cast<int>(n - i)});
}

template <typename T, int parts, typename F>
PF_INLINE void for_lanes_in_parts(int64_t n, const F& f) {
    for_whole_in_parts<T, parts>(n, Full{}, f);
}
template <typename T, int parts, typename F>
PF_INLINE void for_lanes_in_parts(int64_t n, Reach reach, const F& f) {
    with_whole<T>(reach, [&](auto whole) { for_whole_in_parts<T, parts>(n, whole, f); });
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

// Registers that are computed before the first of them is stored. A load waits for an earlier store
// whose address has the same low 12 bits, although the two have nothing to do with each other:
// taken one by one, the loads from an array of NumPy (16 modulo 4096) would each wait for the store
// of the register before it to an array of ours (64 modulo 4096). docs/notes/pointwise.md
template <typename T>
inline constexpr int64_t stored_together = least(8, 256 / static_cast<int64_t>(sizeof(VecOf<T>)));

// write(i, f(i, whole)) for the whole registers of [begin, end).
template <typename T, typename Whole, typename F, typename Write>
PF_INLINE void fill_whole(int64_t begin, int64_t end, Whole whole, const F& f, const Write& write) {
    constexpr int64_t group = stored_together<T>;
    int64_t i = begin;
    for (; i + group * lanes<T> <= end; i += group * lanes<T>) {
        decltype(f(i, whole)) values[group];
#pragma GCC unroll 8
        for (int64_t j = 0; j < group; ++j) values[j] = f(i + j * lanes<T>, whole);
#pragma GCC unroll 8
        for (int64_t j = 0; j < group; ++j) write(i + j * lanes<T>, values[j]);
    }
    for (; i < end; i += lanes<T>) write(i, f(i, whole));
}

// Elements up to the first place in y where a register can be stored past the caches.
template <typename T>
PF_INLINE int64_t unaligned_elements(const T* y) {
    constexpr int64_t bytes = lanes<T> * static_cast<int64_t>(sizeof(T));
    const int64_t beyond = static_cast<int64_t>(reinterpret_cast<uintptr_t>(y) % bytes);
    return (bytes - beyond) % bytes / static_cast<int64_t>(sizeof(T));
}

// outputs.store(i, tail, f(i, tail)), or outputs.stream(i, f(i, tail)), for n elements; the first
// output decides where registers begin.
template <typename T, typename F, typename Outputs>
PF_INLINE void fill_outputs(const Outputs& outputs, int64_t n, Reach reach, const F& f) {
    const int64_t head = reach == Reach::past ? least(n, unaligned_elements(outputs.y)) : 0;
    const int64_t rest = head + (n - head) / lanes<T> * lanes<T>;
    const auto partial = [&](int64_t i, int64_t count) {
        const Tail tail{static_cast<int>(count)};
        if (count > 0) outputs.store(i, tail, f(i, tail));
    };
    partial(0, head);
    with_whole<T>(reach, [&](auto whole) {
        using Value = decltype(f(0, whole));
        if (reach == Reach::past)
            fill_whole<T>(head, rest, whole, f,
                          [&](int64_t i, const Value& v) { outputs.stream(i, v); });
        else
            fill_whole<T>(head, rest, whole, f,
                          [&](int64_t i, const Value& v) { outputs.store(i, whole, v); });
    });
    partial(rest, n - rest);
}

template <typename T>
struct OneOutput {
    T* y;

    template <typename Lanes>
    PF_INLINE void store(int64_t i, Lanes tail, VecOf<T> v) const {
        PF_ISA::store(y + i, tail, v);
    }
    PF_INLINE void stream(int64_t i, VecOf<T> v) const { PF_ISA::stream(y + i, v); }
};

// y[i] = f(i, Full{}), f(i, Far{}) or f(i, Tail{}) for n elements.
template <typename T, typename F>
PF_INLINE void fill(T* y, int64_t n, Reach reach, const F& f) {
    fill_outputs<T>(OneOutput<T>{y}, n, reach, f);
}

template <typename T>
struct TwoRegisters {
    VecOf<T> first, second;
};

template <typename T>
struct TwoOutputs {
    T *y, *z;

    template <typename Lanes>
    PF_INLINE void store(int64_t i, Lanes tail, const TwoRegisters<T>& v) const {
        PF_ISA::store(y + i, tail, v.first);
        PF_ISA::store(z + i, tail, v.second);
    }
    PF_INLINE void stream(int64_t i, const TwoRegisters<T>& v) const {
        PF_ISA::stream(y + i, v.first);
        PF_ISA::stream(z + i, v.second);
    }
};

// The same with two outputs: f gives TwoRegisters<T>. Only where both are aligned alike can they go
// past the caches.
template <typename T, typename F>
PF_INLINE void fill_two(T* y, T* z, int64_t n, Reach reach, const F& f) {
    const bool alike = unaligned_elements(y) == unaligned_elements(z);
    fill_outputs<T>(TwoOutputs<T>{y, z}, n, alike ? reach : kept(reach), f);
}

// The same with one output, in tasks.
template <typename T, typename F>
PF_INLINE void fill_blocks(T* y, int64_t n, Reach reach, const F& f) {
    for_row_blocks(n, 1, reach, [&](int64_t begin, int64_t end) {
        fill(y + begin, end - begin, reach,
             [&](int64_t i, auto tail) { return f(begin + i, tail); });
    });
}

}  // namespace plainformer::PF_ISA
