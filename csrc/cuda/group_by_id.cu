// Places grouped by id: passes of the sort. Kernels: group_by_id.cuh
#include "group_by_id.cuh"

#include "group_by_id.h"
#include "plainformer/arith.h"

namespace plainformer::cuda {

namespace {

// Ids a tile has: whole rounds for each warp, and few enough tiles that each can look at the
// counts of all.
int64_t tile_size(int64_t N) {
    constexpr int64_t least_tile = 4 * sort_threads, most_tiles = 256;
    return round_up(greatest(ceil_div(N, most_tiles), least_tile), sort_threads);
}

LaunchConfig blocks_of(int threads, int64_t count, size_t shared_bytes, const Context& context) {
    LaunchConfig config{};
    config.grid = dim3(static_cast<unsigned>(count));
    config.block = dim3(static_cast<unsigned>(threads));
    config.shared_bytes = shared_bytes;
    config.stream = context.stream();
    return config;
}

// The pass by the digit at `shift`; what it wrote is the input of the next.
void sort_by_digit(SortInput& in, int64_t* keys, int64_t* order, int* counts, int shift,
                   Context& context) {
    const int64_t tile = tile_size(in.N), tiles = ceil_div(in.N, tile);
    launch(blocks_of(sort_threads, tiles, sizeof(CountShared), context), count_digits, counts, in,
           shift, tile, context.errors());
    launch(blocks_of(sort_threads, tiles, sizeof(MoveShared), context), move_by_digit, keys, order,
           in, counts, shift, tile);
    in.keys = keys, in.order = order;
}

}  // namespace

IdGroups group_by_id(Ids ids, int64_t N, int64_t V, Context& context) {
    int64_t* const first = context.workspace<int64_t>(V + 1);
    SortInput in{ids, nullptr, nullptr, N, V};
    if (N > 0) {
        int64_t *keys[2], *order[2];
        for (int i = 0; i < 2; ++i) keys[i] = context.workspace<int64_t>(N);
        for (int i = 0; i < 2; ++i) order[i] = context.workspace<int64_t>(N);
        int* const counts = context.workspace<int>(ceil_div(N, tile_size(N)) * digits);
        for (int shift = 0, pass = 0; shift == 0 || V >> shift != 0; shift += digit_bits, ++pass)
            sort_by_digit(in, keys[pass % 2], order[pass % 2], counts, shift, context);
    }
    launch(blocks_of(search_threads, ceil_div(V + 1, search_threads), 0, context), find_first,
           first, in.keys, N, V);
    return {in.keys, in.order, first};
}

}  // namespace plainformer::cuda
