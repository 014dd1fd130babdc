// Every size at which a kernel changes its way, with the measurement behind it: the time with
// another value as a part of the time with this one, by benchmarks/tuning.py on two Zen 5 cores
// (float32 at level avx512) unless a note of docs/notes says otherwise. docs/notes/tuning.md has
// all figures.
//
// Bytes of results must not depend on the machine, so neither do these: caches are what a level has
// at least. Only gemm_blocking.h goes by those at hand: how it cuts a product shows in no byte.
#pragma once
#include "plainformer/arith.h"

namespace plainformer {

// ---- caches -------------------------------------------------------------------------------------

#ifdef __AVX512F__
constexpr int64_t l2_bytes = int64_t{1} << 20;  // Zen 4 and 5, Skylake-SP and later
#else
constexpr int64_t l2_bytes = int64_t{1} << 18;  // Haswell to Comet Lake; Zen has twice as much
#endif
constexpr int64_t cache_line = 64;

// ---- tasks --------------------------------------------------------------------------------------

// Elements of a kernel that does little with each, 2 to 5 us of work. 2^11 took 1.07 of the time
// for rows of 64 in cache on one thread, 2.5 on two busy ones; 2^17 0.97 to 1.03.
constexpr int64_t task_elements = int64_t{1} << 14;
// The same where the output goes past the caches: a task then waits for all of it to arrive. On one
// thread GELU of 25 MB took 1.42 of the time in tasks of 2^14, layer norm 1.24.
constexpr int64_t streamed_task_elements = task_elements * 8;
// The same where each costs an exponential or more. Eight times as many took 0.94 to 1.00.
constexpr int64_t exponential_task_elements = task_elements / 2;
// The same where each is read once, from cache.
constexpr int64_t light_task_elements = task_elements * 4;

// How many rows of C elements make a task.
PF_INLINE constexpr int64_t rows_per_task(int64_t elements, int64_t C) {
    return greatest(1, elements / greatest(1, C));
}

// ---- sums over rows: partial rows are added in order, so these show in the bytes ----------------

// Most partial rows of the gradients of a norm's weight. 16 took 1.12 of the time at 8192 x 768,
// 0.95 at 4096 x 3072.
constexpr int64_t most_norm_parts = 64;
// Rows a partial sum of a linear layer's bias gradient. 8 took 0.95 to 1.01 of the backward.
constexpr int64_t bias_part_rows = 64;
// Columns whose sums over rows stay in L1: 4 KB of float32, so that rows are read in runs. 64 took
// 1.02 over the rows of a chunk of logits.
constexpr int64_t summed_columns = 1024;
// Rows an id from which the gradient of an embedding is shared out id by id: of token types there
// are two, of positions a few hundred.
constexpr int64_t few_ids_rows = 8;

// Columns that softmax along another axis takes at a time: runs of 512 bytes of each row. Where
// such a block is larger than L2 it took 1.5 to 1.9 of the time at 43690 x 768.
constexpr int64_t column_block = 128;

// ---- softmax and losses -------------------------------------------------------------------------

// Exponentials of a row kept for the last pass: a quarter of AVX-512's L2, beside the row.
// Computing them twice took 1.38 of the time for rows of 64, 1.25 of 1024, 1.07 of 50257.
constexpr int64_t kept_exponentials = int64_t{1} << 16;
// Logits of a chunk of linear + cross entropy: 32 MB, or as many as the weight has elements, which
// took 0.82 of the time at 1024 x 50257 x 768. A quarter took 1.25.
constexpr int64_t chunk_logits = int64_t{1} << 23;
constexpr int64_t chunk_rows_step = 64;
// Rows and columns of a block of logits that is summed up in cache, in whole tiles and panels.
constexpr int64_t logit_block_rows = 96, logit_block_columns = 256;
// What joining the sums of a block costs, in elements.
constexpr int64_t row_sums_elements = 32;
// Steps of the sums over V at a time, at least, where the gradient of the input is made.
constexpr int64_t gradient_steps = 512;
// Squares that float32 lanes add up before they are emptied into a double: 16,384 missed 1e-6 at
// the generic level, whose four lanes add 4,096 terms each.
constexpr int64_t squares_in_float = int64_t{1} << 10;

// ---- matrix products: docs/notes/gemm.md --------------------------------------------------------

// Tiles of rows that read a panel of B from L2 before the next: 96 rows. A packed block of A stays
// small beside the panel. 8 tiles took 1.01 to 1.04, 32 between 0.97 and 1.06.
constexpr int64_t row_block_tiles = 16;
// What a panel of B may take of L2, beside a block of A: 1024 steps at each level of x86. A quarter
// of them took 1.05 at 3072 steps.
constexpr int64_t panel_bytes = l2_bytes / 4;
// Steps of contiguous rows packed at a time where few rows use them.
constexpr int64_t packed_row_steps = 64;
// Rows of B that one row walks at a time where they stand (more rows take twice as many: at 4 to 64
// rows 8 took 1.1 to 1.4 and 32 up to 1.3 of the time where rows of B are 4096 bytes).
constexpr int64_t row_walk_steps = 8;
// Columns of such a task where each thread has as many: 192 instead of 768 took 1.5 of the time for
// one row, 256 instead of 1024 1.4 for 64 rows of 1024 x 4096, three tasks for two threads 1.4.
constexpr int64_t row_run = 1024;
// Tasks a thread where columns of B are contiguous.
constexpr int64_t column_tasks_per_thread = 4;
// Rows up to which columns of B are transposed in registers and multiplied there, and how far ahead
// each column is fetched: 32 of them take 16 KB.
constexpr int64_t transposed_rows = 3, columns_ahead_bytes = 512;
// Most bytes of packed B at once; more columns are done in turn, and A is read again. 1 MB took
// 0.98 on one thread; several share what there is.
constexpr int64_t shared_panels_bytes = int64_t{8} << 20;
// Addresses so far apart share a set of L1 (64 sets of 64 bytes, on every x86-64). A transposed A
// whose steps are multiples of it is packed on AVX-512: 1.23 to 1.41 times the speed at
// 3072 x 768 x 1024 and 1024 x 768 x 3072, other steps 0.78 to 1.07, two threads.
constexpr int64_t same_set_bytes = 4096;
// Work of a task: 20 us at 200 GF/s. A product of half of it is not shared. Eight times as much
// took 1.13 at 768 x 128 x 512 on two threads, else 0.97 to 1.04.
constexpr int64_t gemm_task_flops = int64_t{4} << 20;
// Panels more for a task that packs its block of A (none took 0.98 to 1.09 for a transposed A), and
// what packing a panel costs, in rows (0 made no difference on two threads).
constexpr int64_t packed_a_panels = 4, packing_rows = 30;
// Rows packed from end to end of a weight, so that memory, or a file, is read in order.
constexpr int64_t packed_rows_at_a_time = 32;

// Rows beyond which B is packed once for all of them; the second for contiguous rows of B and tiles
// of four registers: 64 rows 1.05 to 1.6 times as fast on two threads, 48 rows 0.90 to 1.24.
constexpr int64_t most_few_rows = 64, wide_few_rows = 56;
// Of what the steps of a block are a multiple: a cache line of A.
constexpr int64_t steps_unit = 16;
// Tasks of a thread, where there are several. 4 took 1.05 of the time at 1024 x 768 x 768 on two.
constexpr int64_t tasks_per_thread = 8;

// With B packed beforehand: work of which a task is worth its claim (2^20 took up to 1.10), and how
// many tasks are enough.
constexpr int64_t kept_task_flops = int64_t{1} << 17, enough_tasks = 16;
// With B packed beforehand: work below which a product is not shared.
constexpr int64_t kept_shared_flops = int64_t{1} << 21;
// What reading a panel costs, in rows: few rows take as long as the memory behind the panel. With 1
// nothing changed beyond the noise.
constexpr int64_t reading_rows = 4;
// Steps of a run for each tile of rows, while the next run is prefetched: 64 gave 214 instead of
// 235 GF/s at 24 rows in cache, 256 everywhere 225 instead of 350 at 8 rows from memory.
constexpr int64_t run_steps_per_tile = 32, longest_run = 256;
// Units of A that stay in L2 beside a panel; with more of them K is walked in blocks. A quarter
// took 0.98 to 1.01.
constexpr int64_t kept_block_units = int64_t{1} << 15;

// How far ahead of the products A and, under a single tile of rows, a kept panel are fetched: 8 KB
// of memory latency. 8 or 16 steps of a panel gave 80 to 97 % of the read loop where 32 give 100 %.
constexpr int64_t a_steps_ahead = 16, panel_steps_ahead = 32;

// ---- int8 weights: docs/notes/int8.md -----------------------------------------------------------

// Tiles of rows that meet a panel before the next, work of which a task of few rows is worth its
// claim, and how far ahead of the products a panel is fetched.
constexpr int64_t int8_row_tiles = 16;
constexpr int64_t int8_task_flops = int64_t{1} << 18;
constexpr int64_t int8_bytes_ahead = 8192;
// Rows from which a panel is widened to float32 beforehand, where registers are few: 0.83 to 1.06
// of float32's speed under many rows (docs/notes/int8.md).
constexpr int64_t int8_wide_rows = 24;

// ---- AMX: chosen by arithmetic, not measured; docs/notes/amx.md ---------------------------------

// Rows and columns of a task, and steps of K of which half a panel stays in L1: 32 KB of 48.
constexpr int64_t amx_block_rows = 128, amx_task_columns = 512, amx_block_k = 512;

// ---- attention: docs/notes/attention.md ---------------------------------------------------------

// Keys that a tile of rows takes at a time: scores of 6 rows are 6 KB and stay in L1. 512 took
// 1.036 under a triangle, else equal.
constexpr int64_t strip_keys = 256;
// Queries of a task where a head is shared out, whole tiles. 12 took 0.88 to 1.12 of the time of 96
// on two busy threads; 48 keep 64 threads busy with 12 heads of 1024.
constexpr int64_t query_block = 48;
// Tiles of queries and of keys of a block of the backward, 96 x 192: P and dS take 144 KB and stay
// in L2. 384 keys took 1.038, 192 queries between 0.964 and 1.017.
constexpr int64_t block_query_tiles = 16, block_key_tiles = 32;
// Less work than this is not worth a task: a sixteenth took 1.06 (forward) and 1.13 (backward) for
// 12 heads of 16 tokens.
constexpr int64_t attention_task_flops = int64_t{2} << 20;
// Heads of this much work may be shared out, and what a thread may take of memory for that.
constexpr int64_t shared_head_flops = int64_t{16} << 20, shared_heads_bytes = int64_t{16} << 20;
// dQ of a head in the backward is the sum of parts, each of so many keys at least that it is worth
// a task: as many as keep 64 threads busy with the heads of one sequence. This shows in the bytes.
constexpr int64_t sequence_parts = 192, head_part_flops = int64_t{8} << 20;
// The parts of one head take no more memory than this, unless they are few.
constexpr int64_t head_parts_bytes = int64_t{64} << 20, few_head_parts = 8;
// Against a cache: queries of a head that share one walk along a chunk (beyond, it is walked again,
// from L2; 2 took 1.24 at 4 queries a head), and heads of a task, whose rows are read in runs of so
// many bytes (128 took 1.45 to 1.53 at D = 64).
constexpr int64_t cached_rows = 8, cached_heads = 16, cached_run_bytes = 1024;
// Bytes of K and V that are worth a task. 8 KB took 0.99 to 1.03.
constexpr int64_t cached_task_bytes = int64_t{128} << 10;

}  // namespace plainformer
