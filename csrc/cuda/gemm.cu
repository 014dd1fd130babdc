// Launches the matrix products. Formula: plainformer/gemm.h; which kernel when: gemm_plan.h
//
// The same arguments, with the same strides and alignments, give the same bytes from run to run.
// Which rows stand beside a row of A may change its sums' order, as their number chooses the
// kernel; between two numbers of rows that take the same kernel and the same parts of K a row is
// the same. Strides that no vector can read change the time, not the bytes, of the tile kernels.
#include "gemm_gemv.cuh"
#include "gemm_gemv_simt.cuh"
#include "gemm_parts.h"
#include "gemm_plan.h"
#include "gemm_simt.cuh"
#include "gemm_sm80.cuh"
#include "gemm_sm90.h"
#include "gemm_statistics.h"
#include "operations.h"

namespace plainformer::cuda {

template <typename T>
void sum_parts(const GemmTask<T>& task, int64_t matrices, int64_t parts, Context& context) {
    // a thread a vector, or, in matrices that are not made of vectors, a thread an element
    const int64_t threads = task.s.M * task.s.N;
    LaunchConfig config;
    config.grid = dim3(static_cast<unsigned>(ceil_div(threads, add_parts_threads)), 1,
                       static_cast<unsigned>(matrices));
    config.block = dim3(add_parts_threads);
    config.stream = context.stream();
    launch(config, add_parts<T>, task, static_cast<int>(parts));
}
template void sum_parts(const GemmTask<bfloat16>&, int64_t, int64_t, Context&);
template void sum_parts(const GemmTask<float16>&, int64_t, int64_t, Context&);

namespace {

template <typename T>
using GemmKernel = void (*)(GemmTask<T>);

// A kernel and how it is launched: blocks of `rows` x `columns` of C, `depth` of k a step.
template <typename T>
struct GemmChoice {
    GemmKernel<T> kernel;
    int rows, columns, depth, threads;
    size_t shared_bytes;
    int64_t least_part_k;
};

// Makes the matrices of one grid, and adds the parts of K if there are several.
template <typename T>
void launch_matrices(GemmTask<T> task, const GemmChoice<T>& choice, int64_t matrices,
                     Context& context) {
    const GemmArgs<T>& s = task.s;
    const int64_t tiles = ceil_div(s.M, choice.rows) * ceil_div(s.N, choice.columns);
    const auto z = static_cast<unsigned>(matrices);
    const int64_t steps = ceil_div(s.K, choice.depth);
    task.part_steps = task.statistics ? steps
                                      : steps_in_part(s.K, choice.depth, tiles * matrices_of(s),
                                                      choice.least_part_k);
    const auto parts = static_cast<unsigned>(steps ? ceil_div(steps, task.part_steps) : 1);
    if (parts > 1) {
        task.parts_row = ceil_div(s.N, 8) * 8;
        task.parts = context.workspace<float>(matrices * parts * s.M * task.parts_row);
    }
    LaunchConfig config;
    config.stream = context.stream();
    config.grid = dim3(static_cast<unsigned>(tiles), parts, z);
    config.block = dim3(static_cast<unsigned>(choice.threads));
    config.shared_bytes = choice.shared_bytes;
    launch(config, choice.kernel, task);
    if (parts > 1) sum_parts(task, matrices, parts, context);
}

template <typename T, typename Tile>
GemmChoice<T> sm80_choice(const GemmTask<T>& task, int64_t least_part_k) {
    constexpr auto k = Contiguous::k, other = Contiguous::other;
    constexpr GemmKernel<T> kernels[2][2] = {
        {gemm_sm80<T, Tile, k, k>, gemm_sm80<T, Tile, k, other>},
        {gemm_sm80<T, Tile, other, k>, gemm_sm80<T, Tile, other, other>}};
    return {kernels[task.A.axis == other][task.B.axis == other],
            Tile::rows,
            Tile::columns,
            sm80_depth,
            Tile::threads,
            sizeof(Sm80Shared<T, Tile>),
            least_part_k};
}

template <typename Tile>
GemmChoice<float> simt_choice(int64_t least_part_k) {
    return {gemm_simt<Tile>,          Tile::rows,  Tile::columns, simt_depth, simt_threads,
            sizeof(SimtShared<Tile>), least_part_k};
}

// Whether every line of A and B can be read by whole vectors.
template <typename T>
bool gemv_takes(const GemmTask<T>& task) {
    const GemmArgs<T>& s = task.s;
    constexpr int W = vector_width<T>;
    return s.M <= gemv_rows && s.K > 0 && s.K % W == 0 && task.A.aligned && task.B.aligned &&
           task.A.axis == Contiguous::k && (task.B.axis == Contiguous::k || s.N % W == 0);
}

template <int COLUMNS, typename T>
GemmChoice<T> gemv_choice_of(GemmKernel<T> kernel, int depth) {
    return {kernel,
            gemv_rows,
            COLUMNS,
            depth,
            gemv_threads,
            sizeof(GemvShared<COLUMNS>),
            gemv_part_bytes / (COLUMNS * static_cast<int64_t>(sizeof(T)))};
}

template <typename T>
GemmChoice<T> gemv_choice(const GemmTask<T>& task) {
    const bool along_k = task.B.axis == Contiguous::k;
    if constexpr (is_half<T>) {
        return along_k ? gemv_choice_of<gemv_k_columns, T>(gemv_along_k<T>, gemv_k_depth)
                       : gemv_choice_of<gemv_n_columns, T>(gemv_along_n<T>, gemv_n_depth);
    } else {
        const bool few = task.s.M <= gemv_few_rows;
        const auto k = few ? gemv_simt_along_k<gemv_few_rows> : gemv_simt_along_k<gemv_rows>;
        const auto n = few ? gemv_simt_along_n<gemv_few_rows> : gemv_simt_along_n<gemv_rows>;
        return along_k ? gemv_choice_of<gemv_k_columns, T>(k, gemv_k_depth)
                       : gemv_choice_of<gemv_simt_n_columns, T>(n, gemv_simt_n_depth);
    }
}

template <typename T>
GemmChoice<T> choice_for(const GemmTask<T>& task) {
    const bool large = takes_large_tiles(task.s);
    if (!task.statistics && gemv_takes(task)) return gemv_choice(task);
    if constexpr (is_half<T>) {
        return large ? sm80_choice<T, Sm80LargeTile>(task, gemm_large_part_k)
                     : sm80_choice<T, Sm80SmallTile>(task, gemm_small_part_k);
    } else {
        return large ? simt_choice<SimtLargeTile>(gemm_large_part_k)
                     : simt_choice<SimtSmallTile>(gemm_small_part_k);
    }
}

}  // namespace

template <typename T>
void gemm_with_statistics(const GemmArgs<T>& s, float4* statistics, Context& context) {
    const int64_t matrices = matrices_of(s);
    if (s.M == 0 || s.N == 0 || matrices == 0) return;
    if constexpr (is_half<T>)
        if (gemm_sm90_takes(s, context)) return gemm_sm90(s, statistics, context);
    GemmTask<T> task = task_of(s);
    task.statistics = statistics;
    const GemmChoice<T> choice = choice_for(task);
    for (int64_t first = 0; first < matrices; first += largest_grid_z) {
        task.first_matrix = first;
        launch_matrices(task, choice, least(matrices - first, largest_grid_z), context);
    }
}
template void gemm_with_statistics(const GemmArgs<float>&, float4*, Context&);
template void gemm_with_statistics(const GemmArgs<bfloat16>&, float4*, Context&);
template void gemm_with_statistics(const GemmArgs<float16>&, float4*, Context&);

template <typename T>
void gemm(const GemmArgs<T>& s, Context& context) {
    gemm_with_statistics(s, nullptr, context);
}
PF_INSTANTIATE(gemm, GemmArgs)

}  // namespace plainformer::cuda
