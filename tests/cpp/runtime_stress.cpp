// Many callers, few workers: loops, failures, changes of the thread count, workspaces and trims at
// once. Meant for the thread sanitizer; fails by itself if a piece of work runs twice or never.
//
//     runtime_stress THREADS CALLERS REPEATS
//
// tests/test_threads.py builds it together with csrc/cpu/runtime/*.cpp.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "runtime/allocator.h"
#include "runtime/thread_pool.h"

namespace {

using plainformer::parallel_for;
using plainformer::Scratch;

struct Planned {};  // the failure that some loops throw on purpose

// True if every piece of one loop ran once, or if the loop failed as planned.
bool one_loop(std::mt19937& random) {
    const int64_t n = 1 + random() % 50, grain = 1 + random() % 4;
    const int64_t fail_at = random() % 100 == 0 ? n / 2 : -1;
    std::vector<int> runs(n, 0);
    try {
        parallel_for(n, grain, [&](int64_t i) {
            Scratch<float> workspace(1 + (i * 977) % 5000);
            workspace.data[0] = 1;
            if (i == fail_at) throw Planned();
            ++runs[i];
        });
    } catch (const Planned&) {
        return fail_at >= 0;
    }
    for (int count : runs) {
        if (count != 1) return false;
    }
    return fail_at < 0;
}

void call(int seed, int threads, int repeats) {
    std::mt19937 random(seed);
    for (int i = 0; i < repeats; ++i) {
        if (!one_loop(random)) {
            std::puts("a piece of work did not run exactly once");
            std::exit(1);
        }
        if (random() % 500 == 0) plainformer::trim_memory();
        if (random() % 300 == 0) plainformer::set_num_threads(1 + random() % threads);
        if (random() % 300 == 0) plainformer::set_num_threads(threads);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const int threads = std::atoi(argv[1]), callers = std::atoi(argv[2]);
    plainformer::set_num_threads(threads);
    std::vector<std::thread> running;
    for (int seed = 0; seed < callers; ++seed) {
        running.emplace_back(call, seed, threads, std::atoi(argv[3]));
    }
    for (std::thread& caller : running) caller.join();
    return 0;
}
