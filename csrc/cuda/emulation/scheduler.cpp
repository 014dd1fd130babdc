#include "scheduler.h"

#include <cstdarg>
#include <cstring>
#include <map>

#include "context_switch.h"

namespace plainformer::emulation {

__thread const Indices* self;
__thread Runner* runner;

// ---- errors ------------------------------------------------------------------------------------

std::string where(const Site& site) {
    const char* name = std::strrchr(site.file_name(), '/');
    return std::string(name ? name + 1 : site.file_name()) + ":" + std::to_string(site.line());
}

static std::string at(const uint3& index) {
    return std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z);
}

void fail(Site site, const char* format, ...) {
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    std::string message = where(site) + ": " + text;
    if (self) message += " [block " + at(self->block) + " thread " + at(self->thread) + "]";
    throw Error(message);
}

void stop(const std::string& error) {
    if (runner->error.empty()) runner->error = error;
}

// ---- order -------------------------------------------------------------------------------------

void FiberSet::add(int warp, int lane) {
    if (warps.size() <= static_cast<size_t>(warp)) warps.resize(static_cast<size_t>(warp) + 1);
    warps[static_cast<size_t>(warp)] |= Lanes{1} << lane;
    empty = false;
}

void make_ready(FiberSet& waiting) {
    if (waiting.empty) return;
    for (size_t w = 0; w < waiting.warps.size(); ++w)
        if (const Lanes lanes = std::exchange(waiting.warps[w], 0))
            make_ready(static_cast<int>(w), lanes);
    waiting.empty = true;
}

unsigned ReadyWarps::random() {  // xorshift64*
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<unsigned>(state_ * 0x2545F4914F6CDD1D >> 32);
}

void ReadyWarps::start(Order order, uint64_t seed, size_t warps) {
    order_ = order;
    lanes_.assign(warps, 0);
    queue_.resize(warps);
    head_ = count_ = 0;
    urgent_ = -1;
    if (order != Order::seeded) return;
    state_ = (seed + 1) * 0x9E3779B97F4A7C15;
    priority_.resize(warps);
    for (unsigned& p : priority_) p = random() | 1;
}

void ReadyWarps::entered(int warp) {
    if (order_ == Order::fifo)
        queue_[(head_ + count_) % queue_.size()] = warp;
    else if (order_ == Order::lifo)
        queue_[count_] = warp;
    else if (urgent_ >= 0 &&
             priority_[static_cast<size_t>(warp)] > priority_[static_cast<size_t>(urgent_)])
        urgent_ = warp;
    ++count_;
}

void ReadyWarps::left(int warp) {
    --count_;
    if (order_ == Order::fifo) head_ = (head_ + 1) % queue_.size();
    if (urgent_ == warp) urgent_ = -1;
}

void ReadyWarps::add(int warp, Lanes lanes) {
    Lanes& ready = lanes_[static_cast<size_t>(warp)];
    const bool was_empty = ready == 0;
    ready |= lanes;
    if (was_empty) entered(warp);
}

int ReadyWarps::most_urgent() {
    // Priorities change now and then, so that some warps run far ahead of others. The starved one
    // keeps priority 0.
    if (random() % 64 == 0) {
        unsigned& p = priority_[random() % priority_.size()];
        if (p) p = random() | 1;
        urgent_ = -1;
    }
    if (urgent_ < 0)
        for (size_t w = 0; w < lanes_.size(); ++w)
            if (lanes_[w] &&
                (urgent_ < 0 || priority_[w] > priority_[static_cast<size_t>(urgent_)]))
                urgent_ = static_cast<int>(w);
    return urgent_;
}

int ReadyWarps::next_warp() {
    if (order_ == Order::fifo) return queue_[head_];
    if (order_ == Order::lifo) return queue_[count_ - 1];
    return most_urgent();
}

std::pair<int, int> ReadyWarps::take() {
    const int warp = next_warp();
    Lanes& ready = lanes_[static_cast<size_t>(warp)];
    int lane;
    if (order_ == Order::fifo) {
        lane = __builtin_ctz(ready);
    } else if (order_ == Order::lifo) {
        lane = 31 - __builtin_clz(ready);
    } else {
        const int turn = static_cast<int>(random() % 32);
        lane = (__builtin_ctz(ready >> turn | ready << (-turn & 31)) + turn) % 32;
    }
    ready &= ~(Lanes{1} << lane);
    if (ready == 0) left(warp);
    return {warp, lane};
}

// ---- switching ---------------------------------------------------------------------------------

void switch_to(Fiber* to) {
    Runner& r = *runner;
    Fiber* const from = r.current;
    r.current = to;
    self = to ? &to->indices : nullptr;
    ++r.switches;
#ifdef PLAINFORMER_EMULATION_TSAN
    constexpr unsigned without_synchronizing = 1;
    __tsan_switch_to_fiber(to ? to->tsan : r.main_tsan, without_synchronizing);
#endif
#ifdef PLAINFORMER_EMULATION_ASAN
    void* fake_stack;
    const void* bottom = to ? to->stack_bottom : r.main_stack_bottom;
    const size_t bytes =
        to ? static_cast<size_t>(to->stack_top - to->stack_bottom) : r.main_stack_bytes;
    __sanitizer_start_switch_fiber(&fake_stack, bottom, bytes);
#endif
    plainformer_switch_context(from ? &from->context : &r.main_context,
                               to ? to->context : r.main_context);
#ifdef PLAINFORMER_EMULATION_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

static std::string deadlock() {
    std::map<std::string, int> reasons;
    int gone = 0;
    for (size_t i = 0; i < runner->fiber_count; ++i) {
        const Fiber& f = runner->fibers[i];
        if (!f.block) continue;
        if (f.done)
            ++gone;
        else
            ++reasons[std::string(f.waits_for) + " at " + where(f.site)];
    }
    std::string text = "deadlock:";
    for (const auto& [reason, count] : reasons)
        text.append(" ").append(std::to_string(count)).append(" threads wait for " + reason + ";");
    const uint3& block = runner->blocks[0].index;
    return text.append(" ").append(std::to_string(gone)).append(" threads have exited [block ") +
           at(block) + "]";
}

static void all_done() {
    while (!runner->async.empty()) land_one_copy();
    if (runner->remote.any)
        stop(where(runner->remote.site) +
             ": another block's shared memory is used after the last cluster barrier; that block "
             "may have exited");
    switch_to(nullptr);
}

void run_next() {
    Runner& r = *runner;
    if (r.async_odds && r.ready.random() % r.async_odds == 0 && !r.async.empty()) land_one_copy();
    while (r.ready.empty()) {
        if (r.alive == 0) return all_done();
        if (r.async.empty()) {
            stop(deadlock());
            return switch_to(nullptr);
        }
        land_one_copy();  // as late as possible: nobody can run without it
    }
    const auto [warp, lane] = r.ready.take();
    Fiber& next = r.fiber(warp, lane);
    if (&next != r.current) switch_to(&next);
}

void wait_here(const char* for_what, Site site) {
    Fiber& f = current_fiber();
    f.waits_for = for_what;
    f.site = site;
    run_next();
}

}  // namespace plainformer::emulation
