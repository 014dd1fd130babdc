// Maximum and sum of exponentials of a row in one pass: the sum is rescaled when the maximum rises.
//
// Milakov, Gimelshein, "Online normalizer calculation for softmax", 2018, arXiv:1805.02867.
#pragma once
#include "chunk.cuh"
#include "math.cuh"  // exp_approx

namespace plainformer::cuda {

struct LogSumExp {
    float largest = -INFINITY, sum = 0;  // sum of exp(x - largest)

    template <int count>
    static __device__ __forceinline__ float largest_of(const float (&x)[count]) {
        float most = x[0];
#pragma unroll
        for (int i = 1; i < count; ++i) most = fmaxf(most, x[i]);
        return most;
    }
    __device__ __forceinline__ void raise_to(float next) {
        sum *= rescale(next);
        largest = next;
    }
    template <int count>
    __device__ __forceinline__ void add_exponentials(const float (&x)[count]) {
        const float shift = largest == -INFINITY ? 0.0f : largest;
#pragma unroll
        for (int i = 0; i < count; ++i) sum += exp_approx(x[i] - shift);
    }
    // What `sum` is multiplied with where the maximum becomes `next`; 1 where it stays infinite.
    __device__ __forceinline__ float rescale(float next) const {
        return next == largest ? 1.0f : exp_approx(largest - next);
    }
    // A NaN passes over the maximum and shows in the sum. Elements of -inf add nothing, also while
    // there is nothing else.
    template <int count>
    __device__ __forceinline__ void add(const float (&x)[count]) {
        raise_to(fmaxf(largest, largest_of(x)));
        add_exponentials(x);
    }
    // The same for a chunk. Chunks go one after another: taken together, the floats of all would
    // need twice the registers that the chunks do.
    template <typename T, int W>
    __device__ __forceinline__ void add(const Chunk<T, W>& chunk) {
        float x[W];
        to_floats(x, chunk);
        add(x);
    }
    __device__ __forceinline__ void merge(const LogSumExp& other) {
        const float next = fmaxf(largest, other.largest);
        sum = sum * rescale(next) + other.sum * other.rescale(next);
        largest = next;
    }
    // The same for all threads of the team: the row's.
    template <typename Team>
    __device__ __forceinline__ void combine(Team& team) {
        float next[1] = {largest};
        team.template reduce<MaxOp>(next);
        float total[1] = {sum * rescale(next[0])};
        team.template reduce<SumOp>(total);
        largest = next[0], sum = total[0];
    }
    // log sum exp(x); an infinite maximum is the answer.
    __device__ __forceinline__ float value() const {
        return fabsf(largest) == INFINITY ? largest : largest + logf(sum);
    }
};

}  // namespace plainformer::cuda
