// What the emulation costs: processor time of one step, printed. docs/cuda-emulation.md has
// the figures; `python -m tests.cuda.programs costs` runs it.
#include <ctime>

#include "cuda/emulation/control.h"
#include "testing.h"

using namespace testing;

__global__ void nothing(float* y) { y[threadIdx.x] = 1; }
__global__ void shuffles(float* y, int steps) {
    float v = y[threadIdx.x];
    for (int i = 0; i < steps; ++i) v = __shfl_xor_sync(full_warp, v, 1);
    y[threadIdx.x] = v;
}
__global__ void barriers(float*, int steps) {
    for (int i = 0; i < steps; ++i) __syncthreads();
}
__global__ void loads(float* y, int steps) {
    uint32_t r[4];
    for (int i = 0; i < steps; ++i)
        ldmatrix(r, shared_addr(&shared<float>()) + threadIdx.x % 32 * 16);
    y[threadIdx.x] = __uint_as_float(r[0]);
}
__global__ void products(float* y, int steps) {
    float d[4] = {};
    const uint32_t a[4] = {1, 2, 3, 4};
    for (int i = 0; i < steps; ++i) mma_m16n8k16<bfloat16>(d, a, 5, 6);
    y[threadIdx.x] = d[0];
}
struct alignas(1024) GroupShared {
    unsigned char a[8192], b[32768];
};
__global__ void group_products(float* y, int steps) {
    auto& s = shared<GroupShared>();
    float d[128];
    for (float& x : d) x = 0;
    for (int i = 0; i < steps; ++i) {
        wgmma_fence();
        for (uint32_t k = 0; k < 4; ++k)
            wgmma<bfloat16>(d, matrix_desc(shared_addr(s.a) + k * 32, 16, 1024),
                            matrix_desc(shared_addr(s.b) + k * 32, 16, 1024), true);
        wgmma_commit();
        wgmma_wait<0>(d);
    }
    y[threadIdx.x] = d[0];
}

template <class F>
void report(const char* what, double steps, F run) {
    run();  // stacks are there the second time
    const std::clock_t start = std::clock();
    run();
    const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::printf("%-44s %9.1f ns\n", what, took * 1e9 / steps);
}

int main() {
    Array<float> array(1024);
    float* const y = array.data();
    constexpr size_t shared_bytes = sizeof(GroupShared);
    const auto block = [&](unsigned threads) {
        return LaunchConfig{dim3(1), dim3(threads), shared_bytes};
    };
    report("shuffle, a lane of 1 warp", 32 * 1e4, [&] { launch(block(32), shuffles, y, 10000); });
    report("shuffle, a lane of 32 warps", 1024 * 1e3,
           [&] { launch(block(1024), shuffles, y, 1000); });
    report("__syncthreads, a thread of 256", 256 * 1e3,
           [&] { launch(block(256), barriers, y, 1000); });
    report("ldmatrix.x4, a warp", 1e4, [&] { launch(block(32), loads, y, 10000); });
    report("mma.m16n8k16, a warp", 1e4, [&] { launch(block(32), products, y, 10000); });
    report("wgmma.m64n256k64 and its wait, a warpgroup", 1e3,
           [&] { launch(block(128), group_products, y, 1000); });
    report("an empty block of 256 threads", 1e3,
           [&] { launch({dim3(1000), dim3(256), shared_bytes}, nothing, y); });
    report("an empty launch of one warp", 1e3, [&] {
        for (int i = 0; i < 1000; ++i) launch({dim3(1), dim3(32)}, nothing, y);
    });
}
