// Runs kernels with one mistake each (the emulation only): `mistakes NAME ORDER..` prints a line
// an order, "ORDER right", "ORDER wrong" (results) or "ORDER caught: MESSAGE".
#include <map>

#include "cuda/emulation/control.h"
#include "mistakes.h"
#include "rules.h"

using namespace mistaken;
namespace emulation = plainformer::emulation;

// ---- runs: true when the results are right -----------------------------------------------------

template <class F>
bool equal(Array<float>& got, F expected) {
    for (size_t i = 0; i < got.size(); ++i)
        if (!(got[i] == expected(i))) return false;
    return true;
}

template <Mistake made>
bool run_sums() {
    Array<float> out(256);
    launch({dim3(1), dim3(256), sizeof(SumShared)}, sums<made>, out.data());
    return equal(out, [](size_t) { return 255.0f * 128; });
}

struct Operands {
    Array<bfloat16> a, b;
    int k;
    explicit Operands(int k)
        : a(static_cast<size_t>(64 * k)), b(static_cast<size_t>(64 * k)), k(k) {
        for (size_t i = 0; i < a.size(); ++i)
            a[i] = small_element<bfloat16>(), b[i] = small_element<bfloat16>();
    }
    float product(size_t row, size_t column) {
        const size_t K = static_cast<size_t>(k);
        float sum = 0;
        for (size_t i = 0; i < K; ++i)
            sum += value_of(a[row * K + i]) * value_of(b[column * K + i]);
        return sum;
    }
    bool right(Array<float>& d) {
        return equal(d, [&](size_t i) { return product(i / 64, i % 64); });
    }
};

template <Mistake made>
bool run_ring() {
    Operands o(192);
    Array<float> d(64 * 64);
    launch({dim3(1), dim3(128), sizeof(RingShared)}, ring<made>, o.a.data(), o.b.data(), d.data(),
           o.k);
    return o.right(d);
}

template <Mistake made>
bool run_transposed() {
    Array<bfloat16> a(256), b(128);
    for (size_t i = 0; i < 256; ++i) a[i] = small_element<bfloat16>();
    for (size_t i = 0; i < 128; ++i) b[i] = small_element<bfloat16>();
    Array<float> d(128);
    launch({dim3(1), dim3(32), sizeof(TransposedShared)}, transposed<made>, a.data(), b.data(),
           d.data());
    return equal(d, [&](size_t i) {
        float sum = 0;
        for (size_t k = 0; k < 16; ++k)
            sum += value_of(a[i / 8 * 16 + k]) * value_of(b[k * 8 + i % 8]);
        return sum;
    });
}

TensorMap map_of(Array<bfloat16>& x, int64_t columns) {
    const int64_t dim[] = {columns, static_cast<int64_t>(x.size()) / columns};
    const int64_t stride[] = {columns * 2};
    const int box[] = {64, 64};
    return make_tensor_map<bfloat16>(x.data(), 2, dim, stride, box, Swizzle::b128);
}

template <Mistake made>
bool run_products() {
    Operands o(64 * 7);
    Array<float> d(64 * 64);
    launch({dim3(1), dim3(256), sizeof(ProductShared)}, products<made>, map_of(o.a, o.k),
           map_of(o.b, o.k), d.data(), 7);
    return o.right(d);
}

template <Mistake made>
bool run_store_product() {
    Operands o(64);
    Array<bfloat16> c(64 * 64), d(64 * 64);
    for (size_t i = 0; i < c.size(); ++i) c[i].bits = i / 64 == i % 64 ? 0x3f80 : 0;  // identity
    launch({dim3(1), dim3(128), sizeof(StoreShared)}, store_product<made>, map_of(o.a, 64),
           map_of(o.b, 64), map_of(c, 64), map_of(d, 64));
    for (size_t i = 0; i < d.size(); ++i)
        if (!(value_of(d[i]) == to_float(from_float<bfloat16>(o.product(i / 64, i % 64)))))
            return false;
    return true;
}

template <Mistake made>
bool run_cluster_sum() {
    Array<float> x(256), y(1);
    for (size_t i = 0; i < 256; ++i) x[i] = static_cast<float>(i);
    launch({dim3(2), dim3(128), sizeof(ClusterShared), 2}, cluster_sum<made>, x.data(), y.data());
    return y[0] == 255 * 128;
}

template <Mistake made>
bool run_rules() {
    Array<float> y(64);
    launch({dim3(1), dim3(64), sizeof(RuleShared)}, rules<made>, y.data());
    return equal(y, [](size_t i) { return static_cast<float>(i); });
}

template <Mistake made>
bool run_accumulators() {
    Array<float> y(64);
    launch({dim3(1), dim3(128), sizeof(AccumulatorShared)}, accumulators<made>, y.data());
    return equal(y, [](size_t i) { return static_cast<float>(i); });
}

// ---- the table ---------------------------------------------------------------------------------

using Run = bool (*)();

const std::map<std::string, Run>& runs() {
#define RUN(kernel, mistake) {#mistake, run_##kernel<Mistake::mistake>}
#define RIGHT(kernel)                        \
    {                                        \
        #kernel, run_##kernel<Mistake::none> \
    }
    static const std::map<std::string, Run> all = {
        RIGHT(sums),
        RUN(sums, no_barrier_before_reading),
        RUN(sums, no_barrier_before_reuse),
        RIGHT(ring),
        RUN(ring, no_barrier_in_ring),
        RUN(ring, store_with_another_swizzle),
        RUN(ring, no_swizzle),
        RUN(ring, wait_for_one_copy_less),
        RIGHT(transposed),
        RUN(transposed, no_syncwarp_before_ldmatrix),
        RIGHT(products),
        RUN(products, parity_of_empty),
        RUN(products, parity_of_full),
        RUN(products, no_wait_for_empty),
        RUN(products, no_barrier_after_init),
        RUN(products, no_fence_after_init),
        RUN(products, released_before_wgmma_is_done),
        RUN(products, stride_of_descriptor),
        RIGHT(store_product),
        RUN(store_product, too_few_bytes_expected),
        RUN(store_product, no_wait_for_full),
        RUN(store_product, no_wgmma_fence),
        RUN(store_product, no_wgmma_wait),
        RUN(store_product, no_proxy_fence),
        RUN(store_product, no_store_wait),
        RIGHT(cluster_sum),
        RUN(cluster_sum, leaves_its_cluster_early),
        RIGHT(rules),
        RUN(rules, barrier_in_both_branches),
        RUN(rules, early_return),
        RUN(rules, partial_shuffle),
        RUN(rules, divergent_shuffles),
        RUN(rules, past_the_end),
        RUN(rules, one_past_the_end),
        RUN(rules, before_the_start),
        RUN(rules, never_written),
        RUN(rules, never_written_behind_fmaxf),
        RUN(rules, misaligned_copy),
        RUN(rules, warp_synchronous),
        RUN(rules, ldmatrix_past_the_end),
        RUN(rules, copy_overwritten_in_flight),
        RUN(rules, wait_that_nobody_ends),
        RUN(rules, deep_recursion),
        RIGHT(accumulators),
        RUN(accumulators, accumulator_read_early),
        RUN(accumulators, accumulator_written_in_flight),
    };
    return all;
}

std::string outcome(Run run) {
    try {
        return run() ? "right" : "wrong";
    } catch (const std::exception& error) {
        return std::string("caught: ") + error.what();
    }
}

int main(int argc, char** argv) {
    if (argc == 1)
        for (const auto& [name, run] : runs()) std::printf("%s\n", name.c_str());
    for (int i = 2; i < argc; ++i) {
        emulation::set_order(argv[i]);
        emulation::reset_stats();
        const std::string result = outcome(runs().at(argv[1]));
        const emulation::Stats s = emulation::stats();
        std::printf("%s %s\n", argv[i], result.c_str());
        if (s.matrix_replays)
            std::printf("%llu replays in %llu phases\n",
                        static_cast<unsigned long long>(s.matrix_replays),
                        static_cast<unsigned long long>(s.matrix_phases));
    }
}
