// What the runtime tells the sanitizers. It is compiled without them itself, so that only the
// kernels' own accesses are watched: -DPLAINFORMER_EMULATION_TSAN or _ASAN says which one the
// program that holds it is linked with.
#pragma once
#include <cstddef>

#ifdef PLAINFORMER_EMULATION_TSAN
extern "C" {
void* __tsan_create_fiber(unsigned flags);
void* __tsan_get_current_fiber();
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif
#ifdef PLAINFORMER_EMULATION_ASAN
extern "C" {
void __asan_poison_memory_region(const volatile void* address, size_t bytes);
void __asan_unpoison_memory_region(const volatile void* address, size_t bytes);
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t bytes);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, size_t* bytes);
}
#endif

namespace plainformer::emulation {

#ifdef PLAINFORMER_EMULATION_TSAN
constexpr bool thread_sanitizer = true;
inline void acquire(void* sync) { __tsan_acquire(sync); }
inline void release(void* sync) { __tsan_release(sync); }
inline void kernel_reads(const void* p, size_t n) { __tsan_read_range(const_cast<void*>(p), n); }
inline void kernel_writes(void* p, size_t n) { __tsan_write_range(p, n); }
inline void ignore_accesses() {
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
}
inline void watch_accesses() {
    AnnotateIgnoreReadsEnd("", 0);
    AnnotateIgnoreWritesEnd("", 0);
}
#else
constexpr bool thread_sanitizer = false;
inline void acquire(void*) {}
inline void release(void*) {}
inline void kernel_reads(const void*, size_t) {}
inline void kernel_writes(void*, size_t) {}
inline void ignore_accesses() {}
inline void watch_accesses() {}
#endif

#ifdef PLAINFORMER_EMULATION_ASAN
constexpr bool address_sanitizer = true;
inline void forbid(const void* p, size_t bytes) { __asan_poison_memory_region(p, bytes); }
inline void allow(const void* p, size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
constexpr bool address_sanitizer = false;
inline void forbid(const void*, size_t) {}
inline void allow(const void*, size_t) {}
#endif

// The runtime's own accesses to the kernel's memory (memcpy and the like are intercepted) are not
// the kernel's.
struct Quiet {
    Quiet() { ignore_accesses(); }
    ~Quiet() { watch_accesses(); }
    Quiet(const Quiet&) = delete;
};

}  // namespace plainformer::emulation
