// What the sm_90a primitives ask of the runtime: mbarriers, TMA, wgmma and clusters.
#pragma once
#include "../swizzle.cuh"
#include "runtime.h"

namespace plainformer::emulation {

using cuda::Swizzle;

// ---- mbarriers ---------------------------------------------------------------------------------

void mbarrier_init(uint32_t bar, int count, Site site);
void mbarrier_init_fence();
void mbarrier_expect(uint32_t bar, int bytes, Site site);
void mbarrier_arrive(uint32_t bar, int bytes, Site site);
void mbarrier_arrive_cluster(uint32_t bar, unsigned rank, Site site);
void mbarrier_wait(uint32_t bar, unsigned parity, Site site);

// ---- TMA ---------------------------------------------------------------------------------------

constexpr int max_rank = 5;

struct alignas(64) TensorMap {
    char* base;
    int rank, element_bytes;
    int64_t dim[max_rank], stride[max_rank];  // of elements and bytes, fastest first
    int box[max_rank];
    Swizzle swizzle;
};
TensorMap make_tensor_map(const void* base, int rank, int element_bytes, const int64_t* dim,
                          const int64_t* stride_bytes, const int* box, Swizzle swizzle);

struct Coordinates {
    int at[max_rank];
};
// Into the blocks of the cluster whose bit is set in mask; 0 means this one.
void tma_load(uint32_t dst, const TensorMap& map, uint32_t bar, int rank, Coordinates from,
              unsigned mask, Site site);
void tma_store(const TensorMap& map, uint32_t src, int rank, Coordinates to, Site site);
void tma_store_commit();
void tma_store_wait(int keep);
void fence_proxy_async();

// ---- wgmma -------------------------------------------------------------------------------------

struct WgmmaShape {
    int n;
    bool a_in_registers, a_transposed, b_transposed, accumulate;
    DType element;

    bool operator==(const WgmmaShape&) const = default;
};
// a is a descriptor, or with a_in_registers points to four registers.
void wgmma(float* d, const WgmmaShape& shape, uint64_t a, const uint32_t* a_registers, uint64_t b,
           Site site);
void wgmma_fence(Site site);
void wgmma_commit(Site site);
void wgmma_wait(int keep, Site site);
void require_capability(int least, const char* op, Site site);

// ---- clusters ----------------------------------------------------------------------------------

unsigned cluster_rank();
void cluster_arrive(Site site);
void cluster_wait(Site site);
void* cluster_map(void* p, unsigned rank, Site site);

}  // namespace plainformer::emulation
