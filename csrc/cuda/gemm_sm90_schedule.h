// How the sm_90a GEMM cuts its work: which tile, how often along K, in which order.
// Plain code: the host plans with it, the kernel walks by it.
#pragma once
#include <cstdint>

#include "plainformer/types.h"

namespace plainformer::cuda {

// The two shapes of the kernel. Both give every consumer 128 accumulators a thread.
//
//   cooperative  both warpgroups share a tile of 128 x 256, 64 rows each
//   ping-pong    they take tiles of 128 x 128 in turn: one writes out what it has while the other
//                multiplies, so that the epilogue is hidden where K is short
struct Cooperative {
    static constexpr int M = 128, N = 256, stages = 4;  // 4 x 48 KiB + 32 KiB to store from
    static constexpr bool ping_pong = false;
};
struct PingPong {
    static constexpr int M = 128, N = 128, stages = 6;  // 6 x 32 KiB + 32 KiB to store from
    static constexpr bool ping_pong = true;
};
inline constexpr int gemm_step = 64;  // of K, in a stage

// One tile of one matrix, and the part of K that is summed up for it.
struct GemmTile {
    int m, n;
    int batch, split;
    int first_step, steps;
};

// All tiles in the order in which they are claimed, a cluster's worth at a time. A cluster's blocks
// lie along m. Inside a matrix the order runs down a band of `band` clusters before it moves along
// n: what runs at the same time then forms nearly a square and reads least from L2.
struct GemmSchedule {
    int cluster;
    int down, across;  // clusters along m, tiles along n
    int band;
    int splits, steps, split_steps;
    int batches;

    PF_INLINE int count() const { return down * across * splits * batches; }

    // Tile `index` of the cluster's block `rank`.
    template <class Shape>
    PF_INLINE GemmTile tile(Shape, int index, int rank) const {
        const int matrix = index / (down * across), place = index % (down * across);
        const int first = place / (band * across) * band;
        const int height = down - first < band ? down - first : band;
        const int inside = place - first * across;
        GemmTile t;
        t.m = ((first + inside % height) * cluster + rank) * Shape::M;
        t.n = inside / height * Shape::N;
        t.batch = matrix / splits, t.split = matrix % splits;
        t.first_step = t.split * split_steps;
        const int left = steps - t.first_step;
        t.steps = left < split_steps ? left : split_steps;
        return t;
    }
};

}  // namespace plainformer::cuda
