#pragma once
#include <cstddef>
#include <cstdint>

namespace plainformer {

void* allocate(size_t bytes);
void release(void* block);

template <typename T>
struct Scratch {
    explicit Scratch(int64_t count)
        : data(static_cast<T*>(allocate(static_cast<size_t>(count) * sizeof(T)))) {}
    ~Scratch() { release(data); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    T* data;
};

}  // namespace plainformer
