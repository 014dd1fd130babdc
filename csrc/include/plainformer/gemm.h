// gemm: C = activation(A B + bias) for a batch of matrices; sums run along k in one fixed order.
//
//   C[m, n] = activation(sum_k A[m, k] B[k, n] + bias[n])
//
// A and B are read in place through strides, so a transposed operand is only a swap of its two.
// A row of C does not depend on the other rows of A, nor any byte of C on the thread count.
#pragma once
#include "plainformer/activation.h"
#include "plainformer/types.h"

namespace plainformer {

template <typename T>
struct GemmArgs {
    static constexpr int max_batch_ndim = 6;

    int64_t M, N, K;
    const T* A;  // (M, K)
    int64_t A_row, A_column;
    const T* B;  // (K, N)
    int64_t B_row, B_column;
    T* C = nullptr;  // (M, N), rows contiguous, C_row apart; not read
    int64_t C_row = 0;
    // Given instead of C: the sums themselves, unrounded, in the accumulator type; no bias and no
    // activation. With `accumulate` they are added to what is there.
    acc_t<T>* C_acc = nullptr;  // (M, N), rows contiguous, C_row apart
    bool accumulate = false;

    const T* bias = nullptr;  // (N)
    Activation activation = Activation::none;
    T* preactivation = nullptr;  // (M, N), C_row apart: A B + bias, what the backward needs

    // The leading axes, row-major; C and preactivation have no gaps between matrices of M C_row.
    int batch_ndim = 0;
    int64_t batch[max_batch_ndim] = {};
    int64_t A_batch[max_batch_ndim] = {};  // 0 where A is broadcast
    int64_t B_batch[max_batch_ndim] = {};
};

// What `linear` hands on to its two GEMMs: the gradient before the activation and its column sums.
//
//   grad_z = grad_y activation'(z)        grad_bias = sum_m grad_z[m, :]
template <typename T>
struct LinearGradArgs {
    T* grad_z;        // (M, N), contiguous; null where there is no activation (grad_z is grad_y)
    T* grad_bias;     // (N) or null
    const T* grad_y;  // (M, N), rows contiguous, grad_y_row apart
    int64_t grad_y_row;
    const T* z;  // (M, N), contiguous, or null
    int64_t M, N;
    Activation activation;
};

}  // namespace plainformer
