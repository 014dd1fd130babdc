// How rows are dealt to teams of threads: host code.
#pragma once
#include <initializer_list>

#include "context.h"
#include "plainformer/arith.h"
#include "row_teams.cuh"

namespace plainformer::cuda {

// Whether rows of C elements, at these places and distances, can be moved in chunks of W. Absent
// arrays are null, and lie at any distance.
template <int W>
bool are_chunks(int64_t C, std::initializer_list<const void*> arrays,
                std::initializer_list<int64_t> strides) {
    if (C % W != 0) return false;
    for (const void* array : arrays)
        if (reinterpret_cast<uintptr_t>(array) % 16 != 0) return false;
    for (int64_t stride : strides)
        if (stride % W != 0) return false;
    return true;
}

// Who has a row: some lanes of a warp, a block or a cluster that keep it in registers, or a block
// that reads it again.
enum class RowOwner { lanes, block, cluster, long_block };

struct RowGrid {
    RowOwner owner;
    int team, block;  // threads of a row, and of a block

    int64_t rows_per_block() const { return team < block ? block / team : 1; }
    int64_t blocks_per_row() const { return team > block ? team / block : 1; }
    // For `rows` rows at a time.
    LaunchConfig config(int64_t rows, size_t shared_bytes, const Context& context) const {
        const int64_t blocks = ceil_div(rows, rows_per_block()) * blocks_per_row();
        LaunchConfig config{};
        config.grid = dim3(static_cast<unsigned>(blocks));
        config.block = dim3(static_cast<unsigned>(block));
        config.shared_bytes = shared_bytes;
        config.cluster = static_cast<unsigned>(blocks_per_row());
        config.stream = context.stream();
        return config;
    }
};

constexpr int next_power_of_two(int64_t n) {
    int power = 1;
    while (power < n) power *= 2;
    return power;
}

constexpr int most_cluster_blocks = 8;  // what every device that has clusters can hold

// The smallest team whose registers hold the row, `kept` chunks a thread; blocks of `least_block`
// threads at least. Teams smaller than a warp leave no lane idle in short rows.
template <int W, int kept>
RowGrid row_grid(int64_t C, int least_block, const Context& context) {
    constexpr int most = BlockTeam::most_threads;
    const int64_t chunks = ceil_div(C, W), threads = ceil_div(chunks, kept);
    if (threads <= warp_size)
        return {RowOwner::lanes, next_power_of_two(least(chunks, warp_size)), 256};
    if (threads <= most) {
        const int team = next_power_of_two(threads);
        return {RowOwner::block, team, team < least_block ? least_block : team};
    }
    if (W > 1 && context.capability() == 90 && threads <= most * most_cluster_blocks)
        return {RowOwner::cluster, next_power_of_two(threads), most};
    return {RowOwner::long_block, most, most};
}

// For a row of which nothing is kept: no clusters, and a block that is busy in all of its turns,
// `in_flight` chunks a thread each.
template <int W, int in_flight>
RowGrid reading_row_grid(int64_t C) {
    const int64_t chunks = ceil_div(C, W), threads = ceil_div(chunks, in_flight);
    if (threads <= warp_size)
        return {RowOwner::lanes, next_power_of_two(least(chunks, warp_size)), 256};
    const int64_t turns = ceil_div(threads, BlockTeam::most_threads);
    const int team = static_cast<int>(round_up(ceil_div(threads, turns), warp_size));
    return {RowOwner::block, team, team};
}

}  // namespace plainformer::cuda
