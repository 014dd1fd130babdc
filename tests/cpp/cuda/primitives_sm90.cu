// The primitives of sm_90a: mbarriers, TMA, stmatrix, wgmma against the layouts that CUTLASS
// publishes (cute/arch/mma_sm90_desc.hpp, cute/atom/mma_traits_sm90_gmma.hpp), clusters.
#include <array>

#include "testing.h"

using namespace testing;

// ---- mbarriers ---------------------------------------------------------------------------------

// Two stages handed from one warp to two others, six rounds of each: both parities come three
// times.
struct PipelineShared {
    int box[2][32];
    uint64_t full[2], empty[2];
};
__global__ void pipeline(int* out, int steps) {
    auto& s = shared<PipelineShared>();
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    if (threadIdx.x == 0) {
        for (int i = 0; i < 2; ++i) {
            mbarrier_init(shared_addr(&s.full[i]), 32);
            mbarrier_init(shared_addr(&s.empty[i]), 2);
        }
        mbarrier_init_fence();
    }
    __syncthreads();
    for (int step = 0; step < steps; ++step) {
        const int stage = step % 2;
        const unsigned parity = static_cast<unsigned>(step / 2) & 1;
        if (warp == 0) {
            mbarrier_wait(shared_addr(&s.empty[stage]), parity ^ 1);  // passes in the first round
            s.box[stage][lane] = step * 100 + lane;
            mbarrier_arrive(shared_addr(&s.full[stage]));
        } else {
            mbarrier_wait(shared_addr(&s.full[stage]), parity);
            out[(step * 2 + warp - 1) * 32 + lane] = s.box[stage][31 - lane];
            __syncwarp();
            if (elect_one()) mbarrier_arrive(shared_addr(&s.empty[stage]));
        }
    }
}
TEST(mbarrier_pipeline) {
    Array<int> out(12 * 64);
    launch({dim3(1), dim3(96), sizeof(PipelineShared)}, pipeline, out.data(), 12);
    finish();
    for (size_t i = 0; i < out.size(); ++i)
        check_equal(out[i], static_cast<double>(i / 64 * 100 + 31 - i % 32), "number", i);
}

// ---- TMA ---------------------------------------------------------------------------------------

constexpr int tile_bytes = 32 << 10;

struct alignas(1024) TileShared {
    unsigned char tile[tile_bytes];
    uint64_t full;
};
struct Corner {
    int x, y, z, w;
};

__device__ __forceinline__ void start_load(uint32_t dst, const TensorMap& map, uint32_t bar,
                                           int rank, Corner c) {
    if (rank == 2) tma_load_2d(dst, map, bar, c.x, c.y);
    if (rank == 3) tma_load_3d(dst, map, bar, c.x, c.y, c.z);
    if (rank == 4) tma_load_4d(dst, map, bar, c.x, c.y, c.z, c.w);
}

__global__ void load_box(const __grid_constant__ TensorMap map, int rank, Corner corner, int bytes,
                         unsigned char* out) {
    auto& s = shared<TileShared>();
    const uint32_t full = shared_addr(&s.full);
    if (threadIdx.x == 0) {
        tma_prefetch(map);
        mbarrier_init(full, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect_tx(full, bytes);
        start_load(shared_addr(s.tile), map, full, rank, corner);
    }
    __syncthreads();
    mbarrier_wait(full, 0);
    for (int i = static_cast<int>(threadIdx.x); i < bytes; i += 64) out[i] = s.tile[i];
}

__global__ void store_box(const __grid_constant__ TensorMap map, int rank, Corner c, int bytes,
                          const unsigned char* in) {
    auto& s = shared<TileShared>();
    for (int i = static_cast<int>(threadIdx.x); i < bytes; i += 64) s.tile[i] = in[i];
    fence_proxy_async();
    __syncthreads();
    if (threadIdx.x == 0) {
        const uint32_t src = shared_addr(s.tile);
        if (rank == 2) tma_store_2d(map, src, c.x, c.y);
        if (rank == 3) tma_store_3d(map, src, c.x, c.y, c.z);
        if (rank == 4) tma_store_4d(map, src, c.x, c.y, c.z, c.w);
        tma_store_commit();
        tma_store_wait<0>();
    }
}

// An array and a box of it that hangs over the array's edges.
struct BoxCase {
    int rank;
    std::array<int64_t, 4> dim;
    std::array<int, 4> box, corner;
    Swizzle swizzle;
};

// What is where: the array's word (or -1 outside) and the byte of the tile, for each of the box's.
template <class T, class F>
void for_words(const BoxCase& b, F f) {
    int count = 1;
    for (int i = 0; i < b.rank; ++i) count *= b.box[static_cast<size_t>(i)];
    for (int n = 0; n < count; ++n) {
        int64_t index = 0, stride = 1;
        bool inside = true;
        for (size_t i = 0, rest = static_cast<size_t>(n); i < static_cast<size_t>(b.rank); ++i) {
            const int64_t at = b.corner[i] + static_cast<int64_t>(rest) % b.box[i];
            rest /= static_cast<size_t>(b.box[i]);
            inside = inside && at >= 0 && at < b.dim[i];
            index += at * stride;
            stride *= b.dim[i];
        }
        const uint32_t offset = static_cast<uint32_t>(n) * sizeof(T);
        f(inside ? index : -1, cute_swizzle(static_cast<int>(b.swizzle), offset));
    }
}

template <class T>
TensorMap map_of(const BoxCase& b, T* data) {
    int64_t strides[3], bytes = sizeof(T);
    for (size_t i = 0; i + 1 < static_cast<size_t>(b.rank); ++i)
        strides[i] = bytes = bytes * b.dim[i];
    return make_tensor_map<T>(data, b.rank, b.dim.data(), strides, b.box.data(), b.swizzle);
}
inline Corner corner_of(const BoxCase& b) {
    return {b.corner[0], b.corner[1], b.corner[2], b.corner[3]};
}
inline size_t volume(const BoxCase& b, bool box) {
    size_t n = 1;
    for (size_t i = 0; i < static_cast<size_t>(b.rank); ++i)
        n *= static_cast<size_t>(box ? b.box[i] : b.dim[i]);
    return n;
}

template <class T>
void check_load(const BoxCase& b) {
    Array<T> data(volume(b, false));
    for (size_t i = 0; i < data.size(); ++i) {
        const uint32_t word = static_cast<uint32_t>(i * 7919 + 1);
        std::memcpy(static_cast<void*>(&data[i]), &word, sizeof(T));
    }
    const int bytes = static_cast<int>(volume(b, true) * sizeof(T));
    Array<unsigned char> out(static_cast<size_t>(bytes));
    launch({dim3(1), dim3(64), sizeof(TileShared)}, load_box, map_of(b, data.data()), b.rank,
           corner_of(b), bytes, out.data());
    finish();
    const T zero{};
    for_words<T>(b, [&](int64_t index, uint32_t at) {
        const T& expected = index < 0 ? zero : data[static_cast<size_t>(index)];
        check(std::memcmp(&out[at], &expected, sizeof(T)) == 0, "word %lld is not at byte %u",
              static_cast<long long>(index), at);
    });
}

template <class T>
void check_store(const BoxCase& b) {
    Array<T> data(volume(b, false));
    std::vector<T> expected(data.data(), data.data() + data.size());
    const int bytes = static_cast<int>(volume(b, true) * sizeof(T));
    Array<unsigned char> in(static_cast<size_t>(bytes));
    for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<unsigned char>(i * 31 % 251);
    launch({dim3(1), dim3(64), sizeof(TileShared)}, store_box, map_of(b, data.data()), b.rank,
           corner_of(b), bytes, in.data());
    finish();
    for_words<T>(b, [&](int64_t index, uint32_t at) {
        if (index >= 0)
            std::memcpy(static_cast<void*>(&expected[static_cast<size_t>(index)]), &in[at],
                        sizeof(T));
    });
    for (size_t i = 0; i < data.size(); ++i)
        check(std::memcmp(&data[i], &expected[i], sizeof(T)) == 0, "word %zu", i);
}

// Inner boxes fill the swizzle's span; corners lie inside, across the far edges, and before 0.
template <class T>
std::vector<BoxCase> boxes() {
    const int e = static_cast<int>(sizeof(T));
    std::vector<BoxCase> all;
    for (Swizzle swizzle : {Swizzle::none, Swizzle::b32, Swizzle::b64, Swizzle::b128}) {
        const int inner =
            (swizzle == Swizzle::none ? 48 : static_cast<int>(swizzle_span(swizzle))) / e;
        all.push_back({2, {160 / e, 21, 1, 1}, {inner, 16, 1, 1}, {32 / e, 3, 0, 0}, swizzle});
        all.push_back({2, {160 / e, 21, 1, 1}, {inner, 16, 1, 1}, {144 / e, 13, 0, 0}, swizzle});
        all.push_back({2, {160 / e, 21, 1, 1}, {inner, 16, 1, 1}, {-16 / e, -5, 0, 0}, swizzle});
        all.push_back({3, {96 / e, 6, 5, 1}, {inner, 4, 4, 1}, {0, 3, 2, 0}, swizzle});
        all.push_back({4, {48 / e, 3, 5, 2}, {inner, 2, 4, 2}, {0, 1, 3, 1}, swizzle});
    }
    return all;
}
TEST(tma_load) {
    for (const BoxCase& b : boxes<bfloat16>()) check_load<bfloat16>(b);
    for (const BoxCase& b : boxes<float>()) check_load<float>(b);
}
TEST(tma_store) {
    for (const BoxCase& b : boxes<float16>()) check_store<float16>(b);
    for (const BoxCase& b : boxes<float>()) check_store<float>(b);
}

// Each of two blocks fetches its half of a tile for both.
__global__ void multicast_halves(const __grid_constant__ TensorMap map, int rank,
                                 unsigned char* out) {
    auto& s = shared<TileShared>();
    const uint32_t full = shared_addr(&s.full);
    const int part = static_cast<int>(cluster_rank());
    if (threadIdx.x == 0) {
        mbarrier_init(full, 1);
        mbarrier_init_fence();
    }
    cluster_arrive();
    cluster_wait();
    if (threadIdx.x == 0) {
        mbarrier_arrive_expect_tx(full, 2048);
        const uint32_t dst = shared_addr(s.tile) + static_cast<uint32_t>(part) * 1024;
        if (rank == 2) tma_load_2d_multicast(dst, map, full, 0, part * 8, 3);
        if (rank == 3) tma_load_3d_multicast(dst, map, full, 0, part * 8, 0, 3);
        if (rank == 4) tma_load_4d_multicast(dst, map, full, 0, part * 8, 0, 0, 3);
    }
    mbarrier_wait(full, 0);
    for (int i = static_cast<int>(threadIdx.x); i < 2048; i += 64)
        out[static_cast<int>(blockIdx.x) * 2048 + i] = s.tile[i];
    cluster_arrive();
    cluster_wait();
}
TEST(tma_multicast) {
    for (int rank : {2, 3, 4}) {
        const BoxCase b{rank, {64, 16, 1, 1}, {64, 8, 1, 1}, {}, Swizzle::b128};
        Array<bfloat16> data(64 * 16);
        for (size_t i = 0; i < data.size(); ++i) data[i].bits = static_cast<uint16_t>(i);
        Array<unsigned char> out(2 * 2048);
        launch({dim3(2), dim3(64), sizeof(TileShared), 2}, multicast_halves, map_of(b, data.data()),
               rank, out.data());
        finish();
        for (size_t block = 0; block < 2; ++block)
            for (uint32_t i = 0; i < 1024; ++i) {
                uint16_t got;
                std::memcpy(&got, &out[block * 2048 + cute_swizzle(3, i * 2)], 2);
                check_equal(got, i, "element", i);
            }
    }
}

// ---- stmatrix: the layouts of ldmatrix the other way around ------------------------------------

struct MatrixShared {
    uint16_t rows[32][24];
};
template <int X, bool transposed>
__global__ void one_stmatrix(uint16_t* out) {
    auto& s = shared<MatrixShared>();
    const int t = static_cast<int>(threadIdx.x);
    uint32_t r[X];
    for (int i = 0; i < X; ++i) {
        const uint32_t first = static_cast<uint32_t>((t * X + i) * 2);
        r[i] = first | (first + 1) << 16;
    }
    if constexpr (transposed)
        stmatrix_trans(shared_addr(s.rows[t]), r);
    else
        stmatrix(shared_addr(s.rows[t]), r);
    __syncwarp();
    for (int i = 0; i < 8; ++i) out[t * 8 + i] = s.rows[t][i];
}
template <int X, bool transposed>
void check_stmatrix() {
    using LoadThread = Layout<Mode<32, 32>>;
    using LoadBit = Layout<Mode<32, 1>, Mode<4, 1024>>;
    using TransposedThread = Layout<Mode<4, 256>, Mode<8, 16>>;
    using TransposedBit = Layout<Mode<16, 1>, Mode<2, 128>, Mode<4, 1024>>;
    Array<uint16_t> out(256);
    launch({dim3(1), dim3(32), sizeof(MatrixShared)}, one_stmatrix<X, transposed>, out.data());
    finish();
    for (int t = 0; t < 32; ++t)
        for (int half = 0; half < 2 * X; ++half) {
            const int bit = transposed ? TransposedThread::at(t) + TransposedBit::at(16 * half)
                                       : LoadThread::at(t) + LoadBit::at(16 * half);
            check_equal(out[static_cast<size_t>(bit / 16)], t * X * 2 + half, "element",
                        static_cast<size_t>(bit / 16));
        }
}
TEST(stmatrix_layouts) {
    check_stmatrix<1, false>(), check_stmatrix<2, false>(), check_stmatrix<4, false>();
    check_stmatrix<1, true>(), check_stmatrix<2, true>(), check_stmatrix<4, true>();
}

// ---- wgmma -------------------------------------------------------------------------------------

// Where an operand lies: the canonical layouts of mma_sm90_desc.hpp, in units of 16 bytes, W of
// which fill a swizzled row. c counts chunks of 8 elements along the axis that runs fastest.
//   K-major, none:     ((8,n),2):((1,SBO),LBO)         K-major, swizzled:  ((8,n),2):((W,SBO),1)
//   MN-major, none:    ((1,n),(8,k)):((X,SBO),(1,LBO)) MN-major, swizzled:
//   ((W,n),(8,k)):((1,LBO),(W,SBO))
struct OperandLayout {
    Swizzle swizzle;
    bool mn_major;
    int rows, lead, stride;  // LBO and SBO in units

    int width() const { return static_cast<int>(swizzle_span(swizzle)) / 16; }
    int unit(int row, int k) const {
        const int w = width();
        if (!mn_major) {
            const int c = k / 8;
            return swizzle == Swizzle::none ? row % 8 + row / 8 * stride + c * lead
                                            : row % 8 * w + row / 8 * stride + c;
        }
        const int c = row / 8;
        return swizzle == Swizzle::none ? c * stride + k % 8 + k / 8 * lead
                                        : c % w + c / w * lead + k % 8 * w + k / 8 * stride;
    }
    uint32_t byte(int row, int k) const {
        const int within = mn_major ? row % 8 : k % 8;
        return cute_swizzle(static_cast<int>(swizzle),
                            static_cast<uint32_t>(unit(row, k) * 16 + within * 2));
    }
};
// Dense, with room between the parts so that no two numbers are the same by chance.
inline OperandLayout operand(Swizzle swizzle, bool mn_major, int rows) {
    const int w = static_cast<int>(swizzle_span(swizzle)) / 16;
    if (swizzle == Swizzle::none)
        return mn_major ? OperandLayout{swizzle, true, rows, 8, 16}
                        : OperandLayout{swizzle, false, rows, rows + 8, 8};
    return mn_major ? OperandLayout{swizzle, true, rows, 16 * w, 8 * w}
                    : OperandLayout{swizzle, false, rows, 1, 8 * w};
}

struct alignas(1024) WgmmaShared {
    unsigned char a[16 << 10], b[64 << 10];
};
struct WgmmaInputs {
    const unsigned char *a, *b;
    uint32_t a_at, b_at;  // bytes from the start of the tile
    OperandLayout a_layout, b_layout;
};

// SM90_64xNx16: thread and value to m + 64 n (accumulators) and m + 64 k (A in registers).
using GroupThread = Layout<Mode<4, 128>, Mode<8, 1>, Mode<4, 16>>;
template <int N>
using AccumulatorValue = Layout<Mode<2, 64>, Mode<2, 8>, Mode<N / 8, 512>>;
using RegisterValue = Layout<Mode<2, 64>, Mode<2, 8>, Mode<2, 512>>;

template <class T, int N, int TA, int TB, bool registers>
__global__ void __launch_bounds__(128)
    one_wgmma(WgmmaInputs in, const T* a_matrix, const float* c, float* d, bool accumulate) {
    auto& s = shared<WgmmaShared>();
    const int t = static_cast<int>(threadIdx.x);
    for (int i = t; i < static_cast<int>(sizeof s.a); i += 128) s.a[i] = in.a[i];
    for (int i = t; i < static_cast<int>(sizeof s.b); i += 128) s.b[i] = in.b[i];
    fence_proxy_async();
    __syncthreads();
    float sum[N / 2];
#pragma unroll
    for (int v = 0; v < N / 2; ++v) sum[v] = c[GroupThread::at(t) + AccumulatorValue<N>::at(v)];
    const auto desc = [&](const unsigned char* tile, uint32_t at, const OperandLayout& l) {
        return matrix_desc(shared_addr(tile) + at, static_cast<uint32_t>(l.lead * 16),
                           static_cast<uint32_t>(l.stride * 16), l.swizzle);
    };
    const uint64_t b = desc(s.b, in.b_at, in.b_layout);
    uint32_t a[4] = {};
#pragma unroll
    for (int v = 0; v < 8; ++v)
        a[v / 2] |= uint32_t{a_matrix[GroupThread::at(t) + RegisterValue::at(v)].bits}
                    << v % 2 * 16;
    wgmma_fence();
    if constexpr (registers)
        wgmma<T, TB>(sum, a, b, accumulate);
    else
        wgmma<T, TA, TB>(sum, desc(s.a, in.a_at, in.a_layout), b, accumulate);
    wgmma_commit();
    wgmma_wait<0>(sum);
#pragma unroll
    for (int v = 0; v < N / 2; ++v) d[GroupThread::at(t) + AccumulatorValue<N>::at(v)] = sum[v];
}

template <class T, int N, int TA, int TB, bool registers = false>
void check_wgmma(Swizzle swizzle, bool accumulate, int k_step = 0) {
    const OperandLayout la = operand(swizzle, TA, 64), lb = operand(swizzle, TB, N);
    const int first = k_step * 16;  // K-major atoms hold more than one step of K
    Array<T> a(64 * 16), b(N * 16);
    Array<float> c(64 * N), d(64 * N);
    Array<unsigned char> a_tile(sizeof(WgmmaShared::a)), b_tile(sizeof(WgmmaShared::b));
    const auto place = [&](auto& matrix, auto& tile, const OperandLayout& l, int rows) {
        for (int row = 0; row < rows; ++row)
            for (int k = 0; k < 16; ++k) {
                T& x = matrix[static_cast<size_t>(row + rows * k)];
                x = small_element<T>();
                std::memcpy(&tile[l.byte(row, first + k)], &x, sizeof x);
            }
    };
    place(a, a_tile, la, 64);
    place(b, b_tile, lb, N);
    for (size_t i = 0; i < c.size(); ++i) c[i] = small_number();
    const uint32_t at = static_cast<uint32_t>(k_step) * 32;
    launch({dim3(1), dim3(128), sizeof(WgmmaShared)}, one_wgmma<T, N, TA, TB, registers>,
           WgmmaInputs{a_tile.data(), b_tile.data(), at, at, la, lb}, a.data(), c.data(), d.data(),
           accumulate);
    finish();
    for (size_t m = 0; m < 64; ++m)
        for (size_t n = 0; n < N; ++n) {
            float sum = accumulate ? c[m + 64 * n] : 0;
            for (size_t k = 0; k < 16; ++k) sum += value_of(a[m + 64 * k]) * value_of(b[n + N * k]);
            check_equal(d[m + 64 * n], sum, "d", m + 64 * n);
        }
}

constexpr Swizzle swizzles[] = {Swizzle::none, Swizzle::b32, Swizzle::b64, Swizzle::b128};

template <class T, int N>
void check_width() {
    check_wgmma<T, N, 0, 0>(Swizzle::b128, true);
    check_wgmma<T, N, 0, 0>(Swizzle::b128, false);
    check_wgmma<T, N, 0, 1>(Swizzle::b128, true);
    check_wgmma<T, N, 0, 0, true>(Swizzle::b128, true);
    check_wgmma<T, N, 0, 1, true>(Swizzle::b128, true);
}
TEST(wgmma_n64) { check_width<bfloat16, 64>(), check_width<float16, 64>(); }
TEST(wgmma_n96) {  // 96 rows are no whole number of 128-byte spans: K-major alone
    check_wgmma<bfloat16, 96, 0, 0>(Swizzle::b128, true);
    check_wgmma<float16, 96, 0, 0, true>(Swizzle::b128, true);
    check_wgmma<bfloat16, 96, 0, 1>(Swizzle::b64, true);
}
TEST(wgmma_n128) { check_width<bfloat16, 128>(), check_width<float16, 128>(); }
TEST(wgmma_n192) { check_width<bfloat16, 192>(), check_width<float16, 192>(); }
TEST(wgmma_n256) { check_width<bfloat16, 256>(), check_width<float16, 256>(); }
TEST(wgmma_majors_and_swizzles) {
    for (Swizzle swizzle : swizzles) {
        check_wgmma<bfloat16, 64, 0, 0>(swizzle, true);
        check_wgmma<bfloat16, 64, 0, 1>(swizzle, true);
        check_wgmma<bfloat16, 64, 1, 0>(swizzle, true);
        check_wgmma<bfloat16, 64, 1, 1>(swizzle, true);
    }
}
TEST(wgmma_steps_along_k_inside_a_swizzled_row) {
    for (int step = 0; step < 4; ++step) check_wgmma<bfloat16, 64, 0, 0>(Swizzle::b128, true, step);
    for (int step = 0; step < 2; ++step) check_wgmma<bfloat16, 64, 0, 0>(Swizzle::b64, true, step);
}

// Two accumulators in flight; the first is used while the second is not done.
__global__ void __launch_bounds__(128)
    two_products(const unsigned char* tiles, OperandLayout layout, float* d) {
    auto& s = shared<WgmmaShared>();
    const int t = static_cast<int>(threadIdx.x);
    for (int i = t; i < 8192; i += 128) s.a[i] = tiles[i], s.b[i] = tiles[8192 + i];
    fence_proxy_async();
    __syncthreads();
    const auto desc = [&](const unsigned char* tile) {
        return matrix_desc(shared_addr(tile), 16, static_cast<uint32_t>(layout.stride * 16));
    };
    float one[32], two[32];
#pragma unroll
    for (int v = 0; v < 32; ++v) one[v] = two[v] = 0;
    wgmma_fence();
    wgmma<bfloat16>(one, desc(s.a), desc(s.b), true);
    wgmma_commit();
    wgmma<bfloat16>(two, desc(s.b), desc(s.a), true);
    wgmma<bfloat16>(two, desc(s.b), desc(s.a), true);
    wgmma_commit();
    wgmma_wait<1>(one);
#pragma unroll
    for (int v = 0; v < 32; ++v) d[GroupThread::at(t) + AccumulatorValue<64>::at(v)] = one[v];
    wgmma_wait<0>(two);
#pragma unroll
    for (int v = 0; v < 32; ++v)
        d[4096 + GroupThread::at(t) + AccumulatorValue<64>::at(v)] = two[v];
}
TEST(wgmma_groups_in_flight) {
    const OperandLayout l = operand(Swizzle::b128, false, 64);
    Array<unsigned char> tiles(2 * 8192);
    std::vector<float> a(64 * 16), b(64 * 16);
    for (int tile = 0; tile < 2; ++tile)
        for (int row = 0; row < 64; ++row)
            for (int k = 0; k < 16; ++k) {
                const bfloat16 x = small_element<bfloat16>();
                (tile ? b : a)[static_cast<size_t>(row + 64 * k)] = value_of(x);
                std::memcpy(&tiles[static_cast<size_t>(tile) * 8192 + l.byte(row, k)], &x, 2);
            }
    Array<float> d(2 * 4096);
    launch({dim3(1), dim3(128), sizeof(WgmmaShared)}, two_products, tiles.data(), l, d.data());
    finish();
    for (size_t m = 0; m < 64; ++m)
        for (size_t n = 0; n < 64; ++n) {
            float sum = 0;
            for (size_t k = 0; k < 16; ++k) sum += a[m + 64 * k] * b[n + 64 * k];
            check_equal(d[m + 64 * n], sum, "one", m + 64 * n);
            check_equal(d[4096 + n + 64 * m], 2 * sum, "two", n + 64 * m);
        }
}

// ---- clusters ----------------------------------------------------------------------------------

// Every block writes its number into all, reads what its neighbour got, and signals the next one's
// mbarrier.
struct ClusterShared {
    int from[4];
    int sum;
    uint64_t turn;
};
__global__ void exchange_in_cluster(int* out) {
    auto& s = shared<ClusterShared>();
    const unsigned rank = cluster_rank(), next = (rank + 1) % 4;
    if (threadIdx.x == 0) {
        mbarrier_init(shared_addr(&s.turn), 2);
        mbarrier_init_fence();
    }
    cluster_arrive();
    cluster_wait();
    if (threadIdx.x < 4) cluster_map(s.from, threadIdx.x)[rank] = static_cast<int>(blockIdx.x) * 10;
    cluster_arrive();
    cluster_wait();
    if (threadIdx.x == 0) s.sum = s.from[0] + s.from[1] + s.from[2] + s.from[3];
    cluster_arrive();
    cluster_wait();
    if (threadIdx.x % 32 == 0) mbarrier_arrive_cluster(shared_addr(&s.turn), next);
    mbarrier_wait(shared_addr(&s.turn), 0);
    out[blockIdx.x * 64 + threadIdx.x] = *cluster_map(&s.sum, next);
    cluster_arrive();
    cluster_wait();
}
TEST(cluster_memory_and_barriers) {
    Array<int> out(8 * 64);
    launch({dim3(8), dim3(64), sizeof(ClusterShared), 4}, exchange_in_cluster, out.data());
    finish();
    for (size_t i = 0; i < out.size(); ++i) check_equal(out[i], i / 64 < 4 ? 60 : 220, "sum", i);
}

// ---- registers ---------------------------------------------------------------------------------

__global__ void __launch_bounds__(256, 1) share_registers(int* out) {
    if (threadIdx.x < 128)
        setmaxnreg_dec<40>();
    else
        setmaxnreg_inc<232>();
    if (elect_one()) out[threadIdx.x / 32] = static_cast<int>(threadIdx.x / 32);
}
TEST(one_lane_is_elected) {
    Array<int> out(8);
    launch({dim3(1), dim3(256)}, share_registers, out.data());
    finish();
    for (size_t i = 0; i < 8; ++i) check_equal(out[i], static_cast<double>(i), "warp", i);
}

int main(int argc, char** argv) { return run_tests(argc, argv); }
