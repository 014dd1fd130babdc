// Test programs of kernels. The same file builds with a host compiler, against the emulation, and
// with nvcc, for a GPU:
//   g++ -std=c++20 -Icsrc/include -Icsrc -x c++ FILE.cu -x none csrc/cuda/emulation/*.cpp
//   nvcc -std=c++17 -Icsrc/include -Icsrc -gencode arch=compute_90a,code=sm_90a FILE.cu
// A program prints a line a test, "ok NAME" or "FAILED NAME: why", and exits with 1 after a
// failure. Its arguments are names of tests; without one it runs all.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/device.cuh"

namespace testing {

using namespace plainformer;
using namespace plainformer::cuda;

// ---- memory that host and device share ---------------------------------------------------------

#ifdef __CUDACC__
inline void check_status(cudaError_t status) {
    if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}
inline void* allocate(size_t bytes) {
    void* p = nullptr;
    check_status(cudaMallocManaged(&p, bytes));
    return p;
}
inline void release(void* p) { cudaFree(p); }
inline void finish() { check_status(cudaDeviceSynchronize()); }
#else
inline void* allocate(size_t bytes) { return std::aligned_alloc(256, (bytes + 255) / 256 * 256); }
inline void release(void* p) { std::free(p); }
inline void finish() {}
#endif

template <class T>
class Array {
  public:
    explicit Array(size_t size) : data_(static_cast<T*>(allocate(size * sizeof(T)))), size_(size) {
        std::memset(static_cast<void*>(data_), 0xff, size * sizeof(T));
    }
    ~Array() { release(data_); }
    Array(const Array&) = delete;
    T* data() { return data_; }
    size_t size() const { return size_; }
    T& operator[](size_t i) { return data_[i]; }

  private:
    T* data_;
    size_t size_;
};

// ---- checks ------------------------------------------------------------------------------------

template <class... A>
void check(bool holds, const char* format, A... a) {
    if (holds) return;
    char text[400];
    std::snprintf(text, sizeof text, format, a...);
    throw std::runtime_error(text);
}

inline void check_near(double got, double expected, double tolerance, const char* what, size_t i) {
    const double error = got > expected ? got - expected : expected - got;
    check(error <= tolerance, "%s[%zu] is %.9g, expected %.9g", what, i, got, expected);
}
inline void check_equal(double got, double expected, const char* what, size_t i) {
    check_near(got, expected, 0, what, i);
}

// Whole numbers from -8 to 8: their products and sums are exact in every type.
inline float small_number() {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<int>(state >> 16) % 17 - 8);
}

// The value and the bits of 16-bit types, by the host's own arithmetic.
template <class T>
float value_of(T x);
template <>
inline float value_of(bfloat16 x) {
    const uint32_t bits = uint32_t{x.bits} << 16;
    float y;
    std::memcpy(&y, &bits, 4);
    return y;
}
template <>
inline float value_of(float16 x) {
    const int exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
    const double sign = x.bits & 0x8000 ? -1 : 1;
    if (exponent == 31) return static_cast<float>(fraction ? NAN : sign * INFINITY);
    const double magnitude =
        exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return static_cast<float>(sign * magnitude);
}
// A T for a number that T holds exactly.
template <class T>
T exact(float x) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const T candidate{static_cast<uint16_t>(bits)};
        if (value_of(candidate) == x) return candidate;
    }
    throw std::runtime_error("no such number");
}
// Whole numbers again, as elements.
template <class T>
T small_element() {
    static std::vector<T> table;
    if (table.empty())
        for (int i = -8; i <= 8; ++i) table.push_back(exact<T>(static_cast<float>(i)));
    return table[static_cast<size_t>(small_number() + 8)];
}

// ---- layouts in CuTe's notation ----------------------------------------------------------------

// Layout<Shape<s0, s1, ..>, Stride<d0, d1, ..>>: the digits of a number in the mixed radix s, the
// first one least, times the strides d.
template <int shape, int stride>
struct Mode {};
template <class... M>
struct Layout {
    static PF_INLINE constexpr int at(int) { return 0; }
};
template <int shape, int stride, class... M>
struct Layout<Mode<shape, stride>, M...> {
    static PF_INLINE constexpr int at(int i) {
        return i % shape * stride + Layout<M...>::at(i / shape);
    }
};
// Swizzle<B, 4, 3> on a byte offset: bits 4 .. 4 + B - 1 ^= bits 7 .. 7 + B - 1.
PF_INLINE constexpr uint32_t cute_swizzle(int b, uint32_t offset) {
    return offset ^ (offset & ((1u << b) - 1) << 7) >> 3;
}

// ---- the program -------------------------------------------------------------------------------

struct Test {
    std::string name;
    std::function<void()> run;
};
inline std::vector<Test>& tests() {
    static std::vector<Test> all;
    return all;
}
struct Registered {
    Registered(const std::string& name, std::function<void()> run) {
        tests().push_back({name, std::move(run)});
    }
};
#define TEST(name)                                                   \
    static void name();                                              \
    static const testing::Registered registered_##name(#name, name); \
    static void name()

inline bool passes(const Test& test) {
    try {
        test.run();
        std::printf("ok %s\n", test.name.c_str());
        return true;
    } catch (const std::exception& error) {
        std::printf("FAILED %s: %s\n", test.name.c_str(), error.what());
        return false;
    }
}

inline int run_tests(int argc, char** argv) {
    bool all_pass = true;
    for (const Test& test : tests()) {
        bool asked = argc == 1;
        for (int i = 1; i < argc; ++i) asked |= test.name == argv[i];
        if (asked) all_pass &= passes(test);
        std::fflush(stdout);
    }
    return all_pass ? 0 : 1;
}

}  // namespace testing
