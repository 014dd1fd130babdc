// The twins of AMX's instructions against the manual's words, computed another way.
// tests/test_amx.py builds it and runs it; with the argument "unconfigured" it uses a tile too
// early.
#define PF_ISA amx_emulated
#define PF_AMX
#include <cmath>
#include <cstring>

#include "expect.h"
#include "isa/amx.h"

namespace plainformer::amx_emulated {

namespace {

uint16_t half(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return static_cast<uint16_t>(bits >> 16);
}

struct Operands {
    uint16_t a[16][32], b[16][32];  // b: pairs of rows
    float d[16][16];
};

// Element (m, n) of d + a b for whole numbers, of which no sum is rounded.
float exact(const Operands& x, const int (&a)[16][32], const int (&b)[32][16], int m, int n) {
    int sum = static_cast<int>(x.d[m][n]);
    for (int k = 0; k < 32; ++k) sum += a[m][k] * b[k][n];
    return static_cast<float>(sum);
}

void test_products_of_whole_numbers() {
    static Operands x;
    static int a[16][32], b[32][16];
    for (int i = 0; i < 16; ++i)
        for (int k = 0; k < 32; ++k) {
            a[i][k] = (7 * i + 3 * k) % 13 - 6, b[k][i] = (5 * i + 11 * k) % 17 - 8;
            x.a[i][k] = half(static_cast<float>(a[i][k]));
            x.b[k / 2][2 * i + k % 2] = half(static_cast<float>(b[k][i]));
            x.d[i][k % 16] = static_cast<float>(i - k % 16);
        }
    float out[16][20] = {};
    tile_configure();
    tile_load<0>(x.d, sizeof x.d[0]);
    tile_load<1>(x.a, sizeof x.a[0]);
    tile_load_once<2>(x.b, sizeof x.b[0]);
    tile_dot_bf16<0, 1, 2>();
    tile_store<0>(out, sizeof out[0]);
    tile_release();
    for (int m = 0; m < 16; ++m) {
        for (int n = 0; n < 16; ++n) EXPECT(out[m][n] == exact(x, a, b, m, n));
        for (int n = 16; n < 20; ++n) EXPECT(out[m][n] == 0);
    }
}

// One element of a tile's product: a row of a against a column of b.
float dot(const float (&a)[4], const float (&b)[4], float d = 0) {
    static uint16_t left[16][32], right[16][32];
    static float sums[16][16];
    for (int k = 0; k < 4; ++k) left[3][k] = half(a[k]), right[k / 2][2 * 5 + k % 2] = half(b[k]);
    sums[3][5] = d;
    tile_configure();
    tile_load<0>(sums, 64), tile_load<1>(left, 64), tile_load<2>(right, 64);
    tile_dot_bf16<0, 1, 2>();
    float out[16][16];
    tile_store<0>(out, 64);
    tile_release();
    return out[3][5];
}

void test_order_of_sums() {
    const float big = 0x1p24f;
    // even: 2^24 + 1 is 2^24; odd: 1 + 0; together 2^24 + 1, which is 2^24 again
    EXPECT(dot({big, 1, 1, 0}, {1, 1, 1, 1}) == big);
    // even: 2^24 - 2^24; odd: 1 + 1
    EXPECT(dot({big, 1, -big, 1}, {1, 1, 1, 1}) == 2);
    // d comes last: 2^24 + (1 + 1)
    EXPECT(dot({1, 1, 0, 0}, {1, 1, 0, 0}, big) == big + 2);
    EXPECT(dot({1, 0, 0, 0}, {1, 0, 0, 0}, big) == big);
}

void test_subnormals_are_zero() {
    EXPECT(dot({0x1p-127f, 0, 0, 0}, {0x1p126f, 0, 0, 0}) == 0);
    EXPECT(dot({0x1p-100f, 0, 0, 0}, {0x1p-30f, 0, 0, 0}) == 0);
    EXPECT(dot({0x1p-100f, 0, 0, 0}, {0x1p-26f, 0, 0, 0}) == 0x1p-126f);
    EXPECT(dot({0, 0, 0, 0}, {0, 0, 0, 0}, 0x1p-130f) == 0);
    EXPECT(std::signbit(dot({-0x1p-100f, 0, 0, 0}, {0x1p-30f, 0, 0, 0}, -0.0f)) == false);
}

void test_special_values() {
    EXPECT(std::isinf(dot({INFINITY, 0, 0, 0}, {1, 0, 0, 0})));
    EXPECT(std::isnan(dot({INFINITY, 0, 0, 0}, {0, 0, 0, 0})));
    EXPECT(std::isnan(dot({INFINITY, -INFINITY, 0, 0}, {1, 1, 0, 0})));
}

void test_integers() {
    static uint8_t a[16][64];
    static int8_t b[16][64];
    int32_t out[16][16];
    for (int i = 0; i < 16; ++i)
        for (int k = 0; k < 64; ++k)
            a[i][k] = static_cast<uint8_t>(255 - i - k), b[i][k] = static_cast<int8_t>(i * k - 128);
    tile_configure();
    tile_load<3>(a, 64), tile_load<4>(b, 64);
    tile_zero<5>();
    tile_dot_u8s8<5, 3, 4>(), tile_dot_u8s8<5, 3, 4>();
    tile_store<5>(out, 64);
    tile_release();
    for (int m = 0; m < 16; ++m)
        for (int n = 0; n < 16; ++n) {
            int sum = 0;
            for (int k = 0; k < 64; ++k) sum += a[m][k] * b[k / 4][4 * n + k % 4];
            EXPECT(out[m][n] == 2 * sum);
        }
}

void test_configuring_clears() {
    float ones[16][16], out[16][16];
    for (auto& row : ones)
        for (float& x : row) x = 1;
    tile_configure();
    tile_load<7>(ones, 64);
    tile_release();
    tile_configure();
    tile_store<7>(out, 64);
    tile_release();
    EXPECT(out[0][0] == 0 && out[15][15] == 0);
}

}  // namespace

int run(bool unconfigured) {
    if (unconfigured) tile_zero<0>();
    test_products_of_whole_numbers();
    test_order_of_sums();
    test_subnormals_are_zero();
    test_special_values();
    test_integers();
    test_configuring_clears();
    return failures;
}

}  // namespace plainformer::amx_emulated

int main(int argc, char** argv) {
    return plainformer::amx_emulated::run(argc > 1 && !std::strcmp(argv[1], "unconfigured"));
}
