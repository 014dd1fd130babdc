// Checks isa/math.h against double-precision libm over float32 inputs: every one of them (2^32), or
// every `stride`-th. Prints the largest error of each function in ulp; fails above its bound.
//
//     cmake --build build --target elementary_avx2 && build/elementary_avx2 [stride [shard shards]]
//
// Every input takes some minutes a level; shard 0, 1, ... of `shards` split them over processors.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "isa/math.h"

namespace plainformer::PF_ISA {
namespace {

using Function = Vec<float> (*)(Vec<float>);

struct Case {
    const char* name;
    Function ours;
    double (*exact)(double);
    double bound;  // in ulp
};

double exact_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// The generic level rounds each multiply-add twice and is allowed more.
#if defined(__FMA__)
constexpr double looser = 0;
#else
constexpr double looser = 1.5;
#endif

const Case cases[] = {
    {"exp", [](Vec<float> x) { return exp(x); }, std::exp, 1.01 + looser},
    {"exp2", [](Vec<float> x) { return exp2(x); }, std::exp2, 2.2 + looser},
    {"log", [](Vec<float> x) { return log(x); }, std::log, 1.0 + looser},
    {"sigmoid", [](Vec<float> x) { return sigmoid(x); }, exact_sigmoid, 2.5 + looser},
    {"tanh", [](Vec<float> x) { return tanh(x); }, std::tanh, 2.0 + looser},
    {"erf", [](Vec<float> x) { return erf(x); }, std::erf, 2.0 + looser},
};

float from_pattern(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

// Distance in units of the last place of the correctly rounded result.
double error_in_ulp(float ours, double exact) {
    const float rounded = static_cast<float>(exact);
    if (std::isnan(exact)) return std::isnan(ours) ? 0 : INFINITY;
    if (std::isinf(rounded) || std::isinf(ours)) {
        if (ours == rounded) return 0;
        // The largest finite float and infinity are neighbors: one ulp apart.
        return std::fabs(ours) >= 3.4028234e38f && std::fabs(rounded) >= 3.4028234e38f ? 1
                                                                                       : INFINITY;
    }
    const double ulp = std::fmax(std::ldexp(1.0, std::ilogb(rounded == 0 ? 1e-45f : rounded) - 23),
                                 std::ldexp(1.0, -149));
    return std::fabs(static_cast<double>(ours) - exact) / ulp;
}

struct Worst {
    double error = 0;
    float at = 0;
};

Worst largest_error(const Case& c, uint64_t stride, uint64_t begin, uint64_t end) {
    constexpr int width = Vec<float>::width;
    Worst worst;
    float in[width], out[width];
    for (uint64_t i = begin; i < end; i += stride * width) {
        for (int j = 0; j < width; ++j)
            in[j] = from_pattern(static_cast<uint32_t>(i + static_cast<uint64_t>(j) * stride));
        store(out, Full{}, c.ours(load(in, Full{})));
        for (int j = 0; j < width; ++j) {
            const double error = error_in_ulp(out[j], c.exact(in[j]));
            if (error > worst.error) worst = {error, in[j]};
        }
    }
    return worst;
}

}  // namespace

int run(int argc, char** argv) {
    const uint64_t stride = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
    const uint64_t shard = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
    const uint64_t shards = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
    const uint64_t all = uint64_t{1} << 32, size = all / shards;
    int failures = 0;
    for (const Case& c : cases) {
        const Worst w = largest_error(c, stride, shard * size, (shard + 1) * size);
        const bool good = w.error <= c.bound;
        failures += !good;
        std::printf("%-8s largest error %.3f ulp at %.9g (%a), bound %.2f: %s\n", c.name, w.error,
                    static_cast<double>(w.at), static_cast<double>(w.at), c.bound,
                    good ? "ok" : "FAILED");
    }
    return failures != 0;
}

}  // namespace plainformer::PF_ISA

int main(int argc, char** argv) { return plainformer::PF_ISA::run(argc, argv); }
