// Matrix product in float32 on the CUDA cores (no TF32). Formula: plainformer/gemm.h
//
// A block of 16 x 16 threads makes one tile of C. The next step's tiles of A and B wait in
// registers while this one's are multiplied from shared memory, where both lie with k outermost.
// Any strides are read in place: by 16-byte vectors along whichever axis is contiguous, else one by
// one. A sum is one chain of fused multiply-adds in ascending k, whatever the strides and the tile.
#pragma once
#include "gemm.cuh"

namespace plainformer::cuda {

// Rows and columns of a tile; each thread has 4 neighbouring ones of every 64.
template <int EXTENT>
struct SimtTile {
    static constexpr int rows = EXTENT, columns = EXTENT;
    static constexpr int quads = EXTENT / 64;
};
using SimtLargeTile = SimtTile<128>;  // 64 sums a thread
using SimtSmallTile = SimtTile<64>;   // 16 sums a thread

inline constexpr int simt_threads = 256;
inline constexpr int simt_depth = 16;  // of k in a step

// (simt_depth, EXTENT). Which quads of m or n lie where changes with every fourth k: so four
// threads that turn a row of four quads of k write to different banks.
template <int EXTENT>
struct SimtOperandTile {
    float of[simt_depth * EXTENT];

    static __device__ __forceinline__ int place(int k, int e) {
        return k * EXTENT + (e ^ (k >> 2 & 3) << 3);
    }
    // 4 values of k, from e on, e a multiple of 4.
    __device__ __forceinline__ float4& quad(int k, int e) {
        return *reinterpret_cast<float4*>(of + place(k, e));
    }
};

// What one thread brings of each tile of an operand: quads along the axis that is contiguous.
template <int EXTENT>
class SimtLoader {
    static constexpr int quads = EXTENT * simt_depth / 4 / simt_threads;

  public:
    // operand[e * e_stride + k * k_stride], e < E, k < K; the first tile begins at (e, k).
    __device__ __forceinline__ SimtLoader(const float* operand, int64_t e_stride, int64_t k_stride,
                                          int64_t E, int64_t K, int64_t e, int64_t k,
                                          OperandAccess access)
        : from_(operand + e * e_stride + k * k_stride),
          e_stride_(e_stride),
          k_stride_(k_stride),
          e_left_(E - e),
          k_left_(K - k),
          along_k_(access.axis == Contiguous::k),
          aligned_(access.aligned) {}

    // Global memory to registers; what is outside of the matrix is 0.
    __device__ __forceinline__ void load() {
#pragma unroll
        for (int i = 0; i < quads; ++i) {
            const Place at = place(i);
            const int64_t left = along_k_ ? (at.e < e_left_ ? k_left_ - at.k : 0)
                                          : (at.k < k_left_ ? e_left_ - at.e : 0);
            const float* const from = from_ + at.e * e_stride_ + at.k * k_stride_;
            if (aligned_ && left >= 4) {
                value_[i] = *reinterpret_cast<const float4*>(from);
            } else {
                const int64_t step = along_k_ ? k_stride_ : e_stride_;
                value_[i].x = left > 0 ? from[0] : 0.0f;
                value_[i].y = left > 1 ? from[step] : 0.0f;
                value_[i].z = left > 2 ? from[2 * step] : 0.0f;
                value_[i].w = left > 3 ? from[3 * step] : 0.0f;
            }
        }
        from_ += simt_depth * k_stride_, k_left_ -= simt_depth;
    }

    __device__ __forceinline__ void store(SimtOperandTile<EXTENT>& tile) const {
#pragma unroll
        for (int i = 0; i < quads; ++i) {
            const Place at = place(i);
            const float4 v = value_[i];
            if (along_k_) {
                tile.of[tile.place(at.k, at.e)] = v.x, tile.of[tile.place(at.k + 1, at.e)] = v.y;
                tile.of[tile.place(at.k + 2, at.e)] = v.z;
                tile.of[tile.place(at.k + 3, at.e)] = v.w;
            } else {
                tile.quad(at.k, at.e) = v;
            }
        }
    }

  private:
    struct Place {
        int e, k;
    };
    __device__ __forceinline__ Place place(int i) const {
        constexpr int along_e = EXTENT / 4, along_k = simt_depth / 4;
        const int quad = static_cast<int>(threadIdx.x) + i * simt_threads;
        return along_k_ ? Place{quad / along_k, quad % along_k * 4}
                        : Place{quad % along_e * 4, quad / along_e};
    }

    const float* from_;
    const int64_t e_stride_, k_stride_, e_left_;
    int64_t k_left_;
    const bool along_k_, aligned_;
    float4 value_[quads];
};

template <typename Tile>
struct SimtShared {
    union {
        struct {
            alignas(16) SimtOperandTile<Tile::rows> A[2];
            alignas(16) SimtOperandTile<Tile::columns> B[2];
        } step;
        float sums[Tile::rows * sums_pitch<Tile::columns>];  // once the steps are done
    };
};

// The sums of one thread.
template <typename Tile>
struct SimtSums {
    static constexpr int quads = Tile::quads;
    float of[4 * quads][4 * quads] = {};

    static __device__ __forceinline__ int m() { return threadIdx.x / 16 * 4; }
    static __device__ __forceinline__ int n() { return threadIdx.x % 16 * 4; }

    __device__ __forceinline__ void add_step(SimtOperandTile<Tile::rows>& A,
                                             SimtOperandTile<Tile::columns>& B) {
#pragma unroll
        for (int k = 0; k < simt_depth; ++k) {
            float a[4 * quads], b[4 * quads];
#pragma unroll
            for (int q = 0; q < quads; ++q) {
                const float4 a_q = A.quad(k, m() + 64 * q), b_q = B.quad(k, n() + 64 * q);
                a[4 * q] = a_q.x, a[4 * q + 1] = a_q.y, a[4 * q + 2] = a_q.z, a[4 * q + 3] = a_q.w;
                b[4 * q] = b_q.x, b[4 * q + 1] = b_q.y, b[4 * q + 2] = b_q.z, b[4 * q + 3] = b_q.w;
            }
#pragma unroll
            for (int i = 0; i < 4 * quads; ++i)
#pragma unroll
                for (int j = 0; j < 4 * quads; ++j) of[i][j] = fmaf(a[i], b[j], of[i][j]);
        }
    }

    __device__ __forceinline__ void store(float* sums) const {
#pragma unroll
        for (int i = 0; i < 4 * quads; ++i)
#pragma unroll
            for (int q = 0; q < quads; ++q)
                *reinterpret_cast<float4*>(
                    sums + (m() + i / 4 * 64 + i % 4) * sums_pitch<Tile::columns> + n() + 64 * q) =
                    make_float4(of[i][4 * q], of[i][4 * q + 1], of[i][4 * q + 2], of[i][4 * q + 3]);
    }
};

template <typename Tile>
__global__ void __launch_bounds__(simt_threads, 2)
    gemm_simt(const __grid_constant__ GemmTask<float> task) {
    auto& s = shared<SimtShared<Tile>>();
    const GemmMatrix<float> one = matrix_of(task.s, task.first_matrix + blockIdx.z);
    const TilePlace at = place_of_tile<Tile::rows, Tile::columns>(task.s.M, task.s.N, blockIdx.x);
    const StepRange range = steps_of_part(task, simt_depth);
    SimtLoader<Tile::rows> A(one.A, task.s.A_row, task.s.A_column, task.s.M, task.s.K, at.m,
                             range.first * simt_depth, task.A);
    SimtLoader<Tile::columns> B(one.B, task.s.B_column, task.s.B_row, task.s.N, task.s.K, at.n,
                                range.first * simt_depth, task.B);
    if (range.count > 0) {
        A.load(), B.load();
        A.store(s.step.A[0]), B.store(s.step.B[0]);
    }
    __syncthreads();
    SimtSums<Tile> sums;
    for (int t = 0; t < range.count; ++t) {
        const bool more = t + 1 < range.count;
        if (more) A.load(), B.load();
        sums.add_step(s.step.A[t % 2], s.step.B[t % 2]);
        // nobody reads these any more: the barrier of the last step came after they were used
        if (more) A.store(s.step.A[(t + 1) % 2]), B.store(s.step.B[(t + 1) % 2]);
        __syncthreads();
    }
    sums.store(s.sums);
    __syncthreads();
    finish_tile<Tile::rows, Tile::columns>(part_of(task, one.out), s.sums, at.m, at.n);
}

}  // namespace plainformer::cuda
