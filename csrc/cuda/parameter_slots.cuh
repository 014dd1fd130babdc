// Lists of tensors in one launch: all of them are cut into blocks of one size, and a thread block
// finds the tensor that its elements are of.
#pragma once
#include "chunk.cuh"
#include "plainformer/optimizer.h"

namespace plainformer::cuda {

// Elements of a thread block: enough that the search for the tensor does not show.
constexpr int64_t slot_block_elements = 8192;
constexpr int slot_block_threads = 256;

// A tensor, and the number of its first block among those of all tensors.
template <typename T>
struct PlacedSlot {
    ParameterSlot<T> slot;
    int64_t first_block;
};

template <typename T>
struct SlotList {
    const PlacedSlot<T>* slots;  // ascending by first_block, the first of which is 0
    int64_t count;
};

// The last tensor that starts at or before this block. Empty ones start where the next one does.
template <typename T>
__device__ __forceinline__ PlacedSlot<T> slot_of_block(const SlotList<T>& list) {
    int64_t low = 0, high = list.count;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        (list.slots[middle].first_block <= int64_t{blockIdx.x} ? low : high) = middle;
    }
    return list.slots[low];
}

template <typename T>
__device__ __forceinline__ bool is_aligned(const ParameterSlot<T>& slot) {
    return is_vector_aligned(slot.p) && is_vector_aligned(slot.grad) &&
           is_vector_aligned(slot.grad_acc) && is_vector_aligned(slot.m) &&
           is_vector_aligned(slot.v) && is_vector_aligned(slot.master);
}

// f.take<W>(slot, i) for the elements i .. i + W - 1, over all elements of this block.
template <typename T, typename F>
__device__ __forceinline__ void for_block_elements(const SlotList<T>& list, F& f) {
    constexpr int W = vector_width<T>;
    const PlacedSlot<T> placed = slot_of_block(list);
    const ParameterSlot<T>& slot = placed.slot;
    const int64_t begin = (blockIdx.x - placed.first_block) * slot_block_elements;
    const int64_t rest = slot.size - begin;
    const int64_t size = rest < slot_block_elements ? rest : slot_block_elements;
    const int64_t whole = is_aligned(slot) ? size / W * W : 0;
    for (int64_t i = threadIdx.x * W; i < whole; i += slot_block_threads * W)
        f.template take<W>(slot, begin + i);
    for (int64_t i = whole + threadIdx.x; i < size; i += slot_block_threads)
        f.template take<1>(slot, begin + i);
}

// The gradient of elements i .., given in T or, summed, in float32.
template <int W, typename T>
__device__ __forceinline__ void load_gradient(float (&g)[W], const ParameterSlot<T>& slot,
                                              int64_t i) {
    if (slot.grad_acc)
        to_floats(g, load_chunk<W>(slot.grad_acc + i));
    else
        to_floats(g, load_chunk<W>(slot.grad + i));
}

}  // namespace plainformer::cuda
