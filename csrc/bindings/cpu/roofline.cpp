// Measures this machine's ceilings: what `plainformer bench` and the trainer's MFU divide by.
#include "tools/roofline.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "adapter.h"
#include "families.h"
#include "runtime/allocator.h"
#include "runtime/errors.h"
#include "runtime/thread_pool.h"

namespace plainformer {
namespace {

// Best rate of `pass`, which returns how much work it did, over about that many milliseconds;
// work a nanosecond is billions a second.
template <typename Pass>
double best_rate(double milliseconds, const Pass& pass) {
    if (!(milliseconds >= 0 && milliseconds <= 1e6))
        throw ConfigError("milliseconds: got " + std::to_string(milliseconds) +
                          ", expected 0 to 1000000");
    using Clock = std::chrono::steady_clock;
    const auto nanoseconds = [](Clock::duration d) {
        return std::chrono::duration<double, std::nano>(d).count();
    };
    const Clock::time_point start = Clock::now();
    Clock::time_point before = start, after = start;
    double best = 0;
    do {
        before = after;
        const double work = pass();
        after = Clock::now();
        best = std::max(best, work / nanoseconds(after - before));
    } while (nanoseconds(after - start) < milliseconds * 1e6);
    return best;
}

template <typename T>
double peak_rate(bool int8, double milliseconds) {
    constexpr int64_t rounds = 20'000;         // about 0.1 ms
    const int64_t chunks = 8 * num_threads();  // evens out threads that start late
    Scratch<float> results(chunks);
    double operations = 0;
    const PeakArgs<T> args{chunks, rounds, int8, results.data, &operations};
    return best_rate(milliseconds, [&] {
        dispatch<T>().peak(args);
        return operations;
    });
}

// 10^9 operations a second of all threads at the current level; 0 if it has no such instruction.
double measure_peak(const std::string& dtype, double milliseconds) {
    Unlocked unlocked;
    SteadyThreads threads;
    if (dtype == "float32") return peak_rate<float>(false, milliseconds);
    if (dtype == "bfloat16") return peak_rate<bfloat16>(false, milliseconds);
    if (dtype == "float64") return peak_rate<double>(false, milliseconds);
    if (dtype == "int8") return peak_rate<float>(true, milliseconds);
    throw ConfigError("dtype: got \"" + dtype + "\", expected float32, bfloat16, float64 or int8");
}

MemoryPass memory_pass_named(const std::string& name) {
    if (name == "read") return MemoryPass::read;
    if (name == "copy") return MemoryPass::copy;
    if (name == "stream") return MemoryPass::stream;
    throw ConfigError("pass: got \"" + name + "\", expected read, copy or stream");
}

// GB a second over two arrays of `bytes` each; a copy counts what it reads and what it writes.
double measure_bandwidth(const std::string& name, double milliseconds, int64_t bytes) {
    const MemoryPass pass = memory_pass_named(name);
    const int64_t blocks = bytes / (memory_pass_block * static_cast<int64_t>(sizeof(float)));
    if (blocks < 1)
        throw ConfigError("bytes: got " + std::to_string(bytes) + ", expected >= 256 KiB");
    Unlocked unlocked;
    SteadyThreads threads;
    const int64_t N = blocks * memory_pass_block;
    Scratch<float> x(N), y(N), results(blocks);
    std::fill(x.data, x.data + N, 1.0f);  // pages that were never written all map to one
    std::fill(y.data, y.data + N, 0.0f);
    const double moved = (pass == MemoryPass::read ? 1.0 : 2.0) * N * sizeof(float);
    const MemoryPassArgs<float> args{pass, y.data, x.data, results.data, N};
    return best_rate(milliseconds, [&] {
        dispatch<float>().memory_pass(args);
        return moved;
    });
}

}  // namespace

void bind_roofline(py::module_& module) {
    module.def("measure_peak", &measure_peak, py::arg("dtype"), py::arg("milliseconds") = 50.0);
    module.def("measure_bandwidth", &measure_bandwidth, py::arg("kind"),
               py::arg("milliseconds") = 200.0, py::arg("bytes") = int64_t{256} << 20);
}

}  // namespace plainformer
