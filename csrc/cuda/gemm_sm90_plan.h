// Which shape of tile, how large a cluster and how many parts of K: by an estimate in clock cycles
// of one multiprocessor. Host code.
//
// The figures are what an H100 can do at most, from its data sheet and published measurements; none
// was measured with these kernels (docs/notes/cuda-gemm-sm90.md derives each). Same shapes, same
// plan: nothing here depends on data.
#pragma once
#include "gemm_plan.h"
#include "gemm_sm90_schedule.h"

namespace plainformer::cuda {

struct GemmSm90Shape {
    int64_t M, N, K;
    int64_t matrices;
    int multiprocessors;
    bool activates;      // or writes the preactivation too
    bool sums;           // float32 output
    bool whole = false;  // K is not cut: statistics need the whole sums
};

struct GemmSm90Plan {
    bool ping_pong;
    int cluster;
    int splits, split_steps;
    double cycles;
};

// Cycles of the tensor cores, of shared memory and of L2 in one step of 64 along K. Rates: 4096
// multiply-adds in two cycles, 128 bytes of shared memory and 40 bytes from L2 a cycle.
template <class Shape>
double step_cycles(int cluster) {
    constexpr double bytes_a = Shape::M * 128.0, bytes_b = Shape::N * 128.0;
    // Every 64 rows read their part of A, and B once: the accumulators of ping-pong's consumer lie
    // in two blocks of 64 rows, those of a cooperative one in one.
    constexpr double reads = bytes_a + Shape::M / 64 * bytes_b;
    constexpr double tensor = Shape::M * Shape::N * 64.0 / 2048;
    constexpr double memory = (bytes_a + bytes_b + reads) / 128;
    const double l2 = (bytes_a + bytes_b / cluster) / 40;
    const double most = tensor > memory ? tensor : memory;
    return most > l2 ? most : l2;
}

// Cycles in which a consumer does nothing but write out its tile: the instructions of 128 values a
// thread on four schedulers, and two waits for TMA.
template <class Shape>
double epilogue_cycles(const GemmSm90Shape& s) {
    constexpr int warps_a_scheduler = Shape::ping_pong ? 1 : 2;
    const double instructions = s.sums ? 6 : s.activates ? 24 : 3;
    return 1000 + 128 * instructions * warps_a_scheduler;
}

// Of a pass over the parts: they were written and are read at 16 bytes a cycle and multiprocessor,
// after a launch.
inline double add_parts_cycles(const GemmSm90Shape& s, int64_t splits) {
    const double bytes = 8.0 * static_cast<double>(splits) * static_cast<double>(s.M) *
                         static_cast<double>(s.N) * static_cast<double>(s.matrices);
    return 5000 + bytes / (16.0 * s.multiprocessors);
}

template <class Shape>
GemmSm90Plan plan_with(const GemmSm90Shape& s, int cluster, int64_t wanted_splits) {
    const int64_t steps = ceil_div(s.K, gemm_step);
    const int64_t split_steps = ceil_div(steps, wanted_splits);
    const int64_t splits = ceil_div(steps, split_steps);
    const int64_t units =
        ceil_div(ceil_div(s.M, Shape::M), cluster) * ceil_div(s.N, Shape::N) * splits * s.matrices;
    const int64_t workers = s.multiprocessors / cluster;
    const double waves = static_cast<double>(ceil_div(units, workers));
    GemmSm90Shape parts = s;
    if (splits > 1) parts.sums = true;
    const double mainloop = static_cast<double>(split_steps) * step_cycles<Shape>(cluster);
    const double epilogue = epilogue_cycles<Shape>(parts);
    // In turn, an epilogue costs nothing until it takes longer than the other's mainloop.
    const double in_turn = mainloop > epilogue ? mainloop : (mainloop + epilogue) / 2;
    const double tile = Shape::ping_pong ? in_turn : mainloop + epilogue;
    GemmSm90Plan plan{Shape::ping_pong, cluster, static_cast<int>(splits),
                      static_cast<int>(split_steps), 1500 + waves * tile};
    if (Shape::ping_pong) plan.cycles += epilogue;
    if (splits > 1) plan.cycles += add_parts_cycles(s, splits);
    return plan;
}

inline constexpr int64_t gemm_least_split_steps = 4;  // of 64

// Two blocks share their tiles of B, if there are two along m.
inline int most_in_cluster(const GemmSm90Shape& s) {
    return s.M > Cooperative::M && s.multiprocessors > 1 ? 2 : 1;
}

// As many parts as make four waves of the smaller tiles. sum_parts has a grid of one z a matrix.
inline int64_t most_splits(const GemmSm90Shape& s) {
    if (s.matrices > largest_grid_z || s.whole) return 1;
    const int64_t tiles = ceil_div(s.M, PingPong::M) * ceil_div(s.N, PingPong::N) * s.matrices;
    const int64_t useful = ceil_div(4 * s.multiprocessors, tiles);
    const int64_t possible = ceil_div(s.K, gemm_step * gemm_least_split_steps);
    const int64_t most = useful < possible ? useful : possible;
    return most < gemm_most_parts ? most : gemm_most_parts;
}

// The cheapest; of equals the first, so that nothing is cut without a gain.
inline GemmSm90Plan plan_gemm_sm90(const GemmSm90Shape& s) {
    GemmSm90Plan best = plan_with<Cooperative>(s, 1, 1);
    const auto consider = [&](const GemmSm90Plan& plan) {
        if (plan.cycles < best.cycles) best = plan;
    };
    const int64_t most = most_splits(s);
    for (int64_t splits = 1; splits <= most; ++splits)
        for (int cluster = 1; cluster <= most_in_cluster(s); ++cluster) {
            consider(plan_with<Cooperative>(s, cluster, splits));
            consider(plan_with<PingPong>(s, cluster, splits));
        }
    return best;
}

}  // namespace plainformer::cuda
