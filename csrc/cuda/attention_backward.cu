// Launches of the attention backward: row terms first, then the sums of each side, then a mask's.
#include "attention_backward.cuh"

#include "attention_backward_mask_sm80.cuh"
#include "attention_backward_sm90.h"
#include "attention_launch.h"
#include "operations.h"

namespace plainformer::cuda {

namespace {

// Whether rows can be read or written as pieces of 16 bytes: where they begin, and to their end.
template <typename T>
bool has_whole_rows(const HeadsView<T>& x, int64_t width) {
    return is_vector_aligned(x.data, x.batch) && is_vector_aligned(x.data, x.head) &&
           is_vector_aligned(x.data, x.row) && width % vector_width<T> == 0;
}

int64_t rows_of_all(const AttentionOptions& o) {
    return o.H * (o.q_rows.starts ? o.q_rows.rows : o.B * o.q_rows.length);
}

template <typename T>
BackwardProblem<T> problem_of(const AttentionBackwardArgs<T>& s, Context& context) {
    const AttentionOptions& o = s.options;
    BackwardProblem<T> problem{s, score_rule(o), {}, false, false, {}};
    const int64_t rows = rows_of_all(o);
    problem.terms.shift = context.workspace<float>(2 * rows);
    problem.terms.delta = problem.terms.shift + rows;
    problem.aligned_inputs = has_whole_rows(s.q, o.D) && has_whole_rows(s.k, o.D) &&
                             has_whole_rows(s.v, o.Dv) && has_whole_rows(s.grad_out, o.Dv) &&
                             has_whole_rows(s.out, o.Dv);
    problem.aligned_results =
        has_whole_rows(s.dq, o.D) && has_whole_rows(s.dk, o.D) && has_whole_rows(s.dv, o.Dv);
    return problem;
}

// A launch of one axis; none of no blocks, which CUDA refuses.
template <typename Kernel, typename... Arguments>
void launch_blocks(int64_t blocks, int threads, size_t shared_bytes, Context& context,
                   Kernel kernel, const Arguments&... arguments) {
    if (blocks == 0) return;
    if (blocks > most_blocks) throw std::length_error("attention: more rows than CUDA has blocks");
    LaunchConfig config;
    config.grid = dim3(static_cast<unsigned>(blocks));
    config.block = dim3(static_cast<unsigned>(threads));
    config.shared_bytes = shared_bytes;
    config.stream = context.stream();
    launch(config, kernel, arguments...);
}

// A block for each tile of `rows` rows of the owner's side.
template <typename T, typename Kernel>
void launch_walk(BackwardProblem<T> problem, Owner owner, int rows, int threads,
                 size_t shared_bytes, Context& context, Kernel kernel) {
    const AttentionOptions& o = problem.s.options;
    const bool keys = owner == Owner::keys;
    launch_over_tiles(o, keys ? o.KV : o.H, keys ? o.k_rows.length : o.q_rows.length, rows, context,
                      [&](LaunchConfig config, const QueryTiles& tiles) {
                          config.block = dim3(static_cast<unsigned>(threads));
                          config.shared_bytes = shared_bytes;
                          problem.tiles = tiles;
                          launch(config, kernel, problem);
                      });
}

// ---- row terms ----------------------------------------------------------------------------------

template <typename T, int lanes>
void launch_row_terms(const BackwardProblem<T>& problem, Context& context) {
    const AttentionOptions& o = problem.s.options;
    const bool packed = o.q_rows.starts != nullptr;
    const int64_t sequences = packed ? 1 : o.B;
    const int64_t length = packed ? o.q_rows.rows : o.q_rows.length;
    launch_blocks(ceil_div(rows_of_all(o) * lanes, row_terms_threads), row_terms_threads, 0,
                  context, attention_row_terms<T, lanes>, problem, sequences, length);
}

template <typename T>
void row_terms(const BackwardProblem<T>& problem, Context& context) {
    const int64_t Dv = problem.s.options.Dv;
    if (Dv <= 64)
        launch_row_terms<T, 8>(problem, context);
    else if (Dv <= 128)
        launch_row_terms<T, 16>(problem, context);
    else
        launch_row_terms<T, 32>(problem, context);
}

// ---- plain products -----------------------------------------------------------------------------

template <int W>
void differentiate(const BackwardProblem<float>& problem, Context& context) {
    launch_walk(problem, Owner::keys, plain_tile, plain_threads, sizeof(PlainShared), context,
                attention_backward_plain<float, W, Owner::keys>);
    launch_walk(problem, Owner::queries, plain_tile, plain_threads, sizeof(PlainShared), context,
                attention_backward_plain<float, W, Owner::queries>);
}

// ---- tensor cores -------------------------------------------------------------------------------

template <int W, Gradient gradient, bool simple, typename T>
void launch_sm80(const BackwardProblem<T>& problem, Context& context) {
    launch_walk(problem, gradient == Gradient::dq ? Owner::queries : Owner::keys, owned_rows,
                backward_threads, sizeof(BackwardShared<T, W, gradient>), context,
                attention_backward_sm80<T, W, gradient, simple>);
}

template <int W, bool simple, typename T>
void differentiate_sm80(const BackwardProblem<T>& problem, Context& context) {
    if constexpr (W <= 128) {
        launch_sm80<W, Gradient::dk_dv, simple>(problem, context);
    } else {
        launch_sm80<W, Gradient::dv, simple>(problem, context);
        launch_sm80<W, Gradient::dk, simple>(problem, context);
    }
    launch_sm80<W, Gradient::dq, simple>(problem, context);
}

template <int W, typename T>
void differentiate(const BackwardProblem<T>& problem, Context& context) {
    if (problem.rule.capped || problem.rule.adds() || problem.s.options.dropout.threshold)
        differentiate_sm80<W, false>(problem, context);
    else
        differentiate_sm80<W, true>(problem, context);
}

// ---- the mask's gradient ------------------------------------------------------------------------

template <typename T>
void mask_gradient(const BackwardProblem<T>& problem, Context& context) {
    launch_blocks(mask_tiles(problem.s.mask_shape, plain_tile, plain_tile), plain_threads,
                  sizeof(PlainShared), context, attention_mask_gradient<T>, problem);
}

template <int W, typename T>
void mask_gradient_sm80(const BackwardProblem<T>& problem, Context& context) {
    launch_blocks(mask_tiles(problem.s.mask_shape, mask_rows, mask_columns), backward_threads,
                  sizeof(MaskShared<T, W>), context, attention_mask_gradient_sm80<T, W>, problem);
}

// Tensor cores where a stage of four tiles has room for a second one.
template <int W, typename T>
void mask_gradient(const BackwardProblem<T>& problem, Context& context) {
    if constexpr (std::is_same_v<T, float> || W == 256)
        mask_gradient(problem, context);
    else
        mask_gradient_sm80<W>(problem, context);
}

}  // namespace

template <typename T>
void attention_backward(const AttentionBackwardArgs<T>& s, Context& context) {
    check_lengths(s.options);
    const BackwardProblem<T> problem = problem_of(s, context);
    row_terms(problem, context);
    if constexpr (!std::is_same_v<T, float>) {
        if (attention_backward_sm90_takes(s, context))
            return attention_backward_sm90(problem, context);
    }
    with_head_width(s.options, [&](auto width) {
        differentiate<decltype(width)::value>(problem, context);
        if (s.dmask) mask_gradient<decltype(width)::value>(problem, context);
    });
}
PF_INSTANTIATE(attention_backward, AttentionBackwardArgs)

}  // namespace plainformer::cuda
