// The ceiling of AMX's products of bfloat16. Meaning: tools/roofline.h
#include "amx_tile.h"
#include "runtime/thread_pool.h"  // parallel_for
#include "tools/roofline.h"

namespace plainformer::PF_ISA {

namespace {

// Four chains of products, as many as multiply_32_by_32 has: one starts every 16 cycles.
float run_products(int64_t rounds) {
    const TilesInUse tiles;
    for (int64_t round = 0; round < rounds; ++round) {
        tile_dot_bf16<0, 6, 4>(), tile_dot_bf16<1, 6, 5>();
        tile_dot_bf16<2, 7, 4>(), tile_dot_bf16<3, 7, 5>();
    }
    alignas(64) float sums[tile_side][tile_side];
    tile_store<0>(sums, tile_row_bytes);
    return sums[0][0];
}

}  // namespace

template <typename T>
void tile_peak(const PeakArgs<T>& s) {
    constexpr int64_t operations = 4 * 2 * tile_side * tile_side * tile_k;
    const int64_t rounds = s.rounds / 4;  // a round of vectors is shorter
    parallel_for(s.chunks, 1, [&](int64_t chunk) { s.results[chunk] = run_products(rounds); });
    *s.operations = static_cast<double>(operations) * static_cast<double>(rounds * s.chunks);
}
template void tile_peak<bfloat16>(const PeakArgs<bfloat16>&);

}  // namespace plainformer::PF_ISA
