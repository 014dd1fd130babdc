// Parallel loops on a persistent pool of threads of our own (no OpenMP: see thread_pool.cpp).
// Kernel units include this file at every ISA level: no standard header with out-of-line code.
#pragma once

#include <cstdint>

namespace plainformer {

// Runs body(context, chunk) once for every chunk in [0, chunks), on the caller and on the pool's
// workers, in ascending order of start, under the default floating-point mode. Returns when all
// have ended. Inline when there is one chunk, one thread, or when called from inside a chunk; but
// inline or not, whatever a chunk runs is serial: two parts of one chunk never meet. The first
// exception a chunk throws skips the chunks not yet started and is thrown to the caller. Any number
// of threads may call at once.
void run_chunks(int64_t chunks, void (*body)(void* context, int64_t chunk), void* context);

// Threads a parallel loop may use, the caller included. `set_num_threads(n)` is taken as given,
// more than there are processors included; it throws ConfigError unless 1 <= n <= max_threads.
// Without it the first use takes `default_threads()` of cpu_info.h.
constexpr int64_t max_threads = 1024;
int64_t num_threads();
void set_num_threads(int64_t count);

// Threads that a loop begun here may use: 1 inside a chunk.
int64_t threads_of_loops();

// While it lives, the loops of this thread use the number of threads there was at its start: a
// kernel of several loops keeps it, whoever calls `set_num_threads` meanwhile.
class SteadyThreads {
  public:
    SteadyThreads();
    ~SteadyThreads();
    SteadyThreads(const SteadyThreads&) = delete;
    SteadyThreads& operator=(const SteadyThreads&) = delete;

  private:
    const int64_t before_;
};

// Workers that exist in this process, the parked ones included; 0 until the first parallel loop.
int64_t num_workers();

// Number of the calling thread in its pool: 0 for every caller, 1, 2, ... for the workers.
int64_t thread_index();

// Calls f(i) once for every i in [0, n); `grain` consecutive i make one chunk. Let `grain` depend
// on shapes alone, never on the number of threads: then so do the bytes of the result.
template <typename F>
inline __attribute__((always_inline)) void parallel_for(int64_t n, int64_t grain, const F& f) {
    struct Loop {
        const F& f;
        int64_t n, grain;
    } loop{f, n, grain < 1 ? 1 : grain};
    const int64_t chunks = n <= 0 ? 0 : (n - 1) / loop.grain + 1;
    run_chunks(
        chunks,
        [](void* context, int64_t chunk) {
            const Loop& loop = *static_cast<const Loop*>(context);
            const int64_t begin = chunk * loop.grain;
            const int64_t end = loop.n - begin < loop.grain ? loop.n : begin + loop.grain;
            for (int64_t i = begin; i < end; ++i) loop.f(i);
        },
        &loop);
}

}  // namespace plainformer
