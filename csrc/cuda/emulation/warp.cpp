// Collectives of a warp.
#include <cstring>

#include "multiply.h"
#include "primitives.h"
#include "scheduler.h"

namespace plainformer::emulation {

static void check_lane(const Fiber& f, Lanes mask, const char* op, Site site) {
    if (!(mask >> f.indices.lane & 1))
        fail(site, "%s: lane %d is not in its own mask %08x", op, f.indices.lane, mask);
}

// Two meetings of one lane at once are a mistake of the kernel's.
static void check_overlap(const WarpMeeting& other, Lanes mask, const char* op, Site site) {
    if (other.arrived && other.mask != mask && (other.arrived & mask))
        fail(site, "%s with mask %08x overlaps %s with mask %08x at line %u", op, mask, other.op,
             other.mask, other.site.line());
}

static WarpMeeting& meeting_of(Warp& warp, Lanes mask, const char* op, Site site) {
    for (auto& part : warp.parts) check_overlap(*part, mask, op, site);
    if (mask == warp.lanes) return warp.whole;
    check_overlap(warp.whole, mask, op, site);
    for (auto& part : warp.parts)
        if (part->mask == mask) return *part;
    warp.parts.push_back(std::make_unique<WarpMeeting>());
    warp.parts.back()->mask = mask;
    return *warp.parts.back();
}

static bool same_place(const Site& a, const Site& b) {
    return a.line() == b.line() && a.column() == b.column();
}

static void check_same_collective(WarpMeeting& m, const char* op, Site site) {
    if (m.arrived == 0) {
        m.op = op;
        m.site = site;
    } else if (m.op != op || !same_place(m.site, site)) {
        fail(site, "divergent collective: %s here, but %s at line %u for other lanes", op, m.op,
             m.site.line());
    }
}

// Waits until every lane of the mask has brought its value; the last runs `finish` on all of them
// before any goes on. Returns the meeting's number.
template <class F>
static unsigned meet(WarpMeeting& m, uint64_t value, const char* op, Site site, F finish) {
    Fiber& f = current_fiber();
    check_same_collective(m, op, site);
    const unsigned phase = m.phase;
    const Lanes lane = Lanes{1} << f.indices.lane;
    m.values[phase & 1][f.indices.lane] = value;
    m.arrived |= lane;
    if (m.arrived == m.mask) {
        finish(m.values[phase & 1]);
        m.arrived = 0;
        ++m.phase;
        if (m.mask != lane) make_ready(f.warp, m.mask & ~lane);
    } else {
        wait_here(op, site);
    }
    return phase;
}

static WarpMeeting& prepare(unsigned mask, const char* op, Site site) {
    Fiber& f = current_fiber();
    Warp& warp = current_warp();
    mask &= warp.lanes;  // lanes beyond the block's end count as exited
    check_lane(f, mask, op, site);
    return meeting_of(warp, mask, op, site);
}

static constexpr auto nothing = [](const uint64_t*) {};

void warp_sync(unsigned mask, const char* op, bool orders_memory, Site site) {
    Quiet quiet;
    WarpMeeting& m = prepare(mask, op, site);
    char* const sync = &m.sync[m.phase & 1];
    if (orders_memory) {
        ++current_fiber().barriers_reached;
        release(sync);
    }
    meet(m, 0, op, site, nothing);
    if (orders_memory) acquire(sync);
}

uint64_t warp_exchange(unsigned mask, uint64_t value, int source, const char* op, Site site) {
    Quiet quiet;
    WarpMeeting& m = prepare(mask, op, site);
    if (!(m.mask >> source & 1))
        fail(site, "%s reads lane %d, which is not in mask %08x", op, source, m.mask);
    const unsigned phase = meet(m, value, op, site, nothing);
    return m.values[phase & 1][source];
}

unsigned warp_ballot(unsigned mask, bool vote, const char* op, Site site) {
    Quiet quiet;
    WarpMeeting& m = prepare(mask, op, site);
    const auto count = [&m](const uint64_t* votes) {
        unsigned all = 0;
        for (int lane = 0; lane < lanes_of_warp; ++lane)
            if (m.mask >> lane & 1) all |= static_cast<unsigned>(votes[lane]) << lane;
        m.votes[m.phase & 1] = all;
    };
    const unsigned phase = meet(m, vote, op, site, count);
    return m.votes[phase & 1];
}

// ---- matrices ----------------------------------------------------------------------------------

// One phase moves eight rows of 16 bytes, which should lie in the eight different groups of banks.
static void count_conflicts(const uint64_t* rows, int matrices) {
    const uint64_t base = reinterpret_cast<uint64_t>(current_block().shared);
    for (int i = 0; i < matrices; ++i) {
        int most = 1, in_group[8] = {};
        for (int j = 0; j < 8; ++j) {
            const uint64_t row = rows[i * 8 + j];
            bool seen = false;  // the same row twice is read once
            for (int k = 0; k < j; ++k) seen |= rows[i * 8 + k] == row;
            if (!seen) most = std::max(most, ++in_group[(row - base) >> 4 & 7]);
        }
        runner->matrix_phases += 1;
        runner->matrix_replays += static_cast<uint64_t>(most - 1);
    }
}

static void check_whole_warp(const Warp& warp, const char* op, Site site) {
    if (warp.lanes != ~Lanes{0}) fail(site, "%s needs a warp of 32 threads", op);
}

const char* const* matrix_rows(uint32_t row, int matrices, const char* op, Site site) {
    Quiet quiet;
    check_whole_warp(current_warp(), op, site);
    WarpMeeting& m = prepare(~0u, op, site);
    const bool used = self->lane < 8 * matrices;
    const char* const mine = used ? shared_at(row, 16, 16, site) : nullptr;
    const unsigned phase = meet(m, reinterpret_cast<uint64_t>(mine), op, site,
                                [=](const uint64_t* rows) { count_conflicts(rows, matrices); });
    return reinterpret_cast<const char* const*>(m.values[phase & 1]);
}

struct MmaTiles {
    float a[16][16], b[16][8], d[16][8];  // a is (k, m)
};

// A lane's part: rows g and g + 8 of A and D, column g of B.
template <typename T>
static void gather(MmaTiles& tiles, const MmaOperands& o, int g, int t) {
    for (int i = 0; i < 4; ++i) {
        const float2 pair = cuda::unpack<T>(o.a[i]);
        const int k = t + (i >> 1) * 8, m = g + (i & 1) * 8;
        tiles.a[k][m] = pair.x, tiles.a[k + 1][m] = pair.y;
    }
    for (int i = 0; i < 2; ++i) {
        const float2 pair = cuda::unpack<T>(o.b[i]);
        tiles.b[t + i * 8][g] = pair.x, tiles.b[t + i * 8 + 1][g] = pair.y;
    }
    for (int i = 0; i < 4; ++i) tiles.d[g + (i >> 1) * 8][t + (i & 1)] = o.d[i];
}

template <typename T>
static void mma(const uint64_t* operands) {
    MmaTiles tiles;
    const auto of = [=](int lane) { return reinterpret_cast<const MmaOperands*>(operands[lane]); };
    for (int lane = 0; lane < lanes_of_warp; ++lane)
        gather<T>(tiles, *of(lane), lane / 4, lane % 4 * 2);
    multiply(&tiles.d[0][0], &tiles.a[0][0], &tiles.b[0][0], 16, 8);
    for (int lane = 0; lane < lanes_of_warp; ++lane)
        for (int i = 0; i < 4; ++i)
            of(lane)->d[i] = tiles.d[lane / 4 + (i >> 1) * 8][lane % 4 * 2 + (i & 1)];
}

void mma_m16n8k16(const MmaOperands& operands, Site site) {
    Quiet quiet;
    check_whole_warp(current_warp(), "mma.sync", site);
    const bool brain = operands.element == DType::bfloat16;
    meet(prepare(~0u, "mma.sync", site), reinterpret_cast<uint64_t>(&operands), "mma.sync", site,
         brain ? mma<bfloat16> : mma<float16>);
}

}  // namespace plainformer::emulation
