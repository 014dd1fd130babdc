// The floating-point mode of the calling thread (rounding, flush-to-zero, trapped exceptions).
#pragma once

#include <cstdint>

namespace plainformer {

#if defined(__x86_64__)
constexpr uint32_t default_float_mode = 0x1f80;  // MXCSR after reset: nearest, no flush, no traps
inline uint32_t get_float_mode() { return __builtin_ia32_stmxcsr(); }
inline void set_float_mode(uint32_t mode) { __builtin_ia32_ldmxcsr(mode); }
#elif defined(__aarch64__)
constexpr uint64_t default_float_mode = 0;  // FPCR
inline uint64_t get_float_mode() {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
inline void set_float_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
constexpr int default_float_mode = 0;  // elsewhere the mode is left alone
inline int get_float_mode() { return 0; }
inline void set_float_mode(int) {}
#endif

// Sets the default mode for its lifetime: a flush-to-zero that another library left in this
// thread changes no byte of ours. The caller's mode comes back whole, exception flags included.
class DefaultFloatMode {
  public:
    DefaultFloatMode() : saved_(get_float_mode()) { set_float_mode(default_float_mode); }
    ~DefaultFloatMode() { set_float_mode(saved_); }
    DefaultFloatMode(const DefaultFloatMode&) = delete;
    DefaultFloatMode& operator=(const DefaultFloatMode&) = delete;

  private:
    decltype(get_float_mode()) saved_;
};

}  // namespace plainformer
