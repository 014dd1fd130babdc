// The chunks of a row that a thread keeps: its team goes through the row `kept` chunks a thread at
// a time, with all of them in flight. Sums go by the chunks' numbers, counted from the row's first
// element, so that they do not depend on where in memory a row lies.
#pragma once
#include "row_chunks.cuh"

namespace plainformer::cuda {

// `aligned`: rows begin at 16-byte boundaries and are whole chunks.
template <typename T, int kept, bool aligned>
struct RowPart {
    static constexpr int W = vector_width<T>;
    Chunk<T, W> chunks[kept];

    // Where the thread's u-th chunk begins, when the team is at chunk `first`.
    template <typename Team>
    static __device__ __forceinline__ int64_t begin(int64_t first, const Team& team, int u) {
        return (first + u * team.size + team.rank) * W;
    }

    // Of row x (n), `fill` where the row has no elements.
    template <typename Team>
    __device__ __forceinline__ void load(const T* x, int64_t n, int64_t first, const Team& team,
                                         float fill) {
        const Chunk<T, W> none = make_chunk<T, W>([&](int) { return fill; });
        int last = 0;  // chunk at the end of the row
#pragma unroll
        for (int u = 0; u < kept; ++u) {
            const int64_t at = begin(first, team, u);
            chunks[u] = none;
            if constexpr (aligned) {
                if (at < n) chunks[u] = load_chunk<W>(x + at);
            } else if (is_amid(x, at, n)) {
                chunks[u] = load_amid<W>(x, at);
            } else if (at < n) {
                last = u;
            }
        }
        if constexpr (!aligned) load_ends(x, n, first, team, last, from_float<T>(fill));
    }

    // y (n) = f(u) for chunk u; by all lanes of a warp.
    template <typename Team, typename F>
    __device__ __forceinline__ void store(T* y, int64_t n, int64_t first, const Team& team, F f) {
#pragma unroll
        for (int u = 0; u < kept; ++u) {
            const int64_t at = begin(first, team, u);
            if constexpr (!aligned) {
                store_neighbours(y, at, n, f(u), team.rank, team.size);
            } else {
                if (at < n) store_chunk(y + at, f(u));
            }
        }
    }

  private:
    // The first and the last chunk, element by element, in one piece of code for both.
    template <typename Team>
    __device__ __forceinline__ void load_ends(const T* x, int64_t n, int64_t first,
                                              const Team& team, int last, T fill) {
#pragma unroll 1
        for (int end = 0; end < 2; ++end) {
            const int which = end * last;
            const int64_t at = begin(first, team, which);
            if (at >= n || is_amid(x, at, n)) continue;
            const Chunk<T, W> chunk = load_elements<W>(x, at, n, fill);
#pragma unroll
            for (int u = 0; u < kept; ++u)
                if (u == which) chunks[u] = chunk;
        }
    }
};

}  // namespace plainformer::cuda
