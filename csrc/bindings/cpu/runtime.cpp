// Threads, memory and processor: what plainformer.runtime shows and sets.
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "adapter.h"
#include "families.h"
#include "runtime/allocator.h"
#include "runtime/caches.h"
#include "runtime/cgroup.h"
#include "runtime/core_caches.h"
#include "runtime/cpu_info.h"
#include "runtime/errors.h"
#include "runtime/float_mode.h"
#include "runtime/thread_pool.h"

namespace plainformer {
namespace {

// ---- ISA levels ------------------------------------------------------------------------------

py::list available_levels() {
    py::list names;
    for (int i = 0; i <= static_cast<int>(best_level()); ++i) {
        const Level level = static_cast<Level>(i);
        if (level_is_built(level)) names.append(level_name(level));
    }
    return names;
}

void set_level_by_name(const std::string& name) {
    const Level level = level_from_name(name);
    if (!cpu_supports(level) || !level_is_built(level)) {
        throw ConfigError("ISA level: got \"" + name + "\", which this processor or build lacks");
    }
    set_level(level);
}

void set_known_core_caches(int64_t l1, int64_t l2) {
    if (l1 < 0 || l2 < 0)
        throw ConfigError("l1, l2: got " + std::to_string(l1) + " and " + std::to_string(l2) +
                          ", expected sizes, or 0 for the machine's own");
    set_core_caches(l1, l2);
}

void set_known_last_cache(int64_t bytes) {
    if (bytes < 0)
        throw ConfigError("bytes: got " + std::to_string(bytes) +
                          ", expected a size, or 0 for the machine's own");
    set_last_cache(bytes);
}

// ---- threads ---------------------------------------------------------------------------------

py::dict pool_info() {
    const DefaultThreads wanted = default_threads();
    py::dict info;
    info["num_threads"] = num_threads();
    info["default_threads"] = wanted.count;
    info["default_reason"] = wanted.reason;
    info["workers"] = num_workers();
    info["affinity"] = affinity_count();
    info["cgroup_cpus"] = cgroup_cpu_limit();
    return info;
}

// Keeps this thread busy for so many microseconds.
void work_for(int64_t microseconds) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point end = Clock::now() + std::chrono::microseconds(microseconds);
    while (Clock::now() < end) continue;
}

// What a parallel loop does: n pieces of work, each a nested loop of `inner` that last
// `microseconds` each; returns the number of the thread behind each, (n, inner), 0 being the
// caller. Piece `fail_at` asks for more memory than there is.
py::array trace_parallel_for(int64_t n, int64_t grain, int64_t microseconds, int64_t inner,
                             int64_t fail_at) {
    constexpr int64_t most = 1'000'000;
    for (int64_t number : {n, inner, microseconds})
        if (number < 0 || number > most)
            throw ConfigError("n, inner, microseconds: got " + std::to_string(number) +
                              ", expected 0 to " + std::to_string(most));
    if (n * inner > most || n * microseconds > 10 * most)
        throw ConfigError("n: got more than 10^6 pieces, or 10 s of work, in all");
    void* elements;
    py::object threads = new_array(DType::int64, Shape{n, inner}.dims, 2, &elements);
    int64_t* const thread_of = static_cast<int64_t*>(elements);
    std::fill(thread_of, thread_of + n * inner, -1);
    {
        Unlocked unlocked;
        SteadyThreads steady;
        parallel_for(n, grain, [=](int64_t i) {
            if (i == fail_at) release(allocate(~size_t{0}));
            parallel_for(inner, 1, [=](int64_t j) {
                work_for(microseconds);
                thread_of[i * inner + j] = thread_index();
            });
        });
    }
    return threads;
}

// A reserved bit in the register is a fault of the processor, an exception left unmasked one at
// some later division.
void set_known_float_mode(decltype(get_float_mode()) mode) {
#if defined(__x86_64__)
    if (mode > 0xffff || (mode & default_float_mode) != default_float_mode)
        throw ConfigError("mode: got " + std::to_string(mode) +
                          ", expected at most 65535, with all exceptions masked (0x1f80)");
#elif defined(__aarch64__)
    constexpr uint64_t settable = 0x7c80000;  // AHP, DN, FZ, the two of RMode, FZ16
    if ((mode & ~settable) != 0)
        throw ConfigError("mode: got " + std::to_string(mode) +
                          ", expected bits 19 and 22 to 26 of FPCR alone (0x7c80000)");
#endif
    set_float_mode(mode);
}

// ---- memory ----------------------------------------------------------------------------------

py::dict memory_counters() {
    const MemoryStats stats = memory_stats();
    py::dict counters;
    counters["live_bytes"] = stats.live_bytes;
    counters["peak_bytes"] = stats.peak_bytes;
    counters["cached_bytes"] = stats.cached_bytes;
    counters["limit_bytes"] = stats.limit_bytes;
    counters["hits"] = stats.hits;
    counters["misses"] = stats.misses;
    return counters;
}

// An uninitialized array of bytes from the caching allocator.
py::array empty_bytes(int64_t bytes) {
    if (bytes < 0) throw ConfigError("bytes: got " + std::to_string(bytes) + ", expected >= 0");
    void* data;
    return new_array(DType::boolean, &bytes, 1, &data).attr("view")("uint8");
}

// ---- processor -------------------------------------------------------------------------------

py::dict cpu_summary() {
    py::dict summary;
    summary["name"] = cpu_name();
    summary["features"] = py::cast(cpu_features());
    summary["cache_bytes"] = py::make_tuple(cache_bytes(1), cache_bytes(2), cache_bytes(3));
    summary["memory_bytes"] = memory_bytes();
    return summary;
}

// The runtime's ConfigError becomes Python's, which is looked up when the first one is raised.
void translate_config_errors() {
    py::register_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const ConfigError& config) {
            const py::object type = py::module_::import("plainformer.errors").attr("ConfigError");
            py::set_error(type, config.what());
        }
    });
}

}  // namespace

void bind_runtime(py::module_& module) {
    translate_config_errors();
    module.def("set_bfloat16_dtype", &set_bfloat16_dtype);
    module.def("current_level", [] { return level_name(current_level()); });
    module.def("available_levels", &available_levels);
    module.def("set_level", &set_level_by_name);
    module.def("cpu_summary", &cpu_summary);
    module.def("set_core_caches", &set_known_core_caches);  // for tests, as set_last_cache
    module.def("set_last_cache", &set_known_last_cache);    // for tests: bytes do not depend on it

    module.attr("MAX_THREADS") = max_threads;
    module.def("get_num_threads", &num_threads);
    module.def("set_num_threads", &set_num_threads);
    module.def("pool_info", &pool_info);
    module.def("trace_parallel_for", &trace_parallel_for, py::arg("n"), py::arg("grain") = 1,
               py::arg("microseconds") = 0, py::arg("inner") = 1, py::arg("fail_at") = -1);
    module.def("cgroup_cpu_limit", &cgroup_cpu_limit, py::arg("root") = "");
    module.def("cgroup_memory_limit", &cgroup_memory_limit, py::arg("root") = "");
    module.def("get_float_mode", &get_float_mode);
    module.def("set_float_mode", &set_known_float_mode);

    module.def("memory_stats", &memory_counters);
    module.def("reset_peak_memory", &reset_peak);
    module.def("trim_memory", &trim_memory);
    module.def("empty_bytes", &empty_bytes);
}

}  // namespace plainformer
