// The primitives that every architecture has: fragments against the layouts that CuTe publishes
// (cute/atom/mma_traits_sm80.hpp, copy_traits_sm75.hpp), warps, barriers, copies, element types.
#include <cmath>

#include "testing.h"

using namespace testing;

// ---- matrix products ---------------------------------------------------------------------------

// SM80_16x8x16_F32BF16BF16F32_TN: thread and value to m + 16 k, n + 8 k, m + 16 n.
using ThreadA = Layout<Mode<4, 32>, Mode<8, 1>>;
using ValueA = Layout<Mode<2, 16>, Mode<2, 8>, Mode<2, 128>>;
using ThreadB = Layout<Mode<4, 16>, Mode<8, 1>>;
using ValueB = Layout<Mode<2, 8>, Mode<2, 64>>;
using ThreadC = Layout<Mode<4, 32>, Mode<8, 1>>;
using ValueC = Layout<Mode<2, 16>, Mode<2, 8>>;

// A, B, C and D are stored by CuTe's indices.
template <class T>
__global__ void one_mma(const T* A, const T* B, const float* C, float* D) {
    const int t = static_cast<int>(threadIdx.x);
    uint32_t a[4] = {}, b[2] = {};
    float d[4];
    for (int v = 0; v < 8; ++v)
        a[v / 2] |= uint32_t{A[ThreadA::at(t) + ValueA::at(v)].bits} << v % 2 * 16;
    for (int v = 0; v < 4; ++v)
        b[v / 2] |= uint32_t{B[ThreadB::at(t) + ValueB::at(v)].bits} << v % 2 * 16;
    for (int v = 0; v < 4; ++v) d[v] = C[ThreadC::at(t) + ValueC::at(v)];
    mma_m16n8k16<T>(d, a, b[0], b[1]);
    for (int v = 0; v < 4; ++v) D[ThreadC::at(t) + ValueC::at(v)] = d[v];
}

template <class T>
void check_mma() {
    Array<T> a(256), b(128);
    Array<float> c(128), d(128);
    for (size_t i = 0; i < 256; ++i) a[i] = small_element<T>();
    for (size_t i = 0; i < 128; ++i) b[i] = small_element<T>(), c[i] = small_number();
    launch({dim3(1), dim3(32)}, one_mma<T>, a.data(), b.data(), c.data(), d.data());
    finish();
    for (size_t m = 0; m < 16; ++m)
        for (size_t n = 0; n < 8; ++n) {
            float sum = c[m + 16 * n];
            for (size_t k = 0; k < 16; ++k) sum += value_of(a[m + 16 * k]) * value_of(b[n + 8 * k]);
            check_equal(d[m + 16 * n], sum, "d", m + 16 * n);
        }
}
TEST(mma_bfloat16) { check_mma<bfloat16>(); }
TEST(mma_float16) { check_mma<float16>(); }

// ---- matrix loads ------------------------------------------------------------------------------

// SM75_U32x4_LDSM_N and SM75_U16x8_LDSM_T: thread and bit of the thread's registers to a bit of the
// rows of lanes 0, 1, .., 128 bits each.
using LoadThread = Layout<Mode<32, 32>>;
using LoadBit = Layout<Mode<32, 1>, Mode<4, 1024>>;
using TransposedThread = Layout<Mode<4, 256>, Mode<8, 16>>;
using TransposedBit = Layout<Mode<16, 1>, Mode<2, 128>, Mode<4, 1024>>;

struct MatrixShared {
    uint16_t rows[32][24];  // 48 bytes: rows need not be adjacent
};

template <int X, bool transposed>
__global__ void one_ldmatrix(uint32_t* out) {
    auto& s = shared<MatrixShared>();
    const int t = static_cast<int>(threadIdx.x);
    for (int i = 0; i < 8; ++i) s.rows[t][i] = static_cast<uint16_t>(t * 8 + i);
    __syncwarp();
    uint32_t r[X];
    if constexpr (transposed)
        ldmatrix_trans(r, shared_addr(s.rows[t]));
    else
        ldmatrix(r, shared_addr(s.rows[t]));
    for (int i = 0; i < X; ++i) out[t * X + i] = r[i];
}

template <int X, bool transposed>
void check_ldmatrix() {
    Array<uint32_t> out(32 * X);
    launch({dim3(1), dim3(32), sizeof(MatrixShared)}, one_ldmatrix<X, transposed>, out.data());
    finish();
    for (int t = 0; t < 32; ++t)
        for (int half = 0; half < 2 * X; ++half) {
            const int bit = transposed ? TransposedThread::at(t) + TransposedBit::at(16 * half)
                                       : LoadThread::at(t) + LoadBit::at(16 * half);
            const uint32_t got = out[static_cast<size_t>(t * X + half / 2)] >> half % 2 * 16;
            check_equal(got & 0xffff, bit / 16, "element", static_cast<size_t>(t * 2 * X + half));
        }
}
TEST(ldmatrix_x1) { check_ldmatrix<1, false>(); }
TEST(ldmatrix_x2) { check_ldmatrix<2, false>(); }
TEST(ldmatrix_x4) { check_ldmatrix<4, false>(); }
TEST(ldmatrix_trans_x1) { check_ldmatrix<1, true>(); }
TEST(ldmatrix_trans_x2) { check_ldmatrix<2, true>(); }
TEST(ldmatrix_trans_x4) { check_ldmatrix<4, true>(); }

// ---- warps -------------------------------------------------------------------------------------

__global__ void shuffles(int* out) {
    const int t = static_cast<int>(threadIdx.x);
    const unsigned all = 0xffffffffu;
    int* const mine = out + t * 8;
    mine[0] = __shfl_sync(all, t * 3, 5);
    mine[1] = __shfl_sync(all, t * 3, t + 1, 8);
    mine[2] = __shfl_xor_sync(all, t * 3, 9);
    mine[3] = __shfl_up_sync(all, t * 3, 2, 16);
    mine[4] = __shfl_down_sync(all, t * 3, 3, 8);
    mine[5] = static_cast<int>(__ballot_sync(all, t % 3 == 0));
    mine[6] = __any_sync(all, t == 7) * 2 + __all_sync(all, t != 7);
    // Two halves of a warp at different places, each with a mask of its own.
    if (t < 16)
        mine[7] = __shfl_xor_sync(0x0000ffffu, t, 1);
    else
        mine[7] = __shfl_sync(0xffff0000u, t, 16 + (t + 1) % 16);
}
TEST(warp_shuffles_and_votes) {
    Array<int> out(32 * 8);
    launch({dim3(1), dim3(32)}, shuffles, out.data());
    finish();
    unsigned multiples_of_3 = 0;
    for (int t = 0; t < 32; t += 3) multiples_of_3 |= 1u << t;
    for (int t = 0; t < 32; ++t) {
        const int up = t % 16 >= 2 ? t - 2 : t, down = t % 8 + 3 < 8 ? t + 3 : t;
        const int expected[8] = {15,          (t / 8 * 8 + (t + 1) % 8) * 3,
                                 (t ^ 9) * 3, up * 3,
                                 down * 3,    static_cast<int>(multiples_of_3),
                                 2,           t < 16 ? t ^ 1 : 16 + (t + 1) % 16};
        for (int i = 0; i < 8; ++i)
            check_equal(out[static_cast<size_t>(t * 8 + i)], expected[i], "shuffle",
                        static_cast<size_t>(t * 8 + i));
    }
}

struct ReduceShared {
    BlockScratch scratch;
};
__global__ void reduces(float* out) {
    auto& s = shared<ReduceShared>();
    const float v = static_cast<float>((threadIdx.x * 37 + 11) % 100);
    const float sum = block_reduce<SumOp>(v, s.scratch);
    const float most = block_reduce<MaxOp>(v, s.scratch);
    out[threadIdx.x * 2] = sum, out[threadIdx.x * 2 + 1] = most;
}
TEST(block_reductions) {
    for (unsigned threads : {32u, 96u, 1024u}) {
        Array<float> out(threads * 2);
        launch({dim3(1), dim3(threads), sizeof(ReduceShared)}, reduces, out.data());
        finish();
        float sum = 0, most = 0;
        for (unsigned i = 0; i < threads; ++i) {
            const float v = static_cast<float>((i * 37 + 11) % 100);
            sum += v, most = v > most ? v : most;
        }
        for (size_t i = 0; i < threads; ++i) {
            check_equal(out[2 * i], sum, "sum", i);
            check_equal(out[2 * i + 1], most, "maximum", i);
        }
    }
}

// ---- barriers ----------------------------------------------------------------------------------

// Warps 0 and 1 make numbers that warps 2 and 3 take, in turns: two barriers, neither of which the
// side that arrives waits at.
struct HandOverShared {
    int box[64];
};
__global__ void hand_over(int* out, int rounds) {
    auto& s = shared<HandOverShared>();
    const int t = static_cast<int>(threadIdx.x);
    constexpr int full = 1, empty = 2;
    for (int round = 0; round < rounds; ++round) {
        if (t < 64) {
            if (round) barrier_sync(empty, 128);
            s.box[t] = round * 1000 + t;
            barrier_arrive(full, 128);
        } else {
            barrier_sync(full, 128);
            out[round * 64 + t - 64] = s.box[127 - t];
            if (round + 1 < rounds) barrier_arrive(empty, 128);
        }
    }
}
TEST(named_barriers) {
    Array<int> out(5 * 64);
    launch({dim3(1), dim3(128), sizeof(HandOverShared)}, hand_over, out.data(), 5);
    finish();
    for (size_t i = 0; i < out.size(); ++i)
        check_equal(out[i], static_cast<double>(i / 64 * 1000 + 63 - i % 64), "number", i);
}

__global__ void indices(unsigned* out) {
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}
TEST(blocks_and_threads_have_three_dimensions) {
    const dim3 grid(3, 2, 4), block(5, 7, 2);  // 70 threads: the last warp is not whole
    Array<unsigned> out(24 * 70);
    launch({grid, block}, indices, out.data());
    finish();
    for (size_t i = 0; i < out.size(); ++i)
        check_equal(out[i], static_cast<double>(i / 70 * 1000 + i % 70), "index", i);
}

// ---- asynchronous copies -----------------------------------------------------------------------

struct CopyShared {
    uint32_t ring[3][128];
};
// Three stages of 512 bytes; every seventh chunk is left out and becomes 0.
__global__ void copy_ring(const uint32_t* in, uint32_t* out, int steps) {
    auto& s = shared<CopyShared>();
    const int t = static_cast<int>(threadIdx.x);
    const auto fetch = [&](int step) {
        if (step < steps)
            cp_async_16(shared_addr(&s.ring[step % 3][t * 4]), in + step * 128 + t * 4,
                        (step * 32 + t) % 7 != 0);
        cp_async_commit();
    };
    fetch(0), fetch(1);
    for (int step = 0; step < steps; ++step) {
        cp_async_wait<1>();
        __syncthreads();
        out[step * 128 + t * 4] = s.ring[step % 3][127 - t * 4];
        for (int i = 1; i < 4; ++i) out[step * 128 + t * 4 + i] = s.ring[step % 3][127 - t * 4 - i];
        fetch(step + 2);
    }
    cp_async_wait<0>();
}
TEST(cp_async_ring) {
    Array<uint32_t> in(128 * 6), out(128 * 6);
    for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<uint32_t>(i + 1);
    launch({dim3(1), dim3(32), sizeof(CopyShared)}, copy_ring, in.data(), out.data(), 6);
    finish();
    for (size_t i = 0; i < in.size(); ++i) {
        const size_t from = i / 128 * 128 + 127 - i % 128;
        check_equal(out[i], from / 4 % 7 ? static_cast<double>(from + 1) : 0, "word", i);
    }
}

struct SmallCopyShared {
    uint64_t eight[32];
    uint32_t four[32];
};
__global__ void small_copies(const char* in, uint64_t* out) {
    auto& s = shared<SmallCopyShared>();
    const int t = static_cast<int>(threadIdx.x);
    cp_async<8>(shared_addr(&s.eight[t]), in + t * 8);
    cp_async<4>(shared_addr(&s.four[t]), in + t * 4, t != 3);
    cp_async_commit();
    cp_async_wait<0>();
    __syncwarp();
    out[t] = s.eight[31 - t] + s.four[31 - t];
}
TEST(cp_async_of_4_and_8_bytes) {
    Array<uint64_t> in(32), out(32);
    for (size_t i = 0; i < 32; ++i) in[i] = (i + 1) << 34 | (i + 7);
    launch({dim3(1), dim3(32), sizeof(SmallCopyShared)}, small_copies,
           reinterpret_cast<const char*>(in.data()), out.data());
    finish();
    for (size_t t = 0; t < 32; ++t) {
        const size_t i = 31 - t;
        const uint64_t word = i == 3 ? 0 : i % 2 ? in[i / 2] >> 32 : in[i / 2] & 0xffffffff;
        check(out[t] == in[i] + word, "sum %zu is wrong", t);
    }
}

// ---- element types -----------------------------------------------------------------------------

template <class T>
__global__ void convert(float* widened, T* narrowed, const float* numbers, int count) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    widened[i] = to_float(T{static_cast<uint16_t>(i)});
    if (i < count) narrowed[i] = from_float<T>(numbers[i]);
}

// Every value, and every tie between neighbours: those go to the even one.
template <class T>
void check_conversions(uint16_t infinity) {
    Array<float> widened(0x10000), numbers(0x10000);
    Array<T> narrowed(0x10000);
    for (uint32_t i = 0; i < 0x10000; ++i) {
        const T here{static_cast<uint16_t>(i)}, next{static_cast<uint16_t>(i + 1)};
        const bool finite = (i & 0x7fff) < infinity;
        const bool last = (i & 0x7fff) == infinity - 1u;  // its tie is with what overflows
        const double above = last ? 2.0 * value_of(here) - value_of(T{static_cast<uint16_t>(i - 1)})
                                  : value_of(next);
        numbers[i] =
            finite ? static_cast<float>((double{value_of(here)} + above) / 2) : value_of(here);
    }
    launch({dim3(256), dim3(256)}, convert<T>, widened.data(), narrowed.data(), numbers.data(),
           0x10000);
    finish();
    for (uint32_t i = 0; i < 0x10000; ++i) {
        const T here{static_cast<uint16_t>(i)};
        const float value = value_of(here);
        check(std::memcmp(&widened[i], &value, 4) == 0 || std::isnan(value), "value of %04x", i);
        check(std::isnan(widened[i]) == std::isnan(value), "value of %04x is no number", i);
        const bool finite = (i & 0x7fff) < infinity;
        const uint32_t expected = finite ? i + (i & 1) : std::isnan(value) ? 0x7fff : i;
        check(narrowed[i].bits == expected, "%.9g became %04x, expected %04x", double{numbers[i]},
              unsigned{narrowed[i].bits}, expected);
    }
}
TEST(conversions_bfloat16) { check_conversions<bfloat16>(0x7f80); }
TEST(conversions_float16) { check_conversions<float16>(0x7c00); }

template <class T>
__global__ void pack_pairs(float* out) {
    const float x = static_cast<float>(threadIdx.x);
    const uint32_t pair = pack<T>(x, -2.0f * x);
    const float2 back = unpack<T>(pair);
    out[threadIdx.x * 3] = back.x, out[threadIdx.x * 3 + 1] = back.y;
    out[threadIdx.x * 3 + 2] = to_float(T{static_cast<uint16_t>(pair & 0xffff)});
}
template <class T>
void check_pairs() {
    Array<float> out(96);
    launch({dim3(1), dim3(32)}, pack_pairs<T>, out.data());
    finish();
    for (size_t t = 0; t < 32; ++t) {
        const double x = static_cast<double>(t);
        check_equal(out[3 * t], x, "low", t);
        check_equal(out[3 * t + 1], -2 * x, "high", t);
        check_equal(out[3 * t + 2], x, "low half", t);
    }
}
TEST(pairs) { check_pairs<bfloat16>(), check_pairs<float16>(); }

// ---- arithmetic --------------------------------------------------------------------------------

__global__ void functions(const float* in, float* out) {
    const float x = in[threadIdx.x];
    float* const y = out + threadIdx.x * 8;
    y[0] = exp2_approx(x), y[1] = expf(x), y[2] = tanhf(x), y[3] = erff(x);
    y[4] = fmaf(x, x, 1.0f), y[5] = rsqrtf(x * x + 1.0f), y[6] = log1pf(x * x),
    y[7] = fmaxf(x, NAN);
}
TEST(float_functions) {
    Array<float> in(64), out(64 * 8);
    for (size_t i = 0; i < 64; ++i) in[i] = (static_cast<float>(i) - 32) * 0.37f;
    launch({dim3(1), dim3(64)}, functions, in.data(), out.data());
    finish();
    for (size_t i = 0; i < 64; ++i) {
        const double x = in[i], one = x * x + 1;
        const double expected[8] = {exp2(x), exp(x),        tanh(x),      erf(x),
                                    one,     1 / sqrt(one), log1p(x * x), x};
        for (size_t j = 0; j < 8; ++j)
            check_near(out[8 * i + j], expected[j], std::fabs(expected[j]) * 1e-6, "function",
                       8 * i + j);
    }
}
__global__ void powers_of_two(float* out) {
    out[threadIdx.x] = exp2_approx(-static_cast<float>(threadIdx.x) - 100.0f);
}
TEST(exp2_approx_flushes_subnormal_results) {
    Array<float> out(64);
    launch({dim3(1), dim3(64)}, powers_of_two, out.data());
    finish();
    for (size_t i = 0; i < 64; ++i)
        check_equal(out[i], i <= 26 ? ldexp(1.0, -100 - static_cast<int>(i)) : 0, "power", i);
}

// ---- atomics -----------------------------------------------------------------------------------

struct Counters {
    int sum, most, least;
    unsigned taken, ticket, exchanged;
    float total;
};
// The last block to finish sees what all have added.
struct LastShared {
    bool last;
};
__global__ void count_up(Counters* c, int* seen_by_last) {
    auto& s = shared<LastShared>();
    const int t = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
    atomicAdd(&c->sum, t);
    atomicMax(&c->most, block * 100 + t);
    atomicMin(&c->least, block * 100 - t);
    atomicAdd(&c->total, 0.5f);
    if (t == 0) atomicCAS(&c->taken, 0u, 77u);
    if (t == 0) atomicExch(&c->exchanged, 5u);
    __threadfence();
    __syncthreads();
    if (t == 0) s.last = atomicInc(&c->ticket, gridDim.x - 1) == gridDim.x - 1;
    __syncthreads();
    if (s.last) seen_by_last[t] = *static_cast<volatile int*>(&c->sum);
}
TEST(atomics) {
    Array<Counters> c(1);
    Array<int> seen(64);
    c[0] = {};
    launch({dim3(9), dim3(64), sizeof(LastShared)}, count_up, c.data(), seen.data());
    finish();
    check_equal(c[0].sum, 9 * 64 * 63 / 2, "sum", 0);
    check_equal(c[0].most, 863, "most", 0);
    check_equal(c[0].least, -63, "least", 0);
    check_equal(c[0].taken, 77, "taken", 0);
    check_equal(c[0].exchanged, 5, "exchanged", 0);
    check_equal(c[0].ticket, 0, "ticket", 0);
    check_equal(c[0].total, 288, "total", 0);
    for (size_t i = 0; i < 64; ++i) check_equal(seen[i], c[0].sum, "seen", i);
}

int main(int argc, char** argv) { return run_tests(argc, argv); }
