// csrc/cuda/divisor.h against the processor's division: every small pair, and numbers around
// multiples and powers of two up to the largest.
#include "cuda/divisor.h"

#include <cstdio>

using plainformer::cuda::Divisor;

namespace {

int check(int64_t n, int64_t d) {
    int64_t whole = n;
    const int64_t rest = Divisor(d).split(whole);
    if (whole == n / d && rest == n % d) return 0;
    std::printf("%lld / %lld: got %lld and %lld\n", static_cast<long long>(n),
                static_cast<long long>(d), static_cast<long long>(whole),
                static_cast<long long>(rest));
    return 1;
}

int check_around(int64_t n, int64_t d) {
    int wrong = 0;
    for (int64_t i = -2; i <= 2; ++i)
        if (n + i >= 0 && n <= INT64_MAX - 2) wrong += check(n + i, d);
    return wrong + check(INT64_MAX, d);
}

}  // namespace

int main() {
    int wrong = 0;
    for (int64_t d = 1; d < 300; ++d)
        for (int64_t n = 0; n < 2000; ++n) wrong += check(n, d);
    for (int power = 0; power < 63; ++power) {
        for (int64_t i = -2; i <= 2; ++i) {
            const int64_t d = (int64_t{1} << power) + i;
            if (d < 1) continue;
            for (int times = 0; times < 62; ++times) {
                const int64_t count = int64_t{1} << times;
                if (count <= INT64_MAX / d) wrong += check_around(count * d, d);
                wrong += check_around(count, d);
            }
        }
    }
    return wrong > 0;
}
