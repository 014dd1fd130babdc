// CUDA's own names for the host compiler: a thread of a block is a fiber, and what threads do
// together goes through the runtime (runtime.h). Kernels see this through device.cuh alone.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "runtime.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
// No __shared__: shared memory is one struct behind shared<T>(), so that it can be checked.

#define threadIdx (::plainformer::emulation::self->thread)
#define blockIdx (::plainformer::emulation::self->block)
#define blockDim (::plainformer::emulation::self->block_dim)
#define gridDim (::plainformer::emulation::self->grid_dim)
inline constexpr int warpSize = 32;

#define PF_SITE ::plainformer::emulation::Site site = ::plainformer::emulation::Site::current()

// ---- synchronisation ---------------------------------------------------------------------------

inline void __syncthreads(PF_SITE) { plainformer::emulation::barrier_sync(0, 0, site); }
inline void __syncwarp(unsigned mask = ~0u, PF_SITE) {
    plainformer::emulation::warp_sync(mask, "__syncwarp", true, site);
}
inline void __threadfence() { plainformer::emulation::thread_fence(); }
inline void __threadfence_block() { plainformer::emulation::thread_fence(); }

// ---- warp collectives --------------------------------------------------------------------------

namespace plainformer::emulation {

template <class T>
T exchange(unsigned mask, T value, int source, const char* op, Site site) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = warp_exchange(mask, bits, source, op, site);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace plainformer::emulation

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, PF_SITE) {
    const int start = plainformer::emulation::lane() & ~(width - 1);
    return plainformer::emulation::exchange(mask, value, start + (source & (width - 1)),
                                            "__shfl_sync", site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, PF_SITE) {
    const int lane = plainformer::emulation::lane(), other = lane ^ bits;
    const bool in = (other & ~(width - 1)) <= (lane & ~(width - 1));
    return plainformer::emulation::exchange(mask, value, in ? other : lane, "__shfl_xor_sync",
                                            site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, PF_SITE) {
    const int lane = plainformer::emulation::lane(), back = static_cast<int>(by);
    const bool in = (lane & (width - 1)) >= back;
    return plainformer::emulation::exchange(mask, value, in ? lane - back : lane, "__shfl_up_sync",
                                            site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, PF_SITE) {
    const int lane = plainformer::emulation::lane(), ahead = static_cast<int>(by);
    const bool in = (lane & (width - 1)) + ahead < width;
    return plainformer::emulation::exchange(mask, value, in ? lane + ahead : lane,
                                            "__shfl_down_sync", site);
}
inline unsigned __ballot_sync(unsigned mask, int vote, PF_SITE) {
    return plainformer::emulation::warp_ballot(mask, vote, "__ballot_sync", site);
}
inline int __any_sync(unsigned mask, int vote, PF_SITE) {
    return plainformer::emulation::warp_ballot(mask, vote, "__any_sync", site) != 0;
}
inline int __all_sync(unsigned mask, int vote, PF_SITE) {
    return plainformer::emulation::warp_ballot(mask, !vote, "__all_sync", site) == 0;
}

#include "cuda_atomics.h"
#include "cuda_math.h"
