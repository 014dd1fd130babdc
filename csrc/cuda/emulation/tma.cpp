// Tensor maps, bulk copies by them, and the second image of shared memory that they see.
#include <cstring>

#include "cluster.h"

namespace plainformer::emulation {

// ---- tensor maps -------------------------------------------------------------------------------

static void check_map(const TensorMap& m) {
    const Site site = Site::current();
    if (m.rank < 1 || m.rank > max_rank) fail(site, "tensor map: rank %d", m.rank);
    if (reinterpret_cast<uintptr_t>(m.base) % 16)
        fail(site, "tensor map: the base is not aligned to 16 bytes");
    for (int i = 0; i < m.rank; ++i) {
        if (m.dim[i] < 1 || m.dim[i] > int64_t{1} << 32)
            fail(site, "tensor map: dimension %d is %lld", i, static_cast<long long>(m.dim[i]));
        if (m.box[i] < 1 || m.box[i] > 256) fail(site, "tensor map: box %d is %d", i, m.box[i]);
        if (i && (m.stride[i] % 16 || m.stride[i] < 0 || m.stride[i] >= int64_t{1} << 40))
            fail(site, "tensor map: stride %d is %lld bytes, expected a multiple of 16", i,
                 static_cast<long long>(m.stride[i]));
    }
    const int inner = m.box[0] * m.element_bytes;
    const int span = static_cast<int>(swizzle_span(m.swizzle));
    if (inner % 16 || (m.swizzle != Swizzle::none && inner > span))
        fail(site, "tensor map: inner box of %d bytes with a swizzle of %d", inner, span);
}

TensorMap make_tensor_map(const void* base, int rank, int element_bytes, const int64_t* dim,
                          const int64_t* stride_bytes, const int* box, Swizzle swizzle) {
    TensorMap m{};
    m.base = static_cast<char*>(const_cast<void*>(base));
    m.rank = rank;
    m.element_bytes = element_bytes;
    m.swizzle = swizzle;
    for (int i = 0; i < rank && i < max_rank; ++i) {
        m.dim[i] = dim[i];
        m.box[i] = box[i];
        m.stride[i] = i ? stride_bytes[i - 1] : element_bytes;
    }
    check_map(m);
    return m;
}

static size_t box_bytes(const TensorMap& m) {
    size_t bytes = static_cast<size_t>(m.element_bytes);
    for (int i = 0; i < m.rank; ++i) bytes *= static_cast<size_t>(m.box[i]);
    return bytes;
}

// The pattern repeats every eight rows; a tile must start where it does.
static size_t tile_alignment(const TensorMap& m) {
    return m.swizzle == Swizzle::none ? 128 : 8 * swizzle_span(m.swizzle);
}

// Calls element_run(offset in the box, global address, bytes) for each run of elements of at most
// 16 bytes; the address is null outside of the array.
template <class F>
static void for_box(const TensorMap& m, const Coordinates& start, F element_run) {
    int rows = 1;
    for (int i = 1; i < m.rank; ++i) rows *= m.box[i];
    const int per_chunk = 16 / m.element_bytes, inner = m.box[0];
    for (int row = 0; row < rows; ++row) {
        char* address = m.base;
        bool inside = true;
        for (int i = 1, rest = row; i < m.rank; rest /= m.box[i], ++i) {
            const int64_t at = int64_t{start.at[i]} + rest % m.box[i];
            inside = inside && at >= 0 && at < m.dim[i];
            address += at * m.stride[i];
        }
        for (int x = 0; x < inner; x += per_chunk) {
            const uint32_t offset = static_cast<uint32_t>((row * inner + x) * m.element_bytes);
            const int64_t at = int64_t{start.at[0]} + x;
            char* const from = address + at * m.element_bytes;
            if (inside && at >= 0 && at + per_chunk <= m.dim[0]) {
                element_run(offset, from, 16);
                continue;
            }
            for (int i = 0; i < per_chunk; ++i)
                element_run(offset + static_cast<uint32_t>(i * m.element_bytes),
                            inside && at + i >= 0 && at + i < m.dim[0] ? from + i * m.element_bytes
                                                                       : nullptr,
                            m.element_bytes);
        }
    }
}

static void check_rank(const TensorMap& map, int rank, Site site) {
    if (map.rank != rank) fail(site, "%d coordinates for a tensor map of rank %d", rank, map.rank);
}

// ---- the proxy image ---------------------------------------------------------------------------

// TMA writes both images; plain writes reach this one at a fence only.
static char* proxy_image(Block& b) {
    if (!b.proxy_used) std::memset(b.proxy, runner->poison, b.bytes);
    b.proxy_used = true;
    return b.proxy;
}

char* proxy_base(Block& b) { return proxy_image(b); }

void fence_proxy_async() {
    Quiet quiet;
    Block& b = current_block();
    std::memcpy(b.proxy, b.shared, b.bytes);
    b.proxy_used = true;
}

// ---- loads: the destination is poison until the copy lands, as late as it can ------------------

static void start_load(uint32_t dst, const TensorMap& map, uint32_t bar, const Coordinates& from,
                       unsigned rank, Site site) {
    Block& b = peer(rank, site);
    MBarrier& barrier = mbarrier_of(b, bar, site);
    if (!barrier.fenced) fail(site, "mbarrier is used by TMA without mbarrier_init_fence");
    std::memset(b.shared + (dst - shared_start), runner->poison, box_bytes(map));
    std::memset(proxy_image(b) + (dst - shared_start), runner->poison, box_bytes(map));
    runner->async.push_back({map, from, &b, dst, &barrier});
}

void tma_load(uint32_t dst, const TensorMap& map, uint32_t bar, int rank, Coordinates from,
              unsigned mask, Site site) {
    Quiet quiet;
    require_capability(90, "TMA", site);
    check_rank(map, rank, site);
    shared_at(dst, box_bytes(map), tile_alignment(map), site);
    if (mask == 0) return start_load(dst, map, bar, from, current_block().rank, site);
    for (unsigned r = 0; r < 16; ++r)
        if (mask >> r & 1) start_load(dst, map, bar, from, r, site);
}

void land_one_copy() {
    Runner& r = *runner;
    const size_t which = r.order == Order::seeded ? r.ready.random() % r.async.size() : 0;
    const AsyncCopy copy = r.async[which];
    r.async.erase(r.async.begin() + static_cast<ptrdiff_t>(which));
    const auto write = [&](uint32_t offset, const char* from, int bytes) {
        const uint32_t at = swizzled(copy.dst + offset, copy.map.swizzle) - shared_start;
        const size_t n = static_cast<size_t>(bytes);
        for (char* image : {copy.block->shared, copy.block->proxy})
            from ? std::memcpy(image + at, from, n) : std::memset(image + at, 0, n);
    };
    for_box(copy.map, copy.from, write);
    copy.bar->bytes -= static_cast<int64_t>(box_bytes(copy.map));
    complete_if_done(*copy.bar);
}

// ---- stores: shared memory is read when the thread waits, as late as it can --------------------

static StoreGroups& stores() {
    auto& s = current_fiber().stores;
    if (!s) s = std::make_unique<StoreGroups>();
    return *s;
}

void tma_store(const TensorMap& map, uint32_t src, int rank, Coordinates to, Site site) {
    Quiet quiet;
    require_capability(90, "TMA", site);
    check_rank(map, rank, site);
    shared_at(src, box_bytes(map), tile_alignment(map), site);
    stores().open.push_back({map, src, to, site});
}

void tma_store_commit() {
    Quiet quiet;
    StoreGroups& s = stores();
    s.closed.push_back(std::move(s.open));
    s.open.clear();
}

static void write_out(const Store& store) {
    const char* const image = proxy_image(current_block());
    for_box(store.map, store.to, [&](uint32_t offset, char* to, int bytes) {
        const uint32_t at = swizzled(store.src + offset, store.map.swizzle) - shared_start;
        if (to) std::memcpy(to, image + at, static_cast<size_t>(bytes));
    });
}

void tma_store_wait(int keep) {
    Quiet quiet;
    StoreGroups& s = stores();
    while (s.closed.size() > static_cast<size_t>(keep)) {
        for (const Store& store : s.closed.front()) write_out(store);
        s.closed.pop_front();
    }
}

}  // namespace plainformer::emulation
