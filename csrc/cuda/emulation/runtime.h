// What the emulation's headers ask of its runtime. A block runs as fibers, one a CUDA thread, on
// one host thread; each function here is called by a fiber, except `run`.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>

#include "cuda_types.h"
#include "plainformer/types.h"

namespace plainformer::emulation {

// Where the kernel called a primitive: a hidden last argument of every one.
using Site = std::source_location;

// What a kernel did wrong. The text names file, line, block and thread.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
[[noreturn]] void fail(Site site, const char* format, ...) __attribute__((format(printf, 2, 3)));

struct Indices {
    uint3 thread, block;
    dim3 block_dim, grid_dim;
    int lane, warp;  // within the block
};
// Of the fiber that runs now. The model spares a function call in the emulated module.
extern __thread const Indices* self __attribute__((tls_model("initial-exec")));
inline int lane() { return self->lane; }

// ---- launch ------------------------------------------------------------------------------------

struct Launch {
    dim3 grid, block;
    size_t shared_bytes = 0;
    unsigned cluster = 1;  // blocks along x that form a cluster
    cudaStream_t stream = nullptr;
};
// Runs every block; throws Error. Without shared memory a kernel may still use barriers.
void run(const Launch& launch, const std::function<void()>& thread);

// ---- warps -------------------------------------------------------------------------------------

void warp_sync(unsigned mask, const char* op, bool orders_memory, Site site);
uint64_t warp_exchange(unsigned mask, uint64_t value, int source, const char* op, Site site);
unsigned warp_ballot(unsigned mask, bool vote, const char* op, Site site);

// Every lane names a row of 16 bytes; the rows of lanes 0 .. 8 matrices - 1 are checked and
// counted for bank conflicts. Returns the rows of all, until the lane's next collective.
const char* const* matrix_rows(uint32_t row, int matrices, const char* op, Site site);

struct MmaOperands {
    float* d;
    const uint32_t *a, *b;
    DType element;
};
void mma_m16n8k16(const MmaOperands& operands, Site site);

// ---- blocks ------------------------------------------------------------------------------------

// threads = 0: the whole block.
void barrier_sync(int id, int threads, Site site);
void barrier_arrive(int id, int threads, Site site);

void thread_fence();

char* shared_base();
uint32_t shared_address(const void* p, Site site);
char* shared_at(uint32_t address, size_t bytes, size_t alignment, Site site);

// bytes 4, 8 or 16; without `copies` they become 0.
void cp_async(uint32_t dst, const void* src, int bytes, bool copies, Site site);
void cp_async_commit();
void cp_async_wait(int keep);

}  // namespace plainformer::emulation
