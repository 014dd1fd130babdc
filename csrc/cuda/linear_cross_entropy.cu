// Linear + cross entropy by chunks of rows. Formulas: plainformer/linear_cross_entropy.h
//
// Without gradients no logit is written. With them a chunk's live from one product to the next, in
// a workspace of two megabytes a multiprocessor (of an H100: 280 MB, where 8192 rows of 50257 would
// be 1.6 GB). Its rows follow from N, V and the device alone, so sums over chunks have one fixed
// order.
#include "linear_cross_entropy.cuh"

#include "column_sums.h"  // sum_columns
#include "gemm_statistics.h"
#include "linear_grad.cuh"  // linear_grad_rows
#include "operations.h"
#include "plainformer/arith.h"

namespace plainformer::cuda {

namespace {

// Logits of a chunk for each multiprocessor: 32 tiles of 128 x 128. The more, the fewer times
// dweight is read and added to: on an H100 once every 1300 rows of 50257 logits.
constexpr int64_t chunk_logits = int64_t{1} << 19;
constexpr int64_t chunk_rows_step = 128;

int64_t rows_per_chunk(int64_t N, int64_t V, const Context& context) {
    const int64_t rows = chunk_logits * context.multiprocessors() / V;
    return least(greatest(1, rows / chunk_rows_step) * chunk_rows_step, N);
}

template <typename T>
class Chunks {
  public:
    Chunks(const LinearCrossEntropyArgs<T>& s, Context& context)
        : s_(s), context_(context), most_rows_(rows_per_chunk(s.N, s.V, context)) {
        statistics_ = context.workspace<float4>(most_rows_ * statistics_across(s.V));
        chunk_.statistics = statistics_;
        chunk_.lse = context.workspace<float>(most_rows_);
        chunk_.pitch = round_up(s.V, 8);
        if (!s.dx) return;
        chunk_.logits = context.workspace<float>(most_rows_ * chunk_.pitch);
        if constexpr (is_half<T>)
            chunk_.dlogits = context.workspace<T>(most_rows_ * chunk_.pitch);
        else
            chunk_.dlogits = chunk_.logits;
        const int64_t parts = ceil_div(s.N, most_rows_) * ceil_div(most_rows_, bias_part_rows);
        if (s.dbias) bias_parts_ = context.workspace<float>(parts * s.V);
    }

    void run() {
        for (chunk_.first = 0; chunk_.first < s_.N; chunk_.first += chunk_.rows) {
            chunk_.rows = least(most_rows_, s_.N - chunk_.first);
            make_logits();
            finish();
            if (s_.dx) make_gradients(), add_gradients();
        }
        if (s_.dbias) sum_columns(s_.dbias, bias_parts_, bias_part_count_, s_.V, context_);
    }

  private:
    static constexpr int64_t bias_part_rows = 128;

    void make_logits() {
        GemmArgs<T> g{};
        g.M = chunk_.rows, g.N = s_.V, g.K = s_.C;
        g.A = s_.x + chunk_.first * s_.x_stride, g.A_row = s_.x_stride, g.A_column = 1;
        g.B = s_.weight, g.B_row = s_.weight_column, g.B_column = s_.weight_row;
        g.C_acc = chunk_.logits, g.C_row = chunk_.pitch;
        g.bias = s_.bias;
        gemm_with_statistics(g, statistics_, context_);
    }

    LaunchConfig grid(int64_t blocks, int threads) const {
        LaunchConfig config{};
        config.grid = dim3(static_cast<unsigned>(blocks));
        config.block = dim3(static_cast<unsigned>(threads));
        config.stream = context_.stream();
        return config;
    }

    void finish() {
        const int64_t blocks = ceil_div(chunk_.rows, loss_threads / warp_size);
        launch(grid(blocks, loss_threads), finish_losses<T>, s_, chunk_, context_.errors());
    }

    void make_gradients() {
        const int64_t across = ceil_div(s_.V, logit_threads * vector_width<T>);
        launch(grid(chunk_.rows * across, logit_threads), logit_gradients<T>, s_, chunk_,
               static_cast<int>(across));
    }

    void add_gradients() {
        GemmArgs<T> g{};  // dx = dlogits weight
        g.M = chunk_.rows, g.N = s_.C, g.K = s_.V;
        g.A = chunk_.dlogits, g.A_row = chunk_.pitch, g.A_column = 1;
        g.B = s_.weight, g.B_row = s_.weight_row, g.B_column = s_.weight_column;
        g.C = s_.dx + chunk_.first * s_.C, g.C_row = s_.C;
        gemm(g, context_);
        g = GemmArgs<T>{};  // dweight += dlogits^T x
        g.M = s_.V, g.N = s_.C, g.K = chunk_.rows;
        g.A = chunk_.dlogits, g.A_row = 1, g.A_column = chunk_.pitch;
        g.B = s_.x + chunk_.first * s_.x_stride, g.B_row = s_.x_stride, g.B_column = 1;
        g.C_acc = s_.dweight, g.C_row = s_.C;
        g.accumulate = chunk_.first > 0;
        gemm(g, context_);
        if (s_.dbias) add_bias_parts();
    }

    // Partial sums of the columns, added when all chunks are done.
    void add_bias_parts() {
        LinearGradArgs<T> g{};
        g.grad_y = chunk_.dlogits, g.grad_y_row = chunk_.pitch;
        g.M = chunk_.rows, g.N = s_.V;
        const int64_t count = ceil_div(g.M, bias_part_rows);
        LaunchConfig config = grid(ceil_div(g.N, warp_size), linear_grad_warps * warp_size);
        config.grid.y = static_cast<unsigned>(count);
        config.shared_bytes = sizeof(LinearGradShared<1>);
        launch(config, linear_grad_rows<T, 1>, g, bias_parts_ + bias_part_count_ * s_.V,
               bias_part_rows);
        bias_part_count_ += count;
    }

    const LinearCrossEntropyArgs<T>& s_;
    Context& context_;
    const int64_t most_rows_;
    LogitChunk<T> chunk_{};
    float4* statistics_ = nullptr;
    float* bias_parts_ = nullptr;  // (bias_part_count_, V) so far
    int64_t bias_part_count_ = 0;
};

}  // namespace

template <typename T>
void linear_cross_entropy(const LinearCrossEntropyArgs<T>& s, Context& context) {
    if (s.N == 0) return;
    Chunks<T>(s, context).run();
}
PF_INSTANTIATE(linear_cross_entropy, LinearCrossEntropyArgs)

}  // namespace plainformer::cuda
