// No memory for a worker: the loop's caller does all of the work, and workers start once there is
// memory again. tests/test_threads.py builds it together with csrc/cpu/runtime/*.cpp.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "runtime/thread_pool.h"

namespace {

std::atomic<bool> refuse{false};

// How many of 100 pieces ran.
int run_loop() {
    std::atomic<int> runs{0};
    plainformer::parallel_for(100, 1, [&](int64_t) { ++runs; });
    return runs;
}

}  // namespace

void* operator new(size_t bytes) {
    void* block = refuse ? nullptr : std::malloc(bytes);
    if (!block) throw std::bad_alloc();
    return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

int main() {
    plainformer::set_num_threads(4);
    refuse = true;
    const int alone = run_loop();
    const auto refused = static_cast<int>(plainformer::num_workers());
    refuse = false;
    plainformer::set_num_threads(4);
    const int together = run_loop();
    std::printf("%d %d %d %d\n", alone, refused, together,
                static_cast<int>(plainformer::num_workers()));
    return 0;
}
