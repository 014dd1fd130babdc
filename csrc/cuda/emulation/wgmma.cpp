// Warpgroup products: operands are read, and accumulators appear, when the warpgroup waits.
#include <algorithm>
#include <cstring>

#include "cluster.h"
#include "multiply.h"
#include "primitives.h"

namespace plainformer::emulation {

char* proxy_base(Block& block);  // tma.cpp

constexpr int tile_rows = 64, tile_k = 16;

static int row_of(int thread, int i) {
    return thread / 32 * 16 + thread % 32 / 4 + (i >> 1 & 1) * 8;
}
static int column_of(int thread, int i) { return i / 4 * 8 + thread % 4 * 2 + (i & 1); }

static Warpgroup& warpgroup() {
    Warpgroup& w = current_block().warpgroups[static_cast<size_t>(self->warp / 4)];
    w.used = true;
    return w;
}
static int thread_of_group() { return self->warp % 4 * lanes_of_warp + self->lane; }

// ---- issue -------------------------------------------------------------------------------------

// A thread's accumulator, which products in flight may share. Its registers are NaN until the
// wait, so that reading them early shows.
static constexpr uint32_t in_flight = 0xffffffff;

static WgmmaAccumulator* find_accumulator(Warpgroup& w, const float* d, int thread) {
    for (auto& a : w.accumulators)
        if (a->registers[static_cast<size_t>(thread)] == d) return a.get();
    return nullptr;
}

static void take_registers(WgmmaAccumulator& a, float* d, int thread, Site site) {
    float*& mine = a.registers[static_cast<size_t>(thread)];
    const bool first = mine == nullptr;
    if (!first && mine != d)
        fail(site, "wgmma: threads of a warpgroup name different accumulators");
    mine = d;
    for (int i = 0; i < a.n / 2; ++i) {
        if (!first && __float_as_uint(d[i]) != in_flight)
            fail(site, "accumulator registers were written while wgmma is in flight");
        if (!first) continue;
        a.value[static_cast<size_t>(row_of(thread, i) * a.n + column_of(thread, i))] = d[i];
        d[i] = __uint_as_float(in_flight);
    }
}

static WgmmaOperation& new_operation(Warpgroup& w, float* d, int thread, const WgmmaShape& shape,
                                     uint64_t a, uint64_t b, Site site) {
    WgmmaAccumulator* accumulator = find_accumulator(w, d, thread);
    if (!accumulator) {
        w.accumulators.push_back(std::make_unique<WgmmaAccumulator>());
        accumulator = w.accumulators.back().get();
        accumulator->n = shape.n;
        accumulator->value.resize(static_cast<size_t>(tile_rows * shape.n));
    }
    if (accumulator->n != shape.n) fail(site, "wgmma: one accumulator with two widths");
    ++accumulator->in_flight;
    WgmmaOperation& o =
        w.operations.emplace_back(WgmmaOperation{shape, a, b, site, accumulator, {}, 0});
    if (shape.a_in_registers) o.a_registers.resize(4 * threads_of_warpgroup);
    return o;
}

static void check_same(const WgmmaOperation& o, const WgmmaShape& shape, uint64_t a, uint64_t b,
                       Site site) {
    if (o.site.line() != site.line() || o.site.column() != site.column())
        fail(site, "divergent wgmma: here, but at line %u for other threads", o.site.line());
    if (o.shape != shape || o.a != a || o.b != b)
        fail(site, "wgmma: threads of a warpgroup pass different descriptors or shapes");
}

void wgmma(float* d, const WgmmaShape& shape, uint64_t a, const uint32_t* a_registers, uint64_t b,
           Site site) {
    Quiet quiet;
    require_capability(90, "wgmma", site);
    Fiber& f = current_fiber();
    Warpgroup& w = warpgroup();
    const int thread = thread_of_group();
    if (!f.wgmma_fenced) fail(site, "wgmma without wgmma_fence since the start or the last wait");
    const size_t index = f.wgmma_issued++ - w.first_operation;
    WgmmaOperation& o = index < w.operations.size()
                            ? w.operations[index]
                            : new_operation(w, d, thread, shape, a, b, site);
    check_same(o, shape, a, b, site);
    take_registers(*o.accumulator, d, thread, site);
    if (a_registers) std::copy_n(a_registers, 4, o.a_registers.begin() + thread * 4);
    ++o.issued;
}

void wgmma_fence(Site) { current_fiber().wgmma_fenced = true; }

void wgmma_commit(Site site) {
    Quiet quiet;
    Fiber& f = current_fiber();
    Warpgroup& w = warpgroup();
    const size_t index = f.wgmma_committed++ - w.first_group;
    if (index == w.groups.size())
        w.groups.push_back(f.wgmma_issued);
    else if (w.groups[index] != f.wgmma_issued)
        fail(site, "divergent wgmma: threads of a warpgroup commit different operations");
}

// ---- operands ----------------------------------------------------------------------------------

template <typename T>
static void widen_chunk(const char* from, float* to, int step) {
    uint16_t bits[8];
    std::memcpy(bits, from, sizeof bits);
    for (int i = 0; i < 8; ++i) to[i * step] = cuda::to_float(T{bits[i]});
}

struct Descriptor {
    uint32_t base, lead, stride;
    Swizzle swizzle;

    explicit Descriptor(uint64_t d)
        : base((d & 0x3fff) << 4),
          lead((d >> 16 & 0x3fff) << 4),
          stride((d >> 32 & 0x3fff) << 4),
          swizzle(d >> 62 ? static_cast<Swizzle>(4 - (d >> 62)) : Swizzle::none) {}

    // Of the 16 bytes that hold row r at k 8 c .. 8 c + 7.
    uint32_t k_major(int r, int c) const {
        const uint32_t row = static_cast<uint32_t>(r), chunk = static_cast<uint32_t>(c);
        const uint32_t to_chunk = swizzle == Swizzle::none ? chunk * lead : chunk * 16;
        return base + row / 8 * stride + row % 8 * swizzle_span(swizzle) + to_chunk;
    }
    // Of the 16 bytes that hold rows 8 c .. 8 c + 7 at k.
    uint32_t mn_major(int c, int k) const {
        const uint32_t chunk = static_cast<uint32_t>(c), depth = static_cast<uint32_t>(k);
        if (swizzle == Swizzle::none)
            return base + chunk * stride + depth / 8 * lead + depth % 8 * 16;
        const uint32_t span = swizzle_span(swizzle), chunks = span / 16;
        return base + chunk / chunks * lead + chunk % chunks * 16 + depth / 8 * stride +
               depth % 8 * span;
    }
};

static const char* chunk_at(Block& block, uint32_t address, const Descriptor& d, Site site) {
    const uint32_t at = swizzled(address, d.swizzle);
    if (at < shared_start || at - shared_start + 16 > block.bytes)
        fail(site, "wgmma: the descriptor reaches out of shared memory");
    return proxy_base(block) + (at - shared_start);
}

// An operand of `rows` rows as out (16, rows).
template <typename T>
static void read_operand(Block& block, uint64_t descriptor, bool mn_major, int rows, float* out,
                         Site site) {
    const Descriptor d(descriptor);
    if (mn_major) {
        for (int k = 0; k < tile_k; ++k)
            for (int c = 0; c < rows / 8; ++c)
                widen_chunk<T>(chunk_at(block, d.mn_major(c, k), d, site), out + k * rows + c * 8,
                               1);
        return;
    }
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < 2; ++c)
            widen_chunk<T>(chunk_at(block, d.k_major(r, c), d, site), out + c * 8 * rows + r, rows);
}

template <typename T>
static void read_registers(const std::vector<uint32_t>& registers, float* out) {
    for (int t = 0; t < threads_of_warpgroup; ++t)
        for (int i = 0; i < 4; ++i) {
            const float2 pair = cuda::unpack<T>(registers[static_cast<size_t>(t * 4 + i)]);
            const int row = t / 32 * 16 + t % 32 / 4 + (i & 1) * 8;
            const int k = t % 4 * 2 + (i >> 1) * 8;
            out[k * tile_rows + row] = pair.x;
            out[(k + 1) * tile_rows + row] = pair.y;
        }
}

// ---- products ----------------------------------------------------------------------------------

template <typename T>
static void compute(Block& block, const WgmmaOperation& o) {
    // Not arrays: with the runtime's own thread-local names a loaded module has little room for
    // such.
    static thread_local std::vector<float> a_memory(tile_k * tile_rows), b_memory(tile_k * 256);
    float *const a = a_memory.data(), *const b = b_memory.data();
    if (o.shape.a_in_registers)
        read_registers<T>(o.a_registers, a);
    else
        read_operand<T>(block, o.a, o.shape.a_transposed, tile_rows, a, o.site);
    read_operand<T>(block, o.b, o.shape.b_transposed, o.shape.n, b, o.site);
    std::vector<float>& d = o.accumulator->value;
    if (!o.shape.accumulate) std::fill(d.begin(), d.end(), 0.0f);
    multiply(d.data(), a, b, tile_rows, o.shape.n);
}

static void retire_first(Warpgroup& w, Site site) {
    const WgmmaOperation& o = w.operations.front();
    if (o.issued != threads_of_warpgroup)
        fail(o.site, "wgmma: only %d of 128 threads take part", o.issued);
    if (o.shape.element == DType::bfloat16)
        compute<bfloat16>(current_block(), o);
    else
        compute<float16>(current_block(), o);
    --o.accumulator->in_flight;
    w.operations.pop_front();
    ++w.first_operation;
    (void)site;
}

// Gives results back to the registers of every thread.
static void return_accumulator(const WgmmaAccumulator& a) {
    for (int t = 0; t < threads_of_warpgroup; ++t)
        for (int i = 0; i < a.n / 2; ++i)
            a.registers[static_cast<size_t>(t)][i] =
                a.value[static_cast<size_t>(row_of(t, i) * a.n + column_of(t, i))];
}

static void retire_groups(Warpgroup& w, int keep, Site site) {
    while (w.groups.size() > static_cast<size_t>(keep)) {
        while (w.first_operation != w.groups.front()) retire_first(w, site);
        w.groups.pop_front();
        ++w.first_group;
    }
    std::erase_if(w.accumulators, [](const auto& a) {
        if (a->in_flight) return false;
        return_accumulator(*a);
        return true;
    });
}

static void check_whole_group(Site site) {
    const Block& block = current_block();
    const size_t first = static_cast<size_t>(self->warp / 4 * 4);
    for (size_t w = first; w < first + 4; ++w)
        if (w >= block.warps.size() || block.warps[w].lanes != ~Lanes{0})
            fail(site, "wgmma needs a warpgroup of 128 threads");
}

void wgmma_wait(int keep, Site site) {
    Quiet quiet;
    check_whole_group(site);
    Warpgroup& w = warpgroup();
    NamedBarrier& m = w.meeting;
    if (m.arrived && (m.site.line() != site.line() || m.site.column() != site.column()))
        fail(site, "divergent wgmma_wait: here, but at line %u for other threads", m.site.line());
    m.site = site;
    Fiber& f = current_fiber();
    f.wgmma_fenced = false;
    if (++m.arrived < threads_of_warpgroup) {
        m.waiting.add(f.warp, self->lane);
        return wait_here("wgmma_wait", site);
    }
    m.arrived = 0;
    retire_groups(w, keep, site);
    make_ready(m.waiting);
}

}  // namespace plainformer::emulation
